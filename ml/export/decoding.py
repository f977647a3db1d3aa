"""How large photos have to be decoded for the answers to stay as they are."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ml.data import Sample
from ml.serving.images import decode, sniff
from ml.serving.networks import OpenVinoNetwork
from ml.serving.preprocessing import Preprocessing

MARGINS = (1.0, 1.5, 2.0)
STAND_IN_MARGIN = 2.0  # an enlarged photo has no detail to lose, and so proves little
PHOTOS = 64
STAND_INS = 24


def decoding(
    network: OpenVinoNetwork, photos: Sequence[Sample], preprocessing: Preprocessing
) -> tuple[Preprocessing, dict[str, Any]]:
    """The preprocessing with the smallest margin that changes none of the answers, and what it was tried on."""
    contents = [photo.path.read_bytes() for photo in photos[:PHOTOS]]
    tried: list[dict[str, Any]] = []
    for margin in MARGINS:
        changed = dataclasses.replace(preprocessing, decode_margin=margin)
        least = 2 * math.ceil(
            margin * preprocessing.resize
        )  # pixels, from which on a JPEG is decoded smaller
        own = [content for content in contents if _shorter_side(content) >= least]
        if 2 * len(own) < len(contents):
            if margin < STAND_IN_MARGIN:
                continue
            own = []
        tested = own or [_enlarged(content, least) for content in contents[:STAND_INS]]
        same = int(np.sum(_answers(network, tested, preprocessing) == _answers(network, tested, changed)))
        tried.append({"margin": margin, "photos": len(tested), "enlarged": not own, "same": same})
        if same == len(tested):
            return changed, {"tried": tried}
    return preprocessing, {"tried": tried}


def _answers(network: OpenVinoNetwork, contents: Sequence[bytes], preprocessing: Preprocessing) -> Any:
    images = (decode(content, shorter=preprocessing.decoded_side) for content in contents)
    return network(np.stack([preprocessing.pixels(image) for image in images])).argmax(1)


def _shorter_side(content: bytes) -> int:
    """Pixels; 0 of what is no JPEG."""
    if sniff(content) != "JPEG":
        return 0
    with Image.open(io.BytesIO(content)) as image:  # the header alone
        return min(image.size)


def _enlarged(content: bytes, side: int) -> bytes:
    image = decode(content)
    scale = side / min(image.size)
    size = tuple(max(side, round(length * scale)) for length in image.size)
    file = io.BytesIO()
    image.resize((size[0], size[1]), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()
