from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml.fine_tune import fine_tune
from ml.launch import launch
from tests.ml.fine_tune import material

RUNS: list[dict[str, Any]] = [
    {"class_balance": "on", "label_smoothing": 0.1},
    {"batch_size": 10, "accumulate": 3, "augment": "light", "ema": 0.9, "unfreeze": "last:3"},
]


def together(folder: Path, photos: Path, *, restarts: int = 0, **spec: Any) -> list[dict[str, Any]] | None:
    """What two processes make of it; None where they fail."""
    result = folder / "result.json"
    content = {"photos": str(photos), "result": str(result), "settings": RUNS, **spec}
    (folder / "spec.json").write_text(json.dumps(content))
    code = launch(folder / "spec.json", processes=2, restarts=restarts, module="tests.ml.fine_tune.program")
    assert (code == 0) == result.is_file()
    return json.loads(result.read_text()) if code == 0 else None


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    found = together(tmp_path_factory.mktemp("whole"), photos)
    assert found is not None
    return found


@pytest.mark.parametrize("run", range(len(RUNS)))
def test_two_processes_have_the_loss_curve_of_one(
    run: int, whole: list[dict[str, Any]], photos: Path
) -> None:
    """Batches of 9 and 10 out of 37 photos: the last one leaves a process without a photo, or both uneven."""
    loaded = material.backbone()
    alone = fine_tune(
        material.read_photos(photos),
        loaded,
        material.head(loaded.width),
        material.config(**RUNS[run]),
        progress=False,
    )
    assert len(alone.history) == 3
    assert alone.best_epoch == whole[run]["best_epoch"]
    for row, other in zip(alone.history, whole[run]["history"], strict=True):
        assert row == pytest.approx(other, abs=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_the_death_of_a_process_changes_no_bit_of_the_result(
    rank: int, whole: list[dict[str, Any]], photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = together(
        tmp_path,
        photos,
        settings=RUNS[1:],
        checkpoints=str(tmp_path / "checkpoints"),
        kill={"epoch": 2 + rank, "rank": rank, "batch": 3},
        restarts=1,
    )
    assert found is not None
    assert found[0]["bits"] == whole[1]["bits"]
    assert found[0]["history"] == whole[1]["history"]
    assert found[0]["told"] == [1, 2, 3]
    assert set(capfd.readouterr().err.splitlines()) <= {"error: another process of this training has ended"}


@pytest.mark.long
def test_an_error_in_the_first_process_ends_both(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert together(tmp_path, photos, fail=1) is None
    assert capfd.readouterr().err.count("An epoch must please") >= 1
