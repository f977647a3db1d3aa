from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import urllib3

from localcloud import control
from localcloud.config import read_images
from localcloud.errors import CloudError
from localcloud.process_identity import start_mark


def gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while start_mark(pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_cloud_answers_on_the_loopback_interface_as_soon_as_start_returns(tmp_path: Path) -> None:
    info = control.start(tmp_path, lifetime=120)
    try:
        assert info.endpoint_url.startswith("http://127.0.0.1:")
        assert urllib3.request("GET", info.endpoint_url, timeout=5, retries=False).status == 403  # unsigned
        assert control.status(tmp_path) == info
        assert control.start(tmp_path) == info  # the one that runs
        assert os.getsid(info.pid) == info.pid  # a terminal that closes does not take it along
    finally:
        control.stop(tmp_path)
    assert gone(info.pid)
    assert control.status(tmp_path) is None
    control.stop(tmp_path)  # nothing to do, nothing wrong


def test_two_starts_at_a_time_give_one_cloud(tmp_path: Path) -> None:
    found: list[control.CloudInfo] = []
    threads = [
        threading.Thread(target=lambda: found.append(control.start(tmp_path, lifetime=120))) for _ in range(3)
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len({info.pid for info in found}) == 1
        assert len(found) == 3
    finally:
        control.stop(tmp_path)


def test_a_killed_cloud_is_replaced(tmp_path: Path) -> None:
    first = control.start(tmp_path, lifetime=120)
    os.kill(first.pid, signal.SIGKILL)
    assert gone_as_our_child(first.pid)
    assert control.status(tmp_path) is None
    last_words = first.log_file.read_text()
    second = control.start(tmp_path, lifetime=120)
    try:
        assert second.pid != first.pid
        assert first.log_file.with_name("cloud.log.1").read_text() == last_words
    finally:
        control.stop(tmp_path)


def gone_as_our_child(pid: int) -> bool:
    os.waitpid(pid, 0)
    return gone(pid)


def test_stop_leaves_a_process_alone_that_only_inherited_the_number(tmp_path: Path) -> None:
    document = {
        "pid": os.getpid(),
        "start_mark": "another boot:1",
        "endpoint_url": "http://127.0.0.1:1",
        "region": "us-east-1",
        "account_id": "123456789012",
        "log_file": "cloud.log",
    }
    (tmp_path / "cloud.json").write_text(json.dumps(document))
    control.stop(tmp_path)  # or this test would not come to its end
    assert not (tmp_path / "cloud.json").exists()


def test_a_cloud_ends_when_its_lifetime_is_over(tmp_path: Path) -> None:
    info = control.start(tmp_path, lifetime=0.5)
    os.waitpid(info.pid, 0)
    assert gone(info.pid)
    assert not (tmp_path / "cloud.json").exists()


def test_a_cloud_that_cannot_start_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "no-such.json"
    with pytest.raises(CloudError, match="The images file must be readable") as caught:
        control.start(tmp_path, images=missing)
    assert "exit code 1" in str(caught.value)
    assert str(tmp_path / "cloud.log") in str(caught.value)


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        ("[]", "must hold an object"),
        ("{", "must be JSON"),
        ('{"a": {"serve": []}}', '"serve" of image "a" must be a list of arguments'),
        ('{"a": {"train": "x"}}', '"train" of image "a" must be a list of arguments'),
        ('{"a": {"env": {}}}', 'Image "a" must have "serve" or "train"'),
        (
            '{"a": {"serve": ["x"], "environment": {}}}',
            'Image "a" may hold "serve", "train", "env" and "python"',
        ),
        ('{"a": {"train": ["x"], "python": "python3"}}', '"python" of image "a" must be the absolute path'),
        ('{"a": {"serve": ["x"], "env": {"N": 1}}}', '"env" of image "a" must be an object of strings'),
    ],
)
def test_a_wrong_images_file_is_refused(tmp_path: Path, document: str, rule: str) -> None:
    path = tmp_path / "images.json"
    path.write_text(document)
    with pytest.raises(CloudError, match=rule):
        read_images(path)


@pytest.mark.parametrize("speed", ["0.5", "121", "fast"])
def test_a_speed_of_scaling_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: str
) -> None:
    monkeypatch.setenv("LOCALCLOUD_SCALING_SPEED", speed)
    with pytest.raises(CloudError, match="LOCALCLOUD_SCALING_SPEED must be a number from 1 to 120") as caught:
        control.start(tmp_path)
    assert caught.value.received == speed


def test_a_cloud_that_runs_keeps_its_speed_of_scaling(tmp_path: Path) -> None:
    try:
        assert control.start(tmp_path, lifetime=60, scaling_speed=30).scaling_speed == 30
        assert control.start(tmp_path, lifetime=60).scaling_speed == 30
        with pytest.raises(CloudError, match="keeps the speed of scaling that it was started with"):
            control.start(tmp_path, lifetime=60, scaling_speed=2)
    finally:
        control.stop(tmp_path)
