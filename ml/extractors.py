"""What runs the frozen backbone, at the machine's best: OpenVINO on a processor, PyTorch on CUDA or without it.

Photos come as bytes [side, side, 3] and are normalized where the backbone computes. What comes out for one must
not depend on the photos around it, nor on the number of cores.
"""

from __future__ import annotations

import collections
import copy
from collections.abc import Iterator

import numpy as np
import torch

from ml import ir
from ml.decoding import Frame, Key
from ml.errors import KennelError
from ml.feature_cache import Features, Graph
from ml.precision import Precision
from ml.serving.networks import core
from ml.serving.processors import cpu_count
from ml.weights import LoadedBackbone

CUDA_BATCH = 64


class OpenVinoExtractor:
    """One photo an inference and one thread a stream: neither the other photos nor the number of cores can
    change a bit. With ResNet-50 in int8 batches of 4 to 16 take 2 to 5 % less, and one stream for all 23 % more."""

    def __init__(self, backbone: LoadedBackbone, precision: Precision, graph: Graph | None = None) -> None:
        import openvino as ov

        cores = cpu_count()
        settings = {
            # Said even for f32, else OpenVINO takes bf16 where the processor has it. What int8 leaves is f32.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": cores,
            "INFERENCE_NUM_THREADS": cores,
        }
        if graph is None:
            model = ir.convert(backbone.module, backbone.preprocessing.crop, batch=1)
        else:
            model = core().read_model(*graph)
        model = ir.normalizing(model, backbone.preprocessing)
        self._queue = ov.AsyncInferQueue(core().compile_model(model, "CPU", settings), 2 * cores)

    @staticmethod
    def describe(precision: Precision) -> str:
        """With the version: other arithmetic gives other last bits."""
        import openvino as ov

        return f"openvino {ov.__version__} CPU {precision}"

    def run(self, frames: Iterator[tuple[Key, Frame]]) -> Iterator[tuple[Key, Features]]:
        done: collections.deque[tuple[Key, Features]] = collections.deque()
        self._queue.set_callback(
            lambda request, key: done.append((key, request.get_output_tensor().data[0].copy()))
        )
        try:
            for key, frame in frames:
                self._queue.start_async({0: frame[None]}, key)  # waits while all requests are busy
                while done:
                    yield done.popleft()
        finally:
            # Neither another run nor the end of Python may come before the last callback: the end would be a crash.
            self._queue.wait_all()
        yield from done


class TorchExtractor:
    """On CUDA in batches of one fixed size, the last one filled up: every photo meets the same kernels."""

    def __init__(self, backbone: LoadedBackbone, precision: Precision, graph: Graph | None = None) -> None:
        if precision == "int8" or graph is not None:
            raise KennelError(
                "int8 features are computed by OpenVINO, on a processor",
                "a CUDA device" if torch.cuda.is_available() else "OpenVINO is not installed",
                "choose precision=bf16 or auto",
            )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._batch = CUDA_BATCH if self._device.type == "cuda" else 1
        # A copy, as `to` moves in place.
        self._module = copy.deepcopy(backbone.module).to(self._device).to(memory_format=torch.channels_last)
        self._amp = precision == "bf16"
        self._mean, self._std = (
            torch.tensor(values, device=self._device).reshape(1, 3, 1, 1)
            for values in (backbone.preprocessing.mean, backbone.preprocessing.std)
        )

    @staticmethod
    def describe(precision: Precision) -> str:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        return f"torch {torch.__version__} {device} {precision}"

    def run(self, frames: Iterator[tuple[Key, Frame]]) -> Iterator[tuple[Key, Features]]:
        waiting: list[tuple[Key, Frame]] = []
        for item in frames:
            waiting.append(item)
            if len(waiting) == self._batch:
                yield from self._forward(waiting)
                waiting = []
        if waiting:
            yield from self._forward(waiting)

    def _forward(self, items: list[tuple[Key, Frame]]) -> Iterator[tuple[Key, Features]]:
        batch = np.zeros((self._batch, *items[0][1].shape), np.uint8)
        batch[: len(items)] = [frame for _, frame in items]
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(deterministic=True, allow_tf32=False),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._amp),
        ):
            # [N, H, W, 3] seen as [N, 3, H, W] is channels_last, which the kernels take as it is
            pixels = torch.from_numpy(batch).to(self._device).permute(0, 3, 1, 2).float() / 255
            rows = self._module((pixels - self._mean) / self._std).float().cpu().numpy()
        for (key, _), row in zip(items, rows, strict=False):
            yield key, row.copy()


Extractor = OpenVinoExtractor | TorchExtractor


def extractor_type() -> type[Extractor]:
    if ir.available() and not torch.cuda.is_available():
        return OpenVinoExtractor
    return TorchExtractor
