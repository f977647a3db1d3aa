"""The objects that a transform job reads, those that it writes, and whether its role may."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeKey, s3_backends

from localcloud.actors import Actor
from localcloud.sagemaker.jobs.channels import file_name
from localcloud.sagemaker.jobs.storage import Location, StorageError, may_read


@dataclass(frozen=True)
class Item:
    """An object to be transformed, and where its answer goes."""

    location: Location
    output: Location

    def __str__(self) -> str:
        """As it is called in the data log."""
        return f"{self.location.bucket}/{self.location.key}"

    def read(self) -> bytes:
        """Raises StorageError where the object is gone, or the role may not."""
        return _read(self.location)


class Store:
    """S3, as the execution role of the job's model sees it."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def _location(self, uri: str) -> Location:
        return Location.of(uri, self._actor.account_id, self._actor)

    def items(self, request: dict[str, Any]) -> list[Item]:
        """What the request names, by key.

        Raises:
            StorageError: there is nothing, a manifest is none, or the role may not look.
        """
        source = request["TransformInput"]["DataSource"]["S3DataSource"]
        output = self._location(request["TransformOutput"]["S3OutputPath"])
        at = self._location(source["S3Uri"])
        if source["S3DataType"] == "ManifestFile":
            prefix, locations = self._manifest(at)
        else:
            prefix = at
            locations = [at.at(key.name) for key in at.objects()]
            locations = [one for one in locations if not one.key.endswith("/")]
        if not locations:
            raise StorageError(
                f'ClientError: No S3 objects found under S3 URL "{at}" given in input data source.'
            )
        return [Item(one, output.below(f"{file_name(prefix, one.key)}.out")) for one in locations]

    def _manifest(self, at: Location) -> tuple[Location, list[Location]]:
        """The prefix and the objects of [{"prefix": "s3://…"}, "relative key", …]."""
        try:
            head, *names = json.loads(_read(at) if _key(at) is not None else b"")
            prefix = self._location(head["prefix"])
            keys = [prefix.key + name for name in names]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StorageError(f"ClientError: Manifest file {at} is not readable: {error}") from error
        return prefix, [prefix.at(key) for key in keys]

    def write(self, item: Item, answer: bytes) -> None:
        """Store the answer. Raises StorageError."""
        item.output.store(io.BytesIO(answer))


def _read(location: Location) -> bytes:
    key = _key(location)
    if key is None:
        raise StorageError(f"NoSuchKey (404): {location}")
    may_read(key, location.actor)
    return bytes(key.value)


def _key(location: Location) -> FakeKey | None:
    try:
        return s3_backends[location.account_id]["aws"].get_object(location.bucket, location.key)
    except S3ClientError:
        return None
