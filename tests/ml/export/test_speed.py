from __future__ import annotations

from pathlib import Path

import pytest

from ml.export import speed
from ml.export.speed import SpeedCache, measured


def test_speeds_are_kept_for_what_they_were_measured_of(tmp_path: Path) -> None:
    SpeedCache(tmp_path, {"crop": 224}).write({"f32": 52.0, "int8": 180.0})
    assert SpeedCache(tmp_path, {"crop": 224}).read() == {"f32": 52.0, "int8": 180.0}
    assert SpeedCache(tmp_path, {"crop": 256}).read() == {}


@pytest.mark.parametrize("content", ["", "[]", '{"f32": null}', '{"f32": "fast"}'])
def test_a_damaged_file_is_as_none(tmp_path: Path, content: str) -> None:
    cache = SpeedCache(tmp_path, {})
    cache.write({"f32": 1.0})
    next(tmp_path.glob("*.json")).write_text(content)
    assert cache.read() == {}


def test_the_best_go_counts_by_processor_time_in_two_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    goes = iter([0.2, 0.081, 0.2])
    now = 0.0

    def work() -> None:
        nonlocal now
        now += next(goes)

    monkeypatch.setattr(speed.time, "process_time", lambda: now)
    assert measured(work, 10) == 120.0  # 10 / 0.081 = 123.5
