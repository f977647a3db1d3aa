from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import openvino.opset13 as opset
import pytest

from ml.serving.networks import OpenVinoNetwork, Pixels, _Gate

SOON = 10  # seconds


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)


def test_one_is_alone_several_are_together_and_never_both() -> None:
    gate = _Gate()
    inside = threading.Barrier(2)
    came: list[bool] = []

    def come() -> None:
        with gate.entered(alone=True) as alone:
            came.append(alone)
            inside.wait(SOON)  # both are in at once

    with gate.entered(alone=True) as alone:
        assert alone
        waiting = [threading.Thread(target=come) for _ in range(2)]
        for thread in waiting:
            thread.start()
        assert came == []
    for thread in waiting:
        thread.join(SOON)
    assert came == [False, False]
    with gate.entered(alone=True) as alone:
        assert alone


def test_who_brings_several_is_not_alone() -> None:
    gate = _Gate()
    with gate.entered(alone=False) as first, gate.entered(alone=True) as second:
        assert (first, second) == (False, False)


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_images_come_back_in_their_order_whoever_else_asks(
    model_dir: Path, pixels: Pixels, cores: int
) -> None:
    network = OpenVinoNetwork(model_dir / "model.xml", "f32", cores)
    assert (network.concurrency, network.max_batch) == (cores, 1)
    expected = np.concatenate([network(each[None]) for each in pixels])
    np.testing.assert_allclose(network(pixels), expected, rtol=1e-4, atol=1e-5)
    with ThreadPoolExecutor(6) as pool:
        for answer in pool.map(network, [pixels] * 6):
            np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


def test_a_call_that_fails_takes_nothing_from_the_next(model_dir: Path, pixels: Pixels) -> None:
    network = OpenVinoNetwork(model_dir / "model.xml", "f32", 2)
    expected = network(pixels)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            network(np.zeros((2, 5, 5, 3), np.uint8))
    np.testing.assert_array_equal(network(pixels), expected)


def test_a_photo_that_cannot_be_computed_takes_nothing_from_the_next(tmp_path: Path) -> None:
    """In a network that takes its first pixel for the length of a table of six numbers."""
    images = opset.parameter([-1, 1, 1, 1], np.uint8, name="images")
    length = opset.convert(opset.reshape(images, [1], special_zero=False), np.int64)
    table = opset.reshape(
        np.arange(6, dtype=np.float32), opset.concat([np.array([1]), length], 0), special_zero=False
    )
    openvino.save_model(openvino.Model([table], [images]), tmp_path / "model.xml")
    network = OpenVinoNetwork(tmp_path / "model.xml", "f32", 2)
    # No wrong length twice: OpenVINO does not look at one again that has not changed.
    for lengths in ([6, 5, 6, 6], [4, 6], [6, 3], [2, 1]):
        with pytest.raises(RuntimeError):
            network(np.array(lengths, np.uint8).reshape(-1, 1, 1, 1))
        assert network._streams.qsize() == 2
    np.testing.assert_array_equal(network(np.full((3, 1, 1, 1), 6, np.uint8)), [range(6)] * 3)


END_ELSEWHERE = """
import os, signal, sys, threading, time
from pathlib import Path
from ml.serving.networks import OpenVinoNetwork

networks = [OpenVinoNetwork(Path(sys.argv[1]), "f32", 2)]
ender = threading.Thread(target=networks.clear)
ender.start()
ender.join()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_is_taken_after_a_network_ended_in_another_thread(model_dir: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", END_ELSEWHERE, str(model_dir / "model.xml")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.strip()) == (0, "interrupted"), ended.stderr
