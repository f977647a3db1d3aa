"""Photos a second through a frozen backbone, for each precision.

    python -m bench.extraction --photos DIR [--backbone torchvision/resnet50] [--weights resnet50.safetensors]
                               [--precisions f32,bf16,int8] [--limit 1000] [--repeat 3]

`whole` is what a user waits for: `extract` into an empty cache, with loading and compiling the graph; an int8 graph
is there already, as it is made once for all trials and runs, and its making is told as `prepare`. `forward` is the
backbone alone on photos decoded before, `decode` the photos alone. Medians of repetitions that take turns, so that
a busy machine slows all alike; `cpu` is the processor time of a photo in `whole`, which a busy machine hardly changes.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from ml import quantize
from ml.config import PACKAGED_BACKBONE
from ml.data import Sample
from ml.decoding import decoded
from ml.extractors import extractor_type
from ml.feature_cache import FeatureCache, Features
from ml.features import extract
from ml.precision import resolve_precision
from ml.weights import LoadedBackbone, load_backbone

_ROOM = 2**40  # bytes


def samples_in(folder: Path, limit: int) -> list[Sample]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    found = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in paths}
    return [Sample(0, sha256, path) for sha256, path in sorted(found.items())[:limit]]


def whole(samples: list[Sample], backbone: LoadedBackbone, precision: str, graphs: Path) -> Features:
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder), limit=_ROOM)
        for kept in graphs.iterdir():
            (Path(folder) / kept.name).symlink_to(kept)
        return extract(
            samples, backbone, cache=cache, precision=precision, calibration=samples, progress=False
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--backbone", default=PACKAGED_BACKBONE)
    parser.add_argument("--weights", default="packaged")
    parser.add_argument("--precisions", default="f32,bf16,int8")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    samples = samples_in(arguments.photos, arguments.limit)
    backbone = load_backbone(arguments.backbone, arguments.weights)
    precisions = arguments.precisions.split(",")
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    features: dict[str, Features] = {}
    frames = list(decoded([(sample, [0]) for sample in samples], backbone.preprocessing))

    def timed(name: str, precision: str = "") -> None:
        seconds[name, precision].append(time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as graphs:
        extractors = {}
        for precision in precisions:
            start = time.perf_counter()
            chosen = quantize.chosen(samples)
            store = FeatureCache(Path(graphs), limit=_ROOM)
            graph = quantize.graph(backbone, chosen, store) if precision == "int8" else None
            numbers = resolve_precision(precision, backbone, len(samples))
            extractors[precision] = extractor_type()(backbone, numbers, graph)
            timed("prepare", precision)
        for _ in range(arguments.repeat):
            start = time.perf_counter()
            for _frame in decoded([(sample, [0]) for sample in samples], backbone.preprocessing):
                pass
            timed("decode")
            for precision in precisions:
                start = time.perf_counter()
                for _row in extractors[precision].run(iter(frames)):
                    pass
                timed("forward", precision)
                start, cpu = time.perf_counter(), time.process_time()
                features[precision] = whole(samples, backbone, precision, Path(graphs))
                timed("whole", precision)
                seconds["cpu", precision].append(time.process_time() - cpu)

    def rate(name: str, precision: str = "") -> float:
        return len(samples) / statistics.median(seconds[name, precision])

    print(f"{backbone.name}, {len(samples)} photos, medians of {arguments.repeat}, in photos a second")
    print(f"decode {rate('decode'):.0f}")
    print(f"{'':6} {'whole':>7} {'forward':>8} {'cpu ms':>7} {'prepare s':>10} {'cosine to f32':>14}")
    reference = features.get("f32")
    for precision in precisions:
        cosine = "" if reference is None else f"{_cosine(reference, features[precision]):.4f}"
        print(
            f"{precision:6} {rate('whole', precision):7.1f} {rate('forward', precision):8.1f} "
            f"{1000 / rate('cpu', precision):7.2f} {seconds['prepare', precision][0]:10.1f} {cosine:>14}"
        )


def _cosine(a: Features, b: Features) -> float:
    """The mean over the photos."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.mean(np.sum(a * b, axis=1) / lengths))


if __name__ == "__main__":
    main()
