"""The photos that a load sends, as the bodies of its requests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ml.artifact import unpacked
from ml.errors import KennelError
from ml.serving.images import ImageError, decode, sniff
from ops import artifacts, predict
from ops.load.options import Where
from ops.stage import Stage

MAX_BYTES = 6 * 1024**2  # what SageMaker takes in a request
MAX_PHOTOS = 64  # sent in turn, from memory; of a larger folder every so many
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


@dataclass(frozen=True)
class Body:
    content: bytes
    content_type: str


def bodies(photos: list[bytes], on: Where) -> list[Body]:
    """The requests' bodies: the photo for the endpoint, an event for the function."""
    if on == "endpoint":
        return [Body(photo, TYPES[sniff(photo) or "JPEG"]) for photo in photos]
    events = [{"image": predict.encoded(photo), "top_k": predict.TOP} for photo in photos]
    return [Body(json.dumps(event).encode(), "application/json") for event in events]


def photos(source: str | None, stage: Stage) -> list[bytes]:
    """The photos of a file or folder; without one, the picture that came with the stage's model.

    Raises:
        KennelError: there is none, or it could not be answered.
    """
    if source is None:
        return [_golden(stage)]
    if "://" in source:
        raise KennelError("A load sends photos of this machine.", source, "Name a photo or a folder.")
    found = predict.find_images(source)
    chosen = found[:: -(-len(found) // MAX_PHOTOS)]
    return [_checked(Path(each)) for each in chosen]


def _checked(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise KennelError(
                f"A request holds at most {MAX_BYTES:,} bytes.", f"{path}: {size:,}", "Send a smaller photo."
            )
        content = path.read_bytes()
        if sniff(content) not in TYPES:
            raise KennelError(f"A photo is one of {', '.join(TYPES)}.", path, "Send another photo.")
        decode(content)
    except OSError as error:
        raise KennelError("A photo can be read.", error, "Correct the path or its rights.") from error
    except ImageError as error:
        raise KennelError(
            "A photo can be read.", f"{path}: {error.message}", "Send another photo."
        ) from error
    return content


def _golden(stage: Stage) -> bytes:
    model = artifacts.chosen(stage)
    manifest = model.manifest() if model is not None else None
    if model is None or manifest is None:
        raise KennelError(
            "A load needs photos.",
            "none named, and the model's archive is not on this machine",
            "Add --image.",
        )
    with unpacked(model.archive) as directory:
        return Path(directory, manifest["golden"]["file"]).read_bytes()
