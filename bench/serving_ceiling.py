"""What the engine and the decoder of an archive do by themselves, on all processors that this process may use.

    PYTHONPATH=model/code python -P bench/serving_ceiling.py MODEL_DIR SECONDS photo.jpg ...

With the archive's own code. Decoding is from the JPEG's bytes to the network's pixels. Prints images a second.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def rate(work: Callable[[int], int], threads: int, seconds: float) -> float:
    """Images a second that as many threads come to; `work` tells how many it did."""
    counts = [0] * threads
    times = [0.0] * threads
    barrier = threading.Barrier(threads)

    def turn(number: int) -> None:
        work(number)  # warm
        barrier.wait()
        started = time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds:
            counts[number] += work(number)
        times[number] = passed

    workers = [threading.Thread(target=turn, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(count / passed for count, passed in zip(counts, times, strict=True))


def main() -> None:
    model_dir, seconds, *files = sys.argv[1:]
    photos = [Path(file).read_bytes() for file in files]
    handlers: Any = importlib.import_module("serving.handlers")
    engine: Any = importlib.import_module("serving.engine").Engine.load(model_dir)
    preprocessing = engine.preprocessing
    turns = itertools.count()

    def decode(_: int) -> int:
        photo = photos[next(turns) % len(photos)]
        preprocessing.pixels(handlers.decode_image(photo, None, preprocessing.decoded_side))
        return 1

    one = preprocessing.pixels(handlers.decode_image(photos[0], None, preprocessing.decoded_side))
    batch = np.stack([one] * engine.max_batch)  # [N, H, W, 3]

    def forward(_: int) -> int:
        engine.infer(batch)
        return len(batch)

    processors = importlib.import_module("serving.processors").cpu_count()
    found = {
        "forward": rate(forward, engine.concurrency, float(seconds)),
        "decode": rate(decode, processors, float(seconds)),
        "precision": engine.manifest.precision,
        "concurrency": engine.concurrency,
        "max_batch": engine.max_batch,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
