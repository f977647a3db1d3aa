"""How a training container begins, whoever starts it."""

from __future__ import annotations

BASE = "/opt/ml"
ARCHIVE = "source.tar.gz"
# The code comes as a channel, so that a change of it needs no new image. A training job is told this command; the
# `train` of an image of ours, which is all that a tuning job can start, is the same.
ENTRYPOINT = [
    "/bin/sh",
    "-c",
    f"mkdir -p {BASE}/code && tar -xzf {BASE}/input/data/code/{ARCHIVE} -C {BASE}/code"
    f" && cd {BASE}/code && exec python3 -m ml.jobs.container",
]
