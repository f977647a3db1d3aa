"""S3: listings that stand deletions of other requests meanwhile, and buckets emptied after their versioning ended.

moto iterates over a copy of a bucket's keys, and then looks each key up again in the bucket itself: one that has
gone since fails the listing. Terraform empties a bucket and deletes its objects at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.s3 import models
from moto.s3.utils import _VersionedKeyStore

from localcloud.config import Config


class Keys(_VersionedKeyStore):
    """Iterates over the copy alone."""

    def _iterlists(self) -> Iterator[tuple[str, list[Any]]]:
        yield from self._self_iterable().items()

    def _iteritems(self) -> Iterator[tuple[str, Any]]:
        for key, versions in self._iterlists():
            yield key, versions[-1]

    def _itervalues(self) -> Iterator[Any]:
        for _, versions in self._iterlists():
            yield versions[-1]

    def pop(self, key: str) -> None:  # type: ignore[override]
        """moto's, in a bucket whose versioning is suspended, asks delete markers to give back what they do not hold."""
        for version in self.getlist(key, []):
            if not isinstance(version, models.FakeDeleteMarker):
                version.dispose()
        dict.pop(self, key)

    items = iteritems = _iteritems
    lists = iterlists = _iterlists
    values = itervalues = _itervalues


def install(_: Config) -> None:
    # The name by which moto makes a bucket's store of keys.
    models._VersionedKeyStore = Keys  # type: ignore[attr-defined]
