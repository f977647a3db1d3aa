"""Each image through the frozen backbone, once, ever."""

from __future__ import annotations

import collections
import copy
import hashlib
import inspect
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Protocol

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ml import ir
from ml.data import Sample
from ml.errors import KennelError
from ml.feature_cache import SHARD_ROWS, FeatureCache, Features
from ml.serving import images, preprocessing
from ml.serving.engine import cpu_count
from ml.serving.images import ImageError
from ml.weights import LoadedBackbone

CUDA_BATCH = 64
Pixels = NDArray[np.float32]  # [3, H, W], normalized


class Extractor(Protocol):
    """Runs the backbone. What comes out for an image must not depend on the images around it."""

    name: str  # with its version: other arithmetic gives other last bits

    def run(self, pixels: Iterator[tuple[str, Pixels]]) -> Iterator[tuple[str, Features]]: ...


def extract(
    samples: Sequence[Sample], backbone: LoadedBackbone, *, cache: FeatureCache, progress: bool = True
) -> Features:
    """Features [N, D] of the samples, in their order, from the cache where they are in it.

    An interrupted run goes on where it stopped. Raises `KennelError` where an image cannot be read.
    """
    extractor_type = _extractor_type()
    space = _space(backbone, extractor_type.describe())
    wanted = {sample.sha256: sample for sample in samples}
    found = cache.read(space, wanted)
    todo = [sample for sha256, sample in wanted.items() if sha256 not in found]
    if todo:
        fresh: dict[str, Features] = {}
        extractor = extractor_type(backbone)
        bar = tqdm(
            total=len(wanted),
            initial=len(found),
            desc="features",
            unit="img",
            disable=None if progress else True,
        )
        try:
            with bar:
                for sha256, row in extractor.run(_decoded(todo, backbone)):
                    found[sha256] = fresh[sha256] = row
                    bar.update()
                    if len(fresh) == SHARD_ROWS:
                        cache.write(space, fresh)
                        fresh = {}
        finally:
            cache.write(space, fresh)
        cache.evict()
    return np.stack([found[sample.sha256] for sample in samples])


def _space(backbone: LoadedBackbone, extractor: str) -> str:
    """Names all that the features depend on besides the image, so that a change of any starts afresh."""
    parts = {
        "backbone": backbone.name,
        "weights": backbone.digest,
        "preprocessing": backbone.preprocessing.to_dict(),
        "extractor": extractor,
        "pillow": PIL.__version__,
        "decoding": [_source_digest(module) for module in (images, preprocessing)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _source_digest(module: ModuleType) -> str:
    return hashlib.sha256(inspect.getsource(module).encode()).hexdigest()


def _decoded(samples: Sequence[Sample], backbone: LoadedBackbone) -> Iterator[tuple[str, Pixels]]:
    """Decodes ahead of the backbone, and only so far ahead that memory stays bounded."""
    workers = cpu_count()
    ahead: collections.deque[tuple[str, Future[Pixels]]] = collections.deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for sample in samples:
                ahead.append((sample.sha256, pool.submit(_pixels, sample, backbone)))
                if len(ahead) > 4 * workers:
                    sha256, future = ahead.popleft()
                    yield sha256, future.result()
            for sha256, future in ahead:
                yield sha256, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _pixels(sample: Sample, backbone: LoadedBackbone) -> Pixels:
    try:
        content = sample.path.read_bytes()
    except OSError as error:
        raise KennelError(
            "An image must be readable",
            f"{sample.path}: {error.strerror}",
            "check the file, then start again",
        ) from error
    if hashlib.sha256(content).hexdigest() != sample.sha256:
        raise KennelError(
            "Images must stay as they are while a run goes on", f"{sample.path} has changed", "start again"
        )
    try:
        return backbone.preprocessing.apply(images.decode(content))
    except ImageError as error:
        raise KennelError(
            "An image must be readable", f"{sample.path}: {error}", "remove or replace the file"
        ) from error


def _extractor_type() -> type[OpenVinoExtractor] | type[TorchExtractor]:
    if ir.available() and not torch.cuda.is_available():
        return OpenVinoExtractor
    return TorchExtractor


class OpenVinoExtractor:
    """One image an inference and one thread a stream: the fastest on a CPU, and neither the other images nor
    the number of cores can change a bit of the result.
    """

    def __init__(self, backbone: LoadedBackbone) -> None:
        import openvino as ov

        cores = cpu_count()
        size = backbone.preprocessing.crop
        core = ov.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # else bf16 where the CPU has it
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": cores,
            "INFERENCE_NUM_THREADS": cores,
        }
        model = ir.convert(backbone.module, size, batch=1)
        self._queue = ov.AsyncInferQueue(core.compile_model(model, "CPU", settings), 2 * cores)

    @staticmethod
    def describe() -> str:
        import openvino as ov

        return f"openvino {ov.__version__} CPU f32"

    def run(self, pixels: Iterator[tuple[str, Pixels]]) -> Iterator[tuple[str, Features]]:
        done: collections.deque[tuple[str, Features]] = collections.deque()
        self._queue.set_callback(
            lambda request, key: done.append((key, request.get_output_tensor().data[0].copy()))
        )
        for key, image in pixels:
            self._queue.start_async({0: image[None]}, key)  # waits while all requests are busy
            while done:
                yield done.popleft()
        self._queue.wait_all()
        yield from done


class TorchExtractor:
    """On CUDA in batches of one fixed size, the last one filled up: every image meets the same kernels."""

    def __init__(self, backbone: LoadedBackbone) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._batch = CUDA_BATCH if self._device.type == "cuda" else 1
        self._module = copy.deepcopy(backbone.module).to(self._device)  # `to` moves in place

    @staticmethod
    def describe() -> str:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        return f"torch {torch.__version__} {device} f32"

    def run(self, pixels: Iterator[tuple[str, Pixels]]) -> Iterator[tuple[str, Features]]:
        waiting: list[tuple[str, Pixels]] = []
        for item in pixels:
            waiting.append(item)
            if len(waiting) == self._batch:
                yield from self._forward(waiting)
                waiting = []
        if waiting:
            yield from self._forward(waiting)

    def _forward(self, items: list[tuple[str, Pixels]]) -> Iterator[tuple[str, Features]]:
        batch = np.zeros((self._batch, *items[0][1].shape), np.float32)
        batch[: len(items)] = [image for _, image in items]
        with torch.inference_mode(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            rows = self._module(torch.from_numpy(batch).to(self._device)).cpu().numpy()
        for (key, _), row in zip(items, rows, strict=False):
            yield key, row.copy()
