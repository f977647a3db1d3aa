"""Listings and removals of any service, for the table of kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ops.sweep.sweeper import Sweeper

TAG = "kennel:stage"

Listing = Callable[["Sweeper"], Iterator[str]]
Removal = Callable[["Sweeper", str], object]
Tags = Callable[["Sweeper", dict[str, Any]], dict[str, str]]


def named(
    service: str, operation: str, key: str, field: str,
    tags: Tags | None = None, *, untagged: bool = False, **arguments: Any,
) -> Listing:  # fmt: skip
    """List by name, and by tag where the service keeps tags: a name alone may be somebody else's choice.

    `untagged`: what has no such tag is ours by its name, because it may have been made without Terraform.
    """

    def listing(sweeper: Sweeper) -> Iterator[str]:
        for entry in sweeper.pages(service, operation, key, **arguments):
            if sweeper.is_ours(entry[field]) and (
                tags is None or belongs(sweeper, tags(sweeper, entry), untagged=untagged)
            ):
                yield entry[field]

    return listing


def belongs(sweeper: Sweeper, tags: dict[str, str], *, untagged: bool = False) -> bool:
    """Whether the tags are the stage's."""
    return tags.get(TAG, sweeper.prefix if untagged else None) == sweeper.prefix


def tagged(operation: str, key: str, field: str, filters: str = "Filters") -> Listing:
    """List what EC2 has with the stage's tag."""

    def listing(sweeper: Sweeper) -> Iterator[str]:
        return (e[field] for e in sweeper.pages("ec2", operation, key, **{filters: sweeper.tagged}))

    return listing


def call(service: str, operation: str, argument: str, *, many: bool = False) -> Removal:
    """Remove by one call."""

    def removal(sweeper: Sweeper, identifier: str) -> object:
        return getattr(sweeper.client(service), operation)(**{argument: [identifier] if many else identifier})

    return removal


def pairs(tags: Iterable[dict[str, str]]) -> dict[str, str]:
    """Return a service's list of tags by their keys."""
    return {tag["Key"]: tag["Value"] for tag in tags}
