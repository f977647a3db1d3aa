from __future__ import annotations

import hashlib
import logging
import pickle
import subprocess
from pathlib import Path

import pytest
import torch

from ml.errors import KennelError
from ml.fine_tune.checkpoints import KEPT, Checkpoints

SETTINGS = {"learning_rate": 0.001, "data": "abc"}


def saved(folder: Path, epochs: int) -> Checkpoints:
    store = Checkpoints(folder, SETTINGS)
    assert store.load() is None
    for epoch in range(1, epochs + 1):
        store.save(epoch, {"weights": torch.full((3,), float(epoch)), "history": [{"epoch": epoch}]})
    return store


def test_what_was_saved_last_is_loaded_and_older_ones_go(tmp_path: Path) -> None:
    store = saved(tmp_path / "new" / "folder", 4)
    state = store.load()
    assert state is not None
    assert state["history"] == [{"epoch": 4}]
    assert torch.equal(state["weights"], torch.full((3,), 4.0))
    assert len(list((tmp_path / "new" / "folder").iterdir())) == KEPT


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: content.replace(b"\x40", b"\x41", 1)]
)
def test_a_damaged_one_is_told_of_and_the_one_before_it_used(
    damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = saved(tmp_path, 3)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(damage(newest.read_bytes()))  # type: ignore[operator]
    with caplog.at_level(logging.WARNING):
        state = store.load()
    assert state is not None
    assert state["history"] == [{"epoch": 2}]
    assert f"The checkpoint {newest} is damaged; the one before it is used." in caplog.messages


def test_where_all_are_damaged_there_is_none(tmp_path: Path) -> None:
    store = saved(tmp_path, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    assert store.load() is None


def test_other_settings_are_an_error_that_names_them(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    with pytest.raises(KennelError) as caught:
        Checkpoints(tmp_path, {**SETTINGS, "learning_rate": 0.01}).load()
    assert caught.value.rule == "A run can be resumed with the settings and the data that it began with"
    assert str(caught.value.received).endswith("learning_rate=0.001 there, 0.01 here")


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    part = tmp_path / "part"
    torch.save({"settings": SETTINGS, "state": Evil()}, part)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(part, weights_only=True)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()[:32]
    part.rename(tmp_path / f"epoch-00001.{digest}.pt")
    assert Checkpoints(tmp_path, SETTINGS).load() is None
    assert not (tmp_path / "ran").exists()


def test_a_fresh_start_removes_what_an_earlier_run_left(tmp_path: Path) -> None:
    store = saved(tmp_path, 2)
    (tmp_path / "notes.txt").write_text("mine")
    with subprocess.Popen(["true"]) as dead:
        pass
    (tmp_path / f".part-{dead.pid}-x").write_bytes(b"half a checkpoint")
    store.clear()
    assert store.load() is None
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
