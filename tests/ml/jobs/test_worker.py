from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ml.config import TrainConfig
from ml.errors import KennelError
from ml.jobs import worker


@pytest.mark.parametrize(
    ("restarts", "told", "runs"),
    [("0", {"error": {}}, True), ("1", {"error": {}}, False), ("1", None, True), ("1", {"sha256": ""}, True)],
)
def test_an_error_that_was_told_is_not_run_into_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    restarts: str,
    told: dict[str, object] | None,
    runs: bool,
) -> None:
    spec = worker.Spec(TrainConfig(), tmp_path, tmp_path, None, False, tmp_path / "result.json")
    spec.write(tmp_path / "spec.json")
    if told is not None:
        spec.result.write_text(json.dumps(told))

    def run(*_: object) -> None:
        raise KennelError("a run begins", None)

    monkeypatch.setattr(worker, "run", run)
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path / "spec.json")])
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restarts)
    with pytest.raises(SystemExit) as caught:
        worker.main()
    assert (caught.value.code != 1) == runs
