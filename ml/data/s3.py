"""Photos from a bucket, kept here by their ETag, so that only what is new is downloaded."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from ml import aws
from ml.data.archive import ARCHIVE_SUFFIXES
from ml.data.dataset import DatasetError, Finding
from ml.data.files import PART, building, relative_path, sweep
from ml.data.layout import IMAGE_SUFFIXES, is_hidden
from ml.data.progress import bar

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONNECTIONS = 16
_ATTEMPTS = 3
_CHUNK = 2**20  # bytes
_CUT_OFF = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_REMEDIES = {
    "AccessDenied": "allow s3:ListBucket on the bucket and s3:GetObject on its objects, in both accounts.",
    "NoSuchBucket": "mind the spelling; a bucket's name is unique to all of AWS.",
    "PreconditionFailed": "an object changed during the download: try again.",
}


@dataclass(frozen=True)
class _Object:
    key: str
    etag: str
    size: int  # bytes
    path: PurePosixPath  # below the prefix

    @property
    def cache_name(self) -> str:
        return hashlib.sha256(f"{self.key}\0{self.etag}\0{self.size}".encode()).hexdigest()


def download(url: str, cache: Path, *, progress: bool = False) -> Path:
    """The folder with what lies below `s3://bucket/prefix`, or the archive that the address names.

    What was downloaded before is not downloaded again; an interrupted download goes on where it stopped.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    try:
        client = aws.client("s3")
        objects = list(_list(client, bucket, prefix))
        if not objects:
            message = "there must be objects below the address"
            raise DatasetError(
                url, [Finding("no-source", message, (url,), "mind spelling, case and region.")]
            )
        store = cache / "objects" / hashlib.sha256(bucket.encode()).hexdigest()[:16]
        store.mkdir(parents=True, exist_ok=True)
        sweep(store)
        is_file = objects[0].key == prefix
        wanted = [each for each in objects if is_file or each.path.suffix.lower() in IMAGE_SUFFIXES]
        wanted = [each for each in wanted if not (store / each.cache_name).exists()]
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            work = pool.map(lambda each: _fetch(client, bucket, each, store), wanted)
            try:
                deque(bar(work, title="Downloading", total=len(wanted), unit="file", show=progress), maxlen=0)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return store / objects[0].cache_name if is_file else _link(objects, store, cache / "folders")
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        raise _refusal(
            url, str(error), _REMEDIES.get(code, "try again: what has been downloaded stays.")
        ) from error
    except BotoCoreError as error:  # no credentials, no connection
        raise _refusal(url, str(error), "check credentials, region and connection.") from error
    except OSError as error:  # a key that is a file and a folder; a disk that is full
        raise _refusal(url, str(error), "each key must be able to be a file on this disk.") from error


def _list(client: S3Client, bucket: str, prefix: str) -> Iterator[_Object]:
    is_file = prefix.lower().endswith(ARCHIVE_SUFFIXES)
    # Not without the slash: "photos" would list "photos-old/", too.
    folder = prefix if is_file or not prefix else prefix.rstrip("/") + "/"
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder):
        for entry in page.get("Contents", []):
            if is_file and entry["Key"] != prefix:
                continue
            name = PurePosixPath(prefix).name if is_file else entry["Key"][len(folder) :]
            path = relative_path(name)
            if path is None or "//" in name:
                raise _refusal(
                    f"s3://{bucket}/{prefix}", f"a key must be a plain path: {entry['Key']}", "rename it."
                )
            if not any(is_hidden(part) for part in path.parts):
                yield _Object(entry["Key"], entry["ETag"], entry["Size"], path)


def _fetch(client: S3Client, bucket: str, entry: _Object, store: Path) -> None:
    handle, part = tempfile.mkstemp(dir=store, prefix=PART)
    try:
        with os.fdopen(handle, "wb") as file:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    _copy(client, bucket, entry, file)
                    break
                except _CUT_OFF:  # botocore itself only tries again until the answer begins
                    if attempt == _ATTEMPTS:
                        raise
        Path(part).replace(store / entry.cache_name)
    finally:
        Path(part).unlink(missing_ok=True)


def _copy(client: S3Client, bucket: str, entry: _Object, file: IO[bytes]) -> None:
    # IfMatch: what is stored under an ETag must be what had it, also where the object has just been replaced.
    body = client.get_object(Bucket=bucket, Key=entry.key, IfMatch=entry.etag)["Body"]
    file.seek(0)
    file.truncate()
    for chunk in body.iter_chunks(_CHUNK):
        file.write(chunk)


def _link(objects: list[_Object], store: Path, folders: Path) -> Path:
    """A folder of hard links to the stored objects; named by the listing: a new listing, a new folder."""
    listing = "".join(sorted(f"{each.path}\0{each.cache_name}\n" for each in objects))
    target = folders / hashlib.sha256(listing.encode()).hexdigest()[:32]
    with building(target) as folder:
        if folder is not None:
            for each in objects:
                path = folder / each.path
                if each.key.endswith("/"):  # an empty folder, as consoles make them
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                if (store / each.cache_name).exists():
                    path.hardlink_to(store / each.cache_name)
                else:  # not downloaded, being no photo: only its name, so that it is told of
                    path.touch()
    return target


def _refusal(url: str, message: str, remedy: str) -> DatasetError:
    return DatasetError(url, [Finding("s3", f"the bucket must be readable: {message}", (), remedy)])
