"""The model, ready to answer: OpenVINO where it is installed, else PyTorch; the same answers from both."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from .errors import ModelError
from .images import ImageError, decode
from .manifest import Manifest
from .preprocessing import Preprocessing
from .settings import EngineKind

Floats = npt.NDArray[np.float32]
Network = Callable[[Floats], Floats]  # images [N, 3, H, W] to logits [N, C]; not thread-safe

FILES: Final[dict[EngineKind, tuple[str, ...]]] = {
    "openvino": ("model.xml", "model.bin"),
    "torch": ("model.safetensors",),
}
GOLDEN_TOLERANCE: Final = 0.02  # of the probability; engines and processors differ by far less


class Engine:
    def __init__(self, manifest: Manifest, kind: EngineKind, network: Network) -> None:
        self.manifest = manifest
        self.kind = kind
        self._network = network
        # A network is not thread-safe; the batch that has it has all processors.
        self._lock = threading.Lock()

    @classmethod
    def load(cls, model_dir: str | Path, kind: EngineKind | None = None) -> Engine:
        """Loads and warms up; raises ModelError where the model could not serve."""
        model_dir = Path(model_dir)
        manifest = Manifest.load(model_dir)
        if kind is None:
            kind = "openvino" if importlib.util.find_spec("openvino") else "torch"
        for name in (*FILES[kind], manifest.golden.file):
            if not (model_dir / name).is_file():
                raise ModelError(
                    f"The model directory holds {name} for the {kind} engine.",
                    f"{model_dir} without it",
                    "Unpack the whole model.tar.gz there, or choose another KENNEL_ENGINE.",
                )
        try:
            network = {"openvino": _openvino, "torch": _torch}[kind](model_dir, manifest)
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

    def predict(self, batch: Floats) -> Floats:
        """Preprocessed images [N, 3, H, W] to logits [N, C]; safe to call from several threads."""
        with self._lock:
            return self._network(batch)

    def classify(self, images: Sequence[Image.Image]) -> Floats:
        """RGB images to logits [N, C]."""
        return self.predict(np.stack([self.preprocessing.apply(image) for image in images]))

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
        if label != golden.label or not abs(probabilities[label] - golden.probability) <= GOLDEN_TOLERANCE:
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


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _openvino(model_dir: Path, manifest: Manifest) -> Network:
    import openvino

    options = {
        # Without this hint OpenVINO computes in bf16 where the processor can.
        "INFERENCE_PRECISION_HINT": manifest.precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": cpu_count(),
    }
    request = openvino.compile_model(model_dir / "model.xml", "CPU", options).create_infer_request()

    def network(batch: Floats) -> Floats:
        request.infer({0: batch}, share_inputs=True)
        # A copy: the next inference writes over the tensor.
        return np.array(request.get_output_tensor(0).data, np.float32)

    return network


def _torch(model_dir: Path, manifest: Manifest) -> Network:
    import torch
    from safetensors.torch import load_file

    from .network import NetworkSpec, build

    model = build(NetworkSpec.from_dict(manifest.network))
    model.load_state_dict(load_file(model_dir / "model.safetensors"))
    model.to(memory_format=torch.channels_last)

    def network(batch: Floats) -> Floats:
        with torch.inference_mode():
            images = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
            logits: Floats = model(images).numpy()
            return logits

    return network
