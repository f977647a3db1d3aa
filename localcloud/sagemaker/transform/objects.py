"""The objects that a transform job reads, those that it writes, and whether its role may."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeKey, s3_backends

from localcloud import iam
from localcloud.sagemaker.jobs.channels import file_name
from localcloud.sagemaker.jobs.storage import Location, StorageError


@dataclass(frozen=True)
class Item:
    """An object to be transformed, and where its answer goes."""

    location: Location
    output: Location

    def __str__(self) -> str:
        """As it is called in the data log."""
        return f"{self.location.bucket}/{self.location.key}"

    def read(self) -> bytes:
        """Raises StorageError where the object is gone."""
        key = _key(self.location)
        if key is None:
            raise StorageError(f"NoSuchKey (404): {self.location}")
        return bytes(key.value)


class Store:
    """S3, as the execution role of the job's model sees it."""

    def __init__(self, account_id: str, role_arn: str) -> None:
        self._account_id = account_id
        self._role_arn = role_arn

    def items(self, request: dict[str, Any]) -> list[Item]:
        """What the request names, by key.

        Raises:
            StorageError: there is nothing, a manifest is none, or the role may not look.
        """
        source = request["TransformInput"]["DataSource"]["S3DataSource"]
        output = Location.of(request["TransformOutput"]["S3OutputPath"], self._account_id)
        at = Location.of(source["S3Uri"], self._account_id)
        if source["S3DataType"] == "ManifestFile":
            prefix, locations = self._manifest(at)
        else:
            self._may("s3:ListBucket", Location(at.account_id, at.bucket, ""), prefix=at.key)
            prefix = at
            locations = [Location(at.account_id, at.bucket, key.name) for key in at.objects()]
            locations = [one for one in locations if not one.key.endswith("/")]
        if not locations:
            raise StorageError(
                f'ClientError: No S3 objects found under S3 URL "{at}" given in input data source.'
            )
        return [Item(one, output.below(f"{file_name(prefix, one.key)}.out")) for one in locations]

    def _manifest(self, at: Location) -> tuple[Location, list[Location]]:
        """The prefix and the objects of [{"prefix": "s3://…"}, "relative key", …]."""
        self._may("s3:GetObject", at)
        key = _key(at)
        try:
            head, *names = json.loads(key.value if key is not None else b"")
            prefix = Location.of(head["prefix"], self._account_id)
            keys = [prefix.key + name for name in names]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StorageError(f"ClientError: Manifest file {at} is not readable: {error}") from error
        return prefix, [Location(at.account_id, prefix.bucket, key) for key in keys]

    def may_read(self, item: Item) -> None:
        self._may("s3:GetObject", item.location)

    def write(self, item: Item, answer: bytes) -> None:
        """Store the answer. Raises StorageError."""
        self._may("s3:PutObject", item.output)
        item.output.store(io.BytesIO(answer))

    def _may(self, action: str, location: Location, prefix: str | None = None) -> None:
        """Raise StorageError where the role may not act on the object, or list the bucket."""
        resource = f"arn:aws:s3:::{location.bucket}" + (f"/{location.key}" if location.key else "")
        context = {"s3:prefix": [prefix]} if prefix is not None else {}
        try:
            role = iam_backends[self._account_id]["aws"].get_role_by_arn(self._role_arn)
            allowed = iam.allows(role, action, resource, context)
        except NotFoundException:
            raise StorageError(
                f"ClientError: Could not assume role {self._role_arn}. Please ensure that the role exists and "
                "allows principal 'sagemaker.amazonaws.com' to assume the role."
            ) from None
        if not allowed:
            raise StorageError(
                f"ClientError: Access denied: the role {self._role_arn} may not {action} on {resource}"
            )


def _key(location: Location) -> FakeKey | None:
    try:
        return s3_backends[location.account_id]["aws"].get_object(location.bucket, location.key)
    except S3ClientError:
        return None
