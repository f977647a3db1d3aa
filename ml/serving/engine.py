"""The model, ready to answer: OpenVINO where it is installed, else PyTorch; the same answers from both."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from .errors import ModelError
from .images import ImageError, decode
from .manifest import Manifest
from .networks import Floats, Network, OpenVinoNetwork, Pixels, TorchNetwork
from .preprocessing import Preprocessing
from .processors import processors
from .settings import EngineKind

FILES: Final[dict[EngineKind, tuple[str, ...]]] = {
    "openvino": ("model.xml", "model.bin"),
    "torch": ("model.safetensors",),
}


class Engine:
    def __init__(self, manifest: Manifest, kind: EngineKind, network: Network) -> None:
        self.manifest = manifest
        self.kind = kind
        self._network = network

    @classmethod
    def load(cls, model_dir: str | Path, kind: EngineKind | None = None) -> Engine:
        """Loads and warms up; raises ModelError where the model could not serve."""
        model_dir = Path(model_dir)
        manifest = Manifest.load(model_dir)
        if kind is None:
            kind = _default_kind()
        for name in (*FILES[kind], manifest.golden.file):
            if not (model_dir / name).is_file():
                raise ModelError(
                    f"The model directory holds {name} for the {kind} engine.",
                    f"{model_dir} without it",
                    "Unpack the whole model.tar.gz there, or choose another KENNEL_ENGINE.",
                )
        try:
            network = _network(kind, model_dir, manifest)
        except Exception as error:
            raise ModelError(
                f"The {kind} engine loads the model.",
                f"{type(error).__name__}: {error}",
                "Pack the model again, with the versions of the libraries that serve it.",
            ) from error
        engine = cls(manifest, kind, network)
        engine._warm_up(model_dir)
        return engine

    @property
    def classes(self) -> tuple[str, ...]:
        return self.manifest.classes

    @property
    def preprocessing(self) -> Preprocessing:
        return self.manifest.preprocessing

    @property
    def concurrency(self) -> int:
        """So many callers of `infer` at once make use of the processors."""
        return self._network.concurrency

    @property
    def max_batch(self) -> int:
        """The most images a call of `infer` that pay; 1: as many calls are as fast."""
        return self._network.max_batch

    def infer(self, pixels: Pixels) -> Floats:
        """Pixels [N, H, W, 3], as preprocessing gives them, to logits [N, C]; safe to call from several threads."""
        return self._network(pixels)

    def classify(self, images: Sequence[Image.Image]) -> Floats:
        """RGB images to logits [N, C]."""
        return self.infer(np.stack([self.preprocessing.pixels(image) for image in images]))

    def _warm_up(self, model_dir: Path) -> None:
        golden = self.manifest.golden
        try:
            logits = self.classify([decode((model_dir / golden.file).read_bytes())])
        except ImageError as error:
            raise ModelError(
                "The golden image can be read.", error.message, "Pack the model again."
            ) from error
        if logits.shape != (1, len(self.classes)):
            raise ModelError(
                "The model gives one score for each class.",
                f"scores of shape {list(logits.shape)} for {len(self.classes)} classes",
                "Pack the model again, with the class names that it was trained on.",
            )
        probabilities = softmax(logits)[0]
        label = int(probabilities.argmax())
        # Negated, so that a NaN fails too.
        if label != golden.label or not abs(probabilities[label] - golden.probability) <= golden.tolerance:
            raise ModelError(
                f"The golden image is answered as at packing: {golden.label} with {golden.probability:.3f}.",
                f"{label} with {probabilities[label]:.3f}",
                "Pack the model again; the weights or the preprocessing are not the ones that were packed.",
            )


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _default_kind() -> EngineKind:
    if importlib.util.find_spec("openvino") is None or _has_gpu():
        return "torch"
    return "openvino"


def _has_gpu() -> bool:
    # Looked for before torch is imported, which takes seconds and hundreds of megabytes.
    if not any(Path("/dev").glob("nvidia[0-9]*")) or importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _network(kind: EngineKind, model_dir: Path, manifest: Manifest) -> Network:
    cores = processors().cores
    if kind == "openvino":
        return OpenVinoNetwork(model_dir / "model.xml", manifest.precision, cores)
    return TorchNetwork(model_dir / "model.safetensors", manifest, cores)
