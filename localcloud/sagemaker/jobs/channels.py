"""The input channels of a training job, from S3 into the folders of its instances."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

from localcloud.actors import Actor
from localcloud.sagemaker.jobs.storage import Location, StorageError, download


def bring(channel: dict[str, Any], actor: Actor, folders: list[Path]) -> None:
    """Fill each instance's folder of the channel. An object is downloaded once and linked into the other folders.

    Raises:
        StorageError: there is nothing to download, the actor may not, or a key makes no file name.
    """
    source = channel["DataSource"]["S3DataSource"]
    location = Location.of(source["S3Uri"], actor.account_id, actor)
    for folder in folders:
        folder.mkdir(parents=True)
    objects = [key for key in location.objects() if not key.name.endswith("/")]
    if not objects:
        raise StorageError(f"ClientError: Data download failed:NoSuchKey (404): no objects under {location}")
    sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
    for number, key in enumerate(objects):
        name = file_name(location, key.name)
        targets = [folders[number % len(folders)]] if sharded else folders
        first, *others = (folder / name for folder in targets)
        try:
            download(key, first, actor)
            for other in others:
                other.parent.mkdir(parents=True, exist_ok=True)
                os.link(first, other)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise StorageError(
                f"ClientError: Data download failed:S3 key: s3://{location.bucket}/{key.name} is a file and a folder"
            ) from error


def file_name(location: Location, key: str) -> str:
    """A file is named by what follows the prefix, or, where that ends within a name, its last `/`."""
    prefix = location.key
    if prefix and not prefix.endswith("/") and not key.startswith(prefix + "/"):
        prefix = prefix[: prefix.rfind("/") + 1]
    name = key.removeprefix(prefix).removeprefix("/")
    if not name or {"", ".", ".."} & set(name.split("/")) or PurePosixPath(name).is_absolute():
        raise StorageError(
            f"ClientError: Data download failed:S3 key: s3://{location.bucket}/{key} has an illegal char sub-sequence"
        )
    return name


def configuration(channels: list[dict[str, Any]], default_mode: str) -> dict[str, Any]:
    """inputdataconfig.json."""
    return {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", default_mode),
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": "None",
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        for channel in channels
    }
