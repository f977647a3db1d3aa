"""Objects in S3 as files, a block at a time."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlparse

from moto.s3 import notifications
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, s3_backends

from localcloud.actors import Actor
from localcloud.authorization import Denied

_BLOCK = 1024 * 1024  # bytes


class StorageError(Exception):
    """The message is worded as AWS words a FailureReason."""


@dataclass(frozen=True)
class Location:
    """s3://bucket/key, in any account's buckets, as the actor may use it; None: as the cloud itself."""

    account_id: str
    bucket: str
    key: str
    actor: Actor | None = field(default=None, compare=False)

    @classmethod
    def of(cls, uri: str, account_id: str, actor: Actor | None = None) -> Location:
        parts = urlparse(uri)
        if parts.scheme != "s3":
            raise NotImplementedError(f"S3 locations as {parts.scheme} URLs")
        return cls(account_id, parts.netloc, parts.path.lstrip("/"), actor)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def below(self, name: str) -> Location:
        """The location `name` under this one as a folder."""
        return self.at(f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    def at(self, key: str) -> Location:
        return Location(self.account_id, self.bucket, key, self.actor)

    def bucket_or_none(self) -> FakeBucket | None:
        try:
            return s3_backends[self.account_id]["aws"].get_bucket(self.bucket)
        except S3ClientError:
            return None

    def objects(self) -> list[FakeKey]:
        """The objects whose keys begin with this one, by key; none without the bucket.

        Raises:
            StorageError: the actor may not list them.
        """
        try:
            if self.actor is not None:
                self.actor.check_list(self.bucket, self.key)
        except Denied as error:
            raise StorageError(_download_failed(error)) from error
        bucket = self.bucket_or_none()
        if bucket is None:
            return []
        found = [(name, key) for name, key in bucket.keys.items() if name.startswith(self.key)]
        return [key for _, key in sorted(found) if not isinstance(key, FakeDeleteMarker)]

    def upload(self, path: Path) -> None:
        """Store the file, as `store` does."""
        with path.open("rb") as file:
            self.store(file)

    def store(self, file: BinaryIO) -> None:
        """Store what is in the file. It is seen whole or not at all.

        Raises:
            StorageError: the bucket is gone, or the actor may not.
        """
        bucket = self.bucket_or_none()
        if bucket is None:
            raise StorageError(
                f"ClientError: Artifact upload failed:Error 4: NoSuchBucket (404) The specified bucket "
                f"{self.bucket} does not exist"
            )
        try:
            if self.actor is not None:
                self.actor.check_write(bucket, self.key)
        except Denied as error:
            raise StorageError(
                f"ClientError: Artifact upload failed:Error 4: AccessDenied (403): {error.message}"
            ) from error
        rule = (bucket.encryption or {}).get("Rule", {})
        encryption = rule.get("ApplyServerSideEncryptionByDefault", {})
        key = FakeKey(
            name=self.key,
            value=b"",
            account_id=self.account_id,
            region_name=bucket.region_name,
            is_versioned=bucket.is_versioned,
            version_id=str(uuid.uuid4()) if bucket.is_versioned else "null",
            bucket_name=self.bucket,
            encryption=encryption.get("SSEAlgorithm"),
            kms_key_id=encryption.get("KMSMasterKeyID"),
            bucket_key_enabled=rule.get("BucketKeyEnabled", False),
        )
        # What moto's put_object does, which wants the whole value in memory.
        digest, size = hashlib.md5(usedforsecurity=False), 0
        while block := file.read(_BLOCK):
            key._value_buffer.write(block)
            digest.update(block)
            size += len(block)
        key.contentsize = size
        key._etag = digest.hexdigest()
        kept = bucket.keys.getlist(self.key, []) if bucket.is_versioned else []
        bucket.keys.setlist(self.key, [*kept, key])
        event = notifications.S3NotificationEvent.OBJECT_CREATED_PUT_EVENT
        notifications.send_event(self.account_id, event, bucket, key)


def _download_failed(error: Denied) -> str:
    return f"ClientError: Data download failed:AccessDenied (403): {error.message}"


def may_read(key: FakeKey, actor: Actor | None) -> None:
    """Raises StorageError."""
    try:
        if actor is not None:
            actor.check_read(key)
    except Denied as error:
        raise StorageError(_download_failed(error)) from error


def download(key: FakeKey, path: Path, actor: Actor | None) -> None:
    may_read(key, actor)
    path.parent.mkdir(parents=True, exist_ok=True)
    position = 0
    with path.open("wb") as file:
        while True:
            with key.lock:  # others may read it meanwhile, and its buffer has one position
                key._value_buffer.seek(position)
                block = key._value_buffer.read(_BLOCK)
            if not block:
                return
            file.write(block)
            position += len(block)
