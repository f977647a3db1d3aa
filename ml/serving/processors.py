"""What this process may compute with: less than the machine has, where a container or an affinity says so."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

# Instructions, any of which makes bf16 fast.
BF16: Final = frozenset({"avx512_bf16", "amx_bf16"})


@dataclass(frozen=True)
class Processors:
    threads: int  # that may run at once
    cores: int  # with arithmetic units of their own: two hyperthreads share a core's


def processors(root: Path = Path("/"), allowed: Collection[int] | None = None) -> Processors:
    """Those that the affinity allows and the control group's share of time pays for; `root` holds proc and sys."""
    allowed = _affinity() if allowed is None else allowed
    # Rounded down: more threads than paid for stand still, all at once, for the rest of each period.
    paid = max(1, int(min(_quotas(root), default=len(allowed))))
    threads = min(len(allowed), paid)
    return Processors(threads, min(threads, len({_siblings(root, number) for number in allowed})))


def cpu_count() -> int:
    """Threads of this process that may run at once."""
    return processors().threads


def shares(
    count: int, root: Path = Path("/"), allowed: Collection[int] | None = None
) -> list[tuple[int, ...]]:
    """The processors of each of `count` processes, those of a core together; nothing where one has all."""
    if count == 1 or not hasattr(os, "sched_setaffinity"):
        return [()] * count
    allowed = _affinity() if allowed is None else allowed
    threads = processors(root, allowed).threads
    ordered = sorted(allowed, key=lambda number: (_siblings(root, number), number))[: max(threads, count)]
    bounds = [len(ordered) * number // count for number in range(count + 1)]
    # More processes than processors share some.
    return [
        tuple(ordered[low:high]) or (ordered[low % len(ordered)],) for low, high in itertools.pairwise(bounds)
    ]


@functools.cache
def processor_flags() -> frozenset[str]:
    """The instructions that Linux tells of; elsewhere none."""
    return frozenset(cpuinfo("flags").split())


def cpuinfo(key: str) -> str:
    """What Linux tells of the first processor; elsewhere nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _affinity() -> Collection[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _siblings(root: Path, number: int) -> str:
    """The processors of the same core, as Linux writes them; the processor itself where it does not."""
    try:
        return (
            (root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").read_text().strip()
        )
    except OSError:
        return str(number)


def _quotas(root: Path) -> Iterator[float]:
    """Processors' worth of time that each control group around this process has a limit of (cgroups(7))."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            mounts = [root / "sys/fs/cgroup"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in (controllers, "cpu")]
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        # In a container the mount often is the group itself, and the path one of the host.
        for mount in mounts:
            for group in (own, *own.parents):
                if (quota := _quota(mount / group)) is not None:
                    yield quota


def _quota(group: Path) -> float | None:
    try:
        if (file := group / "cpu.max").is_file():
            quota, period = file.read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError):
        return None
