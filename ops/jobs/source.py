"""Brings code and photos to where jobs read them: below the scratch location, named by content, and only once."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from ml.data.archive import ARCHIVE_SUFFIXES
from ml.data.dataset import SPLITS
from ml.data.load import load_dataset
from ml.data.progress import bar
from ml.errors import KennelError
from ops.jobs.entrypoint import ARCHIVE as ARCHIVE
from ops.paths import ROOT, WORK
from ops.stage import Stage

CODE = ("ml", "lambda/guarded_fetch.py", "requirements.txt")
CODE_STATE = ".code-state.json"  # what git says of the code, for where there is no repository
_CONNECTIONS = 16
_LONGEST_KEY = 1024  # bytes, of S3


class UploadError(KennelError):
    """Something cannot be brought to the bucket."""


def upload_source(stage: Stage, outputs: Mapping[str, Any]) -> str:
    """Upload the code that trains, unless it is there; return the s3:// prefix that holds source.tar.gz."""
    from ml.train import code_state  # here: torch takes seconds to import

    packed = pack(ROOT, code_state(ROOT))
    bucket, scratch = location(outputs)
    # zlib's output differs between its builds, what is packed does not.
    prefix = f"{scratch}source/{hashlib.sha256(gzip.decompress(packed)).hexdigest()[:32]}/"
    client = stage.client("s3")
    try:
        if f"{prefix}{ARCHIVE}" not in sizes(client, bucket, prefix):
            client.put_object(Bucket=bucket, Key=f"{prefix}{ARCHIVE}", Body=packed)
    except (BotoCoreError, ClientError) as error:
        raise _refused(f"s3://{bucket}/{prefix}", error) from error
    return f"s3://{bucket}/{prefix}"


def pack(root: Path, state: dict[str, Any]) -> bytes:
    """Return the code as a .tar.gz: the same bytes for the same code."""
    members = {name.relative_to(root).as_posix(): name.read_bytes() for name in _code(root)}
    members[CODE_STATE] = json.dumps(state, sort_keys=True).encode()
    raw = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped,
        tarfile.open(mode="w", fileobj=zipped, format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(members):
            member = tarfile.TarInfo(name)  # time, owner and group are 0 by default
            member.size, member.mode = len(members[name]), 0o644
            tar.addfile(member, io.BytesIO(members[name]))
    return raw.getvalue()


def upload_data(
    stage: Stage,
    outputs: Mapping[str, Any],
    source: str | None,
    *,
    seed: int = 0,
    work_dir: Path = WORK,
    progress: bool = True,
) -> tuple[str, str | None]:
    """Return the s3:// prefix of the photos and the data set's digest; upload what is not there yet.

    `source` is a folder, an archive or None for the handwritten digits: checked first, then uploaded photo by photo,
    so that what was interrupted goes on. Photos that are in a bucket stay there, and have no digest without a download.

    Raises:
        DatasetError: the photos break a rule.
        UploadError: the bucket does not take them.
    """
    if source is not None and source.startswith("s3://"):
        return as_prefix(source), None
    dataset = load_dataset(source, seed=seed, work_dir=work_dir, progress=progress)
    samples = [sample for split in SPLITS for sample in dataset.split(split)]
    root = os.path.commonpath([sample.path.parent for sample in samples])
    photos = {sample.path.relative_to(root).as_posix(): sample for sample in samples}
    listing = "".join(f"{name}\0{photos[name].sha256}\n" for name in sorted(photos))
    bucket, scratch = location(outputs)
    content = hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()
    prefix = f"{scratch}data/{content[:32]}/"
    _check_names(photos, prefix)
    client = stage.client("s3")

    def send(name: str) -> None:
        client.put_object(Bucket=bucket, Key=prefix + name, Body=photos[name].path.read_bytes())

    try:
        there = sizes(client, bucket, prefix)
        wanted = [name for name in sorted(photos) if there.get(prefix + name) != _size(photos[name].path)]
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            work = pool.map(send, wanted)
            try:
                deque(bar(work, title="Uploading", total=len(wanted), unit="photo", show=progress), maxlen=0)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except (BotoCoreError, ClientError) as error:
        raise _refused(f"s3://{bucket}/{prefix}", error) from error
    return f"s3://{bucket}/{prefix}", dataset.digest


def upload_weights(stage: Stage, outputs: Mapping[str, Any], file: str) -> str:
    """Upload a backbone's weights, unless they are there; return the s3:// prefix that holds the file."""
    path = Path(file)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    bucket, scratch = location(outputs)
    prefix = f"{scratch}weights/{digest[:32]}/"
    client = stage.client("s3")
    try:
        if sizes(client, bucket, prefix).get(prefix + path.name) != _size(path):
            client.upload_file(file, bucket, prefix + path.name)
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise _refused(f"s3://{bucket}/{prefix}", error) from error
    return f"s3://{bucket}/{prefix}"


def fetch_weights(stage: Stage, uri: str, folder: Path) -> Path:
    """Return the file that `upload_weights` has put there, brought here unless it is.

    Raises:
        UploadError: it is gone.
    """
    bucket, prefix = split_uri(uri)
    client = stage.client("s3")
    key, size = next(iter(sizes(client, bucket, prefix).items()), ("", 0))
    if not key:
        raise UploadError("The weights that a job was given are still there.", uri, "Start the job again.")
    path = folder / Path(prefix).name / Path(key).name
    if not path.is_file() or _size(path) != size:
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(path))  # aside first, as boto3 does
    return path


def location(outputs: Mapping[str, Any]) -> tuple[str, str]:
    """Return the bucket and the key prefix of the scratch location; the prefix ends with a slash."""
    return split_uri(outputs["artifact_locations"]["scratch"])


def split_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of s3://bucket/key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def as_prefix(uri: str) -> str:
    """Return the address with its slash, unless it is an archive's.

    To S3 and SageMaker a prefix is the beginning of a key: without the slash, "photos" brings "photos-old/", too.
    """
    return uri if uri.endswith("/") or uri.lower().endswith(ARCHIVE_SUFFIXES) else f"{uri}/"


def sizes(client: Any, bucket: str, prefix: str) -> dict[str, int]:
    """Return the sizes in bytes of the objects below the prefix, by key."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


def _code(root: Path) -> Iterator[Path]:
    for name in CODE:
        path = root / name
        below = path.rglob("*") if path.is_dir() else [path]
        yield from (file for file in below if file.is_file() and "__pycache__" not in file.parts)


def _check_names(photos: dict[str, Any], prefix: str) -> None:
    for name in photos:
        try:
            fits = len((prefix + name).encode()) <= _LONGEST_KEY
        except UnicodeEncodeError:
            fits = False
        if not fits:
            shown = name.encode(errors="backslashreplace").decode()
            raise UploadError(
                f"A photo's path must be UTF-8, and a key of at most {_LONGEST_KEY} bytes.",
                shown,
                "Rename the file.",
            )


def _size(path: Path) -> int:
    return path.stat().st_size


def _refused(uri: str, error: Exception) -> UploadError:
    return UploadError(
        "Jobs read code and photos from the scratch location, where you must be able to write.",
        f"{uri}: {error}",
        "Your own rights need s3:ListBucket on the bucket and s3:PutObject there (and kms:GenerateDataKey on its key).",
    )
