"""A model archive on its way from S3 into an instance."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from urllib.parse import urlparse

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeKey, s3_backends

from localcloud.actors import Actor
from localcloud.authorization import Denied

MAX_UNPACKED = 20 * 2**30  # bytes


class ModelDataError(Exception):
    """The message is worded as AWS words the FailureReason of an endpoint."""


def find(url: str, account_id: str) -> FakeKey | None:
    """The object that a model data URL (s3://bucket/key) names, from any account's buckets."""
    parts = urlparse(url)
    backend = s3_backends[account_id]["aws"]
    try:
        return backend.get_object(parts.netloc, parts.path.lstrip("/"))
    except S3ClientError:
        return None


def unpack(url: str, actor: Actor, folder: Path) -> None:
    """Unpack the archive at `url` into `folder`. Names and links that lead outside, and devices, are refused."""
    key = find(url, actor.account_id)
    refused = ""
    try:
        if key is not None:
            actor.check_read(key)
    except Denied as error:
        refused = f" ({error.message})"
    if key is None or refused:
        raise ModelDataError(
            f'Failed to download model data for container "primary" from URL: "{url}". Please ensure that there '
            "is an object located at the URL and that the role passed to CreateModel has permissions to download "
            f"it.{refused}"
        )
    download = folder.with_name("model.tar.gz")
    folder.mkdir(parents=True)
    try:
        download.write_bytes(key.value)
        with tarfile.open(download, "r:gz") as archive:
            _check_size(sum(member.size for member in archive))
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError) as error:
        raise ModelDataError(
            f'Failed to extract model data archive for container "primary" from URL "{url}". Please ensure '
            f"that the object located at the URL is a valid tar.gz archive. ({error})"
        ) from error
    finally:
        download.unlink(missing_ok=True)


def _check_size(unpacked: int) -> None:
    if unpacked > MAX_UNPACKED:
        raise tarfile.TarError(f"{unpacked} bytes unpacked, at most {MAX_UNPACKED} are allowed")
