"""The network in OpenVINO or in PyTorch: bytes of pixels [N, H, W, 3] to logits [N, C], safe to call from threads."""

from __future__ import annotations

import collections
import contextlib
import functools
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from .manifest import Manifest
from .processors import BF16, processor_flags

if TYPE_CHECKING:
    import openvino
    import torch

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

CUDA_BATCH: Final = 32
TORCH_BATCH: Final = 4


@functools.cache
def core() -> openvino.Core:
    """OpenVINO, once for the whole process and until its end.

    With the last core goes what runs on processors, and from the thread that loaded it its stack for signals is
    taken, which an end in another thread leaves registered: the next signal, as a Ctrl-C, would be a crash.
    """
    import openvino

    return openvino.Core()


class Network(Protocol):
    @property
    def concurrency(self) -> int:
        """So many callers at once make use of the processors."""

    @property
    def max_batch(self) -> int:
        """The most images a call that pay; 1: as many calls are as fast."""

    def __call__(self, pixels: Pixels) -> Floats: ...


class OpenVinoNetwork:
    """A lone image has all cores; several at a time have a thread each, which gets most done in all.

    Images are computed one by one: what comes out for one does not depend on those around it, and batches of
    ResNet-50 in int8 would take 2 to 5 % less.
    """

    max_batch: Final = 1

    def __init__(self, model: Path, precision: str, cores: int, *, alone: bool = True) -> None:
        """Without `alone` a lone image has one core, too, and half the work is to be done here."""
        self.concurrency = cores
        graph = core().read_model(model)
        graph.reshape([1, *graph.input(0).partial_shape[1:]])
        options = {
            # Without this hint OpenVINO computes in bf16 where the processor can. What int8 leaves is f32.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": cores,
            # Another process may be pinned to the same ones: where threads run is left to the system.
            "ENABLE_CPU_PINNING": False,
        }

        def compiled(streams: int) -> openvino.CompiledModel:
            hint = "LATENCY" if streams == 1 else "THROUGHPUT"
            return core().compile_model(
                graph, "CPU", {**options, "NUM_STREAMS": streams, "PERFORMANCE_HINT": hint}
            )

        self._gate = _Gate()
        self._streams: queue.SimpleQueue[Any] = queue.SimpleQueue()
        together = compiled(cores)
        for _ in range(cores):
            self._streams.put(together.create_infer_request())
        self._alone = compiled(1).create_infer_request() if alone and cores > 1 else None

    def __call__(self, pixels: Pixels) -> Floats:
        request = self._alone if len(pixels) == 1 else None
        with self._gate.entered(alone=request is not None) as alone:
            if request is None or not alone:
                return self._spread(pixels)
            request.infer({0: pixels}, share_inputs=True)
            return _logits(request)

    def _spread(self, pixels: Pixels) -> Floats:
        """An image a stream, on as many as are free."""
        rows: list[Floats] = [np.empty(0, np.float32)] * len(pixels)
        running: collections.deque[tuple[int, Any]] = collections.deque()

        def collect() -> Any:
            number, request = running[0]
            request.wait()
            rows[number] = _logits(request)
            running.popleft()
            return request

        try:
            for number in range(len(pixels)):
                try:
                    request = self._streams.get(block=not running)
                except queue.Empty:
                    request = collect()
                running.append((number, request))
                request.start_async({0: pixels[number : number + 1]}, share_inputs=True)
            while running:
                self._streams.put(collect())
        finally:
            for _, request in running:  # after a failure: they read the pixels, and others need them
                with contextlib.suppress(Exception):
                    request.wait()
                self._streams.put(request)
        return np.concatenate(rows)


def _logits(request: Any) -> Floats:
    # A copy: the next inference writes over the tensor.
    return np.array(request.get_output_tensor(0).data, np.float32)


class _Gate:
    """Lets one in alone, or several together, never both: their threads would share the cores."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._alone = False
        self._together = 0

    @contextlib.contextmanager
    def entered(self, *, alone: bool) -> Iterator[bool]:
        """Whether it is alone: who has to wait for another is not."""
        with self._changed:
            alone = alone and not self._alone and self._together == 0
            if alone:
                self._alone = True
            else:
                self._changed.wait_for(lambda: not self._alone)
                self._together += 1
        try:
            yield alone
        finally:
            with self._changed:
                if alone:
                    self._alone = False
                    self._changed.notify_all()
                else:
                    self._together -= 1


class TorchNetwork:
    """On CUDA where there is a GPU, else one call at a time on all cores; in bf16 where that is the precision or below,
    and fast."""

    def __init__(self, weights: Path, manifest: Manifest, cores: int) -> None:
        import torch
        from safetensors.torch import load_file

        from .network import NetworkSpec, build

        self._cuda = torch.cuda.is_available()
        self.concurrency, self.max_batch = (2, CUDA_BATCH) if self._cuda else (1, TORCH_BATCH)
        if not self._cuda:
            torch.set_num_threads(cores)
        self._device = torch.device("cuda" if self._cuda else "cpu")
        model = build(NetworkSpec.from_dict(manifest.network))
        model.load_state_dict(load_file(weights))
        self._model = model.to(self._device).to(memory_format=torch.channels_last)
        self._reduced = _reduced(model) if manifest.precision != "f32" else None
        self._mean, self._std = (
            torch.tensor(values, device=self._device).reshape(1, 3, 1, 1)
            for values in (manifest.preprocessing.mean, manifest.preprocessing.std)
        )
        # On a processor a call has all cores; a GPU takes one's pixels while it computes another's.
        self._turn = contextlib.nullcontext() if self._cuda else threading.Lock()

    def __call__(self, pixels: Pixels) -> Floats:
        import torch

        with (
            self._turn,
            torch.inference_mode(),
            torch.autocast(self._device.type, self._reduced, enabled=self._reduced is not None),
        ):
            images = torch.from_numpy(pixels)
            if self._cuda:
                images = images.pin_memory().to(self._device, non_blocking=True)
            # [N, H, W, 3] seen as [N, 3, H, W] is channels_last, which the kernels take as it is.
            images = images.permute(0, 3, 1, 2).float().div_(255).sub_(self._mean).div_(self._std)
            logits: Floats = self._model(images).float().cpu().numpy()
            return logits


def _reduced(model: torch.nn.Module) -> torch.dtype | None:
    """The numbers of 16 bits that the device is faster with, if any."""
    import torch

    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if not BF16.isdisjoint(processor_flags()) and not any(_is_depthwise(layer) for layer in model.modules()):
        return torch.bfloat16
    return None


def _is_depthwise(layer: torch.nn.Module) -> bool:
    """PyTorch's are slower in bf16 than in f32 on a processor."""
    import torch

    return isinstance(layer, torch.nn.Conv2d) and layer.groups > 1 and layer.groups == layer.in_channels
