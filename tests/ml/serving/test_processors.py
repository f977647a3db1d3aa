"""On trees of /proc and /sys as Linux has them on machines and in containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml.serving.processors import Processors, cpu_count, processors


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


def topology(*cores: tuple[int, ...]) -> dict[str, str]:
    """Each core with its hyperthreads."""
    return {
        f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list": ",".join(map(str, core))
        for core in cores
        for number in core
    }


FOUR_HYPERTHREADED = topology((0, 4), (1, 5), (2, 6), (3, 7))


@pytest.mark.parametrize(
    ("files", "allowed", "expected"),
    [
        pytest.param({}, {0, 3, 5}, Processors(3, 3), id="a system that tells nothing"),
        pytest.param(topology((0,), (1,)), {0, 1}, Processors(2, 2), id="two cores"),
        pytest.param(topology((0, 1)), {0, 1}, Processors(2, 1), id="two hyperthreads of a core"),
        pytest.param(FOUR_HYPERTHREADED, range(8), Processors(8, 4), id="four hyperthreaded cores"),
        pytest.param(FOUR_HYPERTHREADED, {0, 4, 1}, Processors(3, 2), id="three of its processors"),
        pytest.param(
            FOUR_HYPERTHREADED | {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"},
            range(8),
            Processors(2, 2),
            id="a container with two processors' time",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"},
            range(8),
            Processors(2, 2),
            id="two and a half are two",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"},
            range(8),
            Processors(1, 1),
            id="a half is one",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"},
            range(4),
            Processors(4, 4),
            id="no limit",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/system.slice/serve.service",
                "sys/fs/cgroup/system.slice/cpu.max": "300000 100000",
                "sys/fs/cgroup/system.slice/serve.service/cpu.max": "max 100000",
            },
            range(8),
            Processors(3, 3),
            id="a limit of an outer group",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/host/path", "sys/fs/cgroup/cpu.max": "200000 100000"},
            range(8),
            Processors(2, 2),
            id="a path of the host, where the mount is the group itself",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "7:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n0::/",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "400000",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "200000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            range(8),
            Processors(2, 2),
            id="the first version of control groups",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:cpuacct,cpu:/docker/1",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            range(8),
            Processors(1, 1),
            id="the first version, mounted under the short name",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "nonsense"},
            range(2),
            Processors(2, 2),
            id="a limit that cannot be read",
        ),
        pytest.param(
            topology((0,), (1,)) | {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "1600000 100000"},
            {0, 1},
            Processors(2, 2),
            id="a limit above what the affinity allows",
        ),
    ],
)
def test_threads_and_cores_are_those_that_the_process_was_given(
    tmp_path: Path, files: dict[str, str], allowed: set[int], expected: Processors
) -> None:
    write(tmp_path, files)
    assert processors(tmp_path, allowed) == expected


def test_this_process_may_use_as_many_as_it_may_run_on() -> None:
    found = processors()
    assert 1 <= found.cores <= found.threads <= (os.cpu_count() or 1)
    assert cpu_count() == found.threads
