"""A backbone, or a whole network, in int8: NNCF sets the scale of each layer's values by a few training photos.

NNCF works in a process of its own, since it changes the class of all loggers, draws progress bars and reports to
its makers: see `quantize_worker`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml import ir
from ml.data import Sample
from ml.decoding import decoded
from ml.errors import KennelError
from ml.feature_cache import FeatureCache, Graph
from ml.weights import LoadedBackbone

if TYPE_CHECKING:
    import openvino
    from torch import nn

    from ml.serving.network import Network
    from ml.serving.preprocessing import Preprocessing

# For calibration. 64 take 2 s longer with ResNet-50 and make EfficientNet-lite0's heads no better (within 0.1 point).
PHOTOS = 32
_TIMEOUT = 1800  # seconds; ResNet-50 takes about five on two idle cores
_ROOT = Path(__file__).resolve().parents[1]


def describe() -> str:
    """What the result depends on besides the backbone and the photos."""
    worker = Path(__file__).with_name("quantize_worker.py").read_bytes()
    return f"nncf {importlib.metadata.version('nncf')} {hashlib.sha256(worker).hexdigest()}"


def chosen(photos: Sequence[Sample]) -> list[Sample]:
    """Those to calibrate by: new photos leave the choice mostly as it is."""
    if not photos:
        raise KennelError("int8 needs training photos to calibrate by", "none", "use precision=bf16 or f32")
    return sorted({photo.sha256: photo for photo in photos}.values(), key=lambda photo: photo.sha256)[:PHOTOS]


def graph(backbone: LoadedBackbone, photos: Sequence[Sample], cache: FeatureCache | None) -> Graph:
    """The backbone in int8 for images [1, 3, crop, crop], calibrated by all of the photos."""
    identity = {"backbone": backbone.name, "weights": backbone.digest}
    return _graph(backbone.module, identity, backbone.preprocessing, photos, cache, batch=1)


def network_graph(
    network: Network,
    digest: str,
    preprocessing: Preprocessing,
    photos: Sequence[Sample],
    cache: FeatureCache | None,
) -> Graph:
    """The network with that digest, head included, in int8 for images [N, 3, crop, crop]."""
    return _graph(network, {"network": digest}, preprocessing, photos, cache, batch=-1)


def _graph(
    module: nn.Module,
    identity: Mapping[str, str],
    preprocessing: Preprocessing,
    photos: Sequence[Sample],
    cache: FeatureCache | None,
    *,
    batch: int,
) -> Graph:
    parts = {
        **identity,
        "preprocessing": preprocessing.to_dict(),
        "photos": [photo.sha256 for photo in photos],
        "with": describe(),
    }
    name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
    if cache is not None and (kept := cache.read_graph(name)) is not None:
        return kept
    frames = decoded([(photo, [0]) for photo in photos], preprocessing)
    pixels = np.stack([preprocessing.normalize(Image.fromarray(frame)) for _, frame in frames])
    made = _quantized(ir.convert(module, preprocessing.crop, batch=batch), pixels)
    if cache is not None:
        cache.write_graph(name, made)
    return made


def _quantized(model: openvino.Model, pixels: NDArray[np.float32]) -> Graph:
    with tempfile.TemporaryDirectory(prefix="kennel-quantize-") as name:
        folder = Path(name)
        ir.save(model, folder / "f32.xml")
        np.save(folder / "pixels.npy", pixels)
        done = subprocess.run(
            [sys.executable, "-m", "ml.quantize_worker", name],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise KennelError(
                "NNCF must be able to quantize the network",
                (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1],
                "use precision=bf16 or f32",
            )
        return (folder / "int8.xml").read_bytes(), (folder / "int8.bin").read_bytes()
