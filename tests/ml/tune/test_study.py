from __future__ import annotations

import dataclasses
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from ml import fit as fitting
from ml.config import TrainConfig
from ml.data import load_dataset
from ml.errors import KennelError
from ml.feature_cache import FeatureCache
from ml.search_space import SearchSpace
from ml.tune import study as studies
from ml.tune.journal import Journal, alone
from ml.tune.study import StudyError, Tuned, tune
from ml.weights import load_backbone

TINY = "timm/test_resnet"
ROOT = Path(__file__).parents[3]
PHOTOS = {
    f"{split}/{name}": count for split, count in (("train", 8), ("valid", 4), ("test", 2)) for name in "abc"
}


@pytest.fixture
def config(make_photos: Callable[..., Path], tiny_weights: Path) -> TrainConfig:
    return TrainConfig(
        data=str(make_photos(PHOTOS)), backbone=TINY, weights=str(tiny_weights), epochs=4, precision="f32"
    )


@pytest.fixture(autouse=True)
def shared_features(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The photos are the same in all tests: they go through the backbone in the first one that asks."""
    shared = tmp_path_factory.getbasetemp() / "features-of-studies"
    shared.mkdir(exist_ok=True)
    for folder in (tmp_path, tmp_path / "one", tmp_path / "two", tmp_path / "three", tmp_path / "whole"):
        folder.mkdir(exist_ok=True)
        (folder / "cache").symlink_to(shared)


def run(config: TrainConfig, folder: Path, trials: int, search: str | None = None, **more: Any) -> Tuned:
    return tune(config, SearchSpace.load(search), trials=trials, work_dir=folder, progress=False, **more)


def told(tuned: Tuned) -> list[tuple[object, ...]]:
    """All of the trials but their time."""
    return [
        (each.number, each.state, dict(each.params), each.value, tuple(each.history)) for each in tuned.trials
    ]


def test_the_winner_has_the_lowest_validation_loss_and_training_with_it_comes_to_the_same(
    config: TrainConfig, tmp_path: Path
) -> None:
    tuned = run(config, tmp_path, 6)
    done = [trial for trial in tuned.trials if trial.state == "complete"]
    assert tuned.best.value == min(trial.value for trial in done) == tuned.best_loss
    assert [trial.number for trial in tuned.trials] == [1, 2, 3, 4, 5, 6]

    winner = TrainConfig.from_dict(json.loads(tuned.config_file.read_text()))
    assert winner == tuned.config == dataclasses.replace(config, **tuned.best.params)
    backbone = load_backbone(winner.backbone, winner.weights)
    dataset = load_dataset(winner.data, seed=0, work_dir=tmp_path, progress=False)
    cache = FeatureCache(tmp_path / "cache" / "features", limit=2**30)
    material = fitting.Material(dataset, backbone, cache=cache, precision="f32", progress=False)
    assert fitting.fit(winner, material).best_loss == tuned.best_loss
    assert tuned.report.is_file()


def test_the_first_trial_is_what_training_would_do_without_tuning(
    config: TrainConfig, tmp_path: Path
) -> None:
    settings = dataclasses.replace(config, learning_rate=2e-3, batch_size=16, weight_decay=3.0)
    (first,) = run(settings, tmp_path, 1).trials
    assert first.params == {"learning_rate": 2e-3, "batch_size": 16, "head": "linear", "weight_decay": 3.0}


def test_photos_go_through_the_backbone_once_and_those_for_testing_never(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    extract = fitting.extract

    def counting(samples: Any, *arguments: Any, **named: Any) -> Any:
        asked.append(len(samples))
        assert all("test" not in sample.path.parts for sample in samples)
        return extract(samples, *arguments, **named)

    monkeypatch.setattr(fitting, "extract", counting)
    run(config, tmp_path, 8)
    assert asked == [24 + 12]


def test_augmented_views_are_computed_for_the_first_trial_that_wants_them(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    extract = fitting.extract

    def noting(*arguments: Any, **named: Any) -> Any:
        asked.append((named["augment"], named["views"]))
        return extract(*arguments, **named)

    monkeypatch.setattr(fitting, "extract", noting)
    tuned = run(config, tmp_path, 8, "augment,batch_size")
    kinds = {trial.params["augment"] for trial in tuned.trials}
    assert len(kinds) > 1
    assert sorted(asked) == sorted([("none", 0), *((kind, config.views) for kind in kinds - {"none"})])


def test_the_same_seed_tries_the_same_and_another_seed_something_else(
    config: TrainConfig, tmp_path: Path
) -> None:
    first, again = (run(config, tmp_path / name, 12) for name in ("one", "two"))
    other = run(dataclasses.replace(config, seed=1), tmp_path / "three", 12)
    assert told(first) == told(again)
    assert told(first) != told(other)


def test_a_study_goes_on_until_it_has_as_many_trials_as_are_asked_for(
    config: TrainConfig, tmp_path: Path
) -> None:
    few = run(config, tmp_path, 3)
    more = run(config, tmp_path, 12)
    whole = run(config, tmp_path / "whole", 12)
    assert told(more)[:3] == told(few)
    assert told(more) == told(whole)
    assert told(run(config, tmp_path, 5)) == told(more)
    assert more.folder == few.folder


def test_a_study_that_is_killed_goes_on_to_the_same_trials_and_the_same_winner(
    config: TrainConfig, tmp_path: Path
) -> None:
    script = """
import json, os, signal, sys
from pathlib import Path
from ml import fit as fitting
from ml.config import TrainConfig
from ml.search_space import SearchSpace
from ml.tune import study
settings, folder, fatal = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
begun = 0
def fit(config, material, *, on_epoch):
    global begun
    begun += 1
    def fatal_epoch(row):
        on_epoch(row)
        if begun == fatal and row["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return fitting.fit(config, material, on_epoch=fatal_epoch)
study.fit = fit
study.tune(TrainConfig(**settings), SearchSpace.load(), trials=12, work_dir=folder, progress=False)
"""
    for fatal in (1, studies.STARTUP + 2):  # the very first trial; one that earlier trials led to
        arguments = [sys.executable, "-c", script, json.dumps(config.to_dict()), str(tmp_path), str(fatal)]
        died = subprocess.run(arguments, cwd=ROOT, capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    resumed = run(config, tmp_path, 12)
    whole = run(config, tmp_path / "whole", 12)
    assert told(resumed) == told(whole)
    assert resumed.config_file.read_text() == whole.config_file.read_text()


def test_a_trial_that_is_interrupted_is_tried_again(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = studies.fit
    calls = 0

    def interrupted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return fit(*arguments, **named)

    monkeypatch.setattr(studies, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path, 5)
    assert told(run(config, tmp_path, 5)) == told(run(config, tmp_path / "whole", 5))


def test_a_trial_that_is_worse_than_the_others_is_given_up(config: TrainConfig, tmp_path: Path) -> None:
    settings = dataclasses.replace(config, epochs=20, patience=20, weight_decay=1.0)
    tuned = run(settings, tmp_path, 24, "learning_rate")
    pruned = [trial for trial in tuned.trials if trial.state == "pruned"]
    whole = [trial for trial in tuned.trials if trial.state == "complete"]
    assert pruned
    assert all(trial.number > studies.PRUNED_FROM for trial in pruned)
    assert all(2 <= trial.history[-1][0] < 20 for trial in pruned)
    assert all(trial.value == min(loss for _, loss in trial.history) for trial in pruned)
    assert all(len(trial.history) == 20 for trial in whole)
    for trial in pruned:  # it was, when it was given up, worse than half of those before it
        epoch = trial.history[-1][0]
        before = sorted(
            min(loss for _, loss in other.history[:epoch]) for other in whole if other.number < trial.number
        )
        assert trial.value > before[len(before) // 2 - (len(before) % 2 == 0)] - 1e-12


def test_a_trial_whose_loss_is_no_number_fails_and_the_study_goes_on(
    config: TrainConfig, tmp_path: Path
) -> None:
    space = SearchSpace.from_dict(
        {"learning_rate": [1e-3, 10.0], "weight_decay": [1.0, 1000.0], "batch_size": [1]}
    )
    tuned = tune(config, space, trials=10, work_dir=tmp_path, progress=False)
    failed = [trial for trial in tuned.trials if trial.state == "failed"]
    assert failed
    for trial in failed:
        assert (trial.params["learning_rate"], trial.params["weight_decay"]) == (10.0, 1000.0)
        assert trial.value is None
        assert trial.note.startswith("Training must bring a validation loss that is a number: nan")
    assert math.isfinite(tuned.best_loss)
    assert len(tuned.trials) == 10
    assert f"Trial {failed[0].number}: Training must bring" in tuned.report.read_text()


def test_a_study_of_failures_alone_says_so(config: TrainConfig, tmp_path: Path) -> None:
    space = SearchSpace.from_dict({"learning_rate": [10.0], "weight_decay": [1000.0], "batch_size": [1]})
    with pytest.raises(StudyError) as caught:
        tune(config, space, trials=2, work_dir=tmp_path, progress=False)
    assert caught.value.received == "none of 2 did"
    assert caught.value.remedy == "search among lower learning rates"


def test_what_is_not_about_the_settings_ends_the_study_and_the_trial_is_tried_again(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **named: Any) -> Any:
        raise KennelError("An image must be readable", "a.png", "check the file")

    with monkeypatch.context() as patched:
        patched.setattr(studies, "fit", broken)
        with pytest.raises(KennelError, match="An image must be readable"):
            run(config, tmp_path, 2)
    assert told(run(config, tmp_path, 2)) == told(run(config, tmp_path / "whole", 2))


@pytest.mark.parametrize(
    ("changed", "search", "received"),
    [
        ({"seed": 3}, None, "another seed=3, before 0"),
        ({"epochs": 9}, None, "another epochs=9, before 4"),
        ({}, "head", "another space"),
        ({"backbone": "timm/test_vit"}, None, "another backbone"),
    ],
)
def test_a_name_is_of_one_study(
    config: TrainConfig, tmp_path: Path, changed: dict[str, Any], search: str | None, received: str
) -> None:
    run(config, tmp_path, 1, name="breeds")
    if "backbone" in changed:
        from safetensors.torch import save_file

        from ml.serving.network import build_backbone

        save_file(build_backbone(changed["backbone"]).module.state_dict(), tmp_path / "vit.safetensors")
        changed = {**changed, "weights": str(tmp_path / "vit.safetensors")}
    with pytest.raises(StudyError) as caught:
        run(dataclasses.replace(config, **changed), tmp_path, 1, search, name="breeds")
    assert caught.value.rule.startswith("The study breeds goes on with the data, backbone, search space")
    assert caught.value.received == received
    assert str(tmp_path / "tune" / "breeds") in str(caught.value.remedy)


def test_other_photos_are_another_study(
    config: TrainConfig, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    tuned = run(config, tmp_path, 1)
    more = make_photos({**PHOTOS, "train/a": 9}, folder="more/photos")
    assert run(dataclasses.replace(config, data=str(more)), tmp_path, 1).folder != tuned.folder
    run(config, tmp_path, 1, name="breeds")
    with pytest.raises(StudyError, match="another data"):
        run(dataclasses.replace(config, data=str(more)), tmp_path, 1, name="breeds")


def test_the_same_photos_elsewhere_are_the_same_study(
    config: TrainConfig, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    tuned = run(config, tmp_path, 1)
    assert config.data is not None
    moved = Path(config.data).rename(tmp_path / "elsewhere-photos")
    moved.rename(tmp_path / "photos")
    assert run(dataclasses.replace(config, data=str(tmp_path / "photos")), tmp_path, 1).folder == tuned.folder


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a b", "a/b", "x" * 65])
def test_a_name_that_is_no_folders_name_is_refused(config: TrainConfig, tmp_path: Path, name: str) -> None:
    with pytest.raises(StudyError, match="A study's name is of letters"):
        run(config, tmp_path, 1, name=name)
    assert not (tmp_path / "tune").exists()


def test_no_trial_is_no_study(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(KennelError, match="--trials is a whole number from 1"):
        run(config, tmp_path, 0)


def test_a_batch_that_is_larger_than_the_photos_is_told_before_the_first_trial(
    config: TrainConfig, tmp_path: Path
) -> None:
    space = SearchSpace.from_dict({"batch_size": [8, 25]})
    with pytest.raises(KennelError, match="A batch is at most as large as the training split, 24 photos"):
        tune(config, space, trials=1, work_dir=tmp_path, progress=False)
    assert not (tmp_path / "tune").exists()


def test_more_blocks_than_there_are_are_told_before_the_first_trial(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "extract", None)
    space = SearchSpace.from_dict({"unfreeze": ["none", "last:99"]})
    with pytest.raises(KennelError, match="no more blocks than the backbone has"):
        tune(config, space, trials=1, work_dir=tmp_path, progress=False)
    assert not (tmp_path / "tune").exists()


def test_two_processes_do_not_tune_in_one_study(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "tune" / "breeds").mkdir(parents=True)
    with alone(tmp_path / "tune" / "breeds"), pytest.raises(KennelError) as caught:
        run(config, tmp_path, 1, name="breeds")
    assert caught.value.rule == "One process at a time tunes in a study"
    assert caught.value.received is not None


def test_unfrozen_trials_are_fine_tuned(config: TrainConfig, tmp_path: Path) -> None:
    space = SearchSpace.from_dict({"unfreeze": ["none", "last:1"], "learning_rate": [1e-3, 1e-2]})
    tuned = tune(dataclasses.replace(config, epochs=2), space, trials=6, work_dir=tmp_path, progress=False)
    assert {trial.params["unfreeze"] for trial in tuned.trials} == {"none", "last:1"}
    assert all(trial.state == "complete" for trial in tuned.trials)
    again = tune(
        dataclasses.replace(config, epochs=2), space, trials=6, work_dir=tmp_path / "two", progress=False
    )
    assert told(again) == told(tuned)


def test_an_unfrozen_trial_can_be_given_up_too(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number == 1)
    space = SearchSpace.from_dict({"unfreeze": ["last:1"], "learning_rate": [1e-3]})
    tuned = tune(dataclasses.replace(config, epochs=2), space, trials=2, work_dir=tmp_path, progress=False)
    assert [trial.state for trial in tuned.trials] == ["complete", "pruned"]
    assert [len(trial.history) for trial in tuned.trials] == [2, 1]


def test_progress_is_a_line_for_each_better_trial_within_80_columns(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = tune(config, SearchSpace.load(), trials=8, work_dir=tmp_path)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert all(len(line) < 80 for line in lines)
    better, lowest = [], math.inf
    for trial in tuned.trials:
        if trial.state == "complete" and trial.value is not None and trial.value < lowest:
            better.append(str(trial.number))
            lowest = trial.value
    assert lines[0].split() == ["trial", "loss", *tuned.best.params]
    assert [line.split()[0] for line in lines[1:]] == better
    assert [line.split()[1] for line in lines[1:]][-1] == f"{tuned.best_loss:.4f}"


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.log")
    journal.append_logs([{"op_code": 1}, {"op_code": 2}])
    journal.close()
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(b'{"op_code":')
    again = Journal(tmp_path / "journal.log")
    assert again.read_logs(0) == [{"op_code": 1}, {"op_code": 2}]
    again.append_logs([{"op_code": 3}])
    again.close()
    whole = Journal(tmp_path / "journal.log")
    assert whole.read_logs(1) == [{"op_code": 2}, {"op_code": 3}]
    whole.close()


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal.log").write_text('{"op_code":1}\n\x00\x00\n{"op_code":2}\n')
    with pytest.raises(KennelError) as caught:
        Journal(tmp_path / "journal.log")
    assert caught.value.remedy == f"delete {tmp_path}"


def test_the_journal_is_one_that_optunas_own_tools_read(config: TrainConfig, tmp_path: Path) -> None:
    tuned = run(config, tmp_path, 3)
    backend = optuna.storages.journal.JournalFileBackend(str(tuned.folder / "journal.log"))
    study = optuna.load_study(study_name="study", storage=optuna.storages.JournalStorage(backend))
    assert [trial.params for trial in study.trials] == [trial.params for trial in tuned.trials]
