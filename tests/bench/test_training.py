from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from bench import training, training_report
from bench.page import PAGE
from bench.training import SHIPPED, Bench, Ended, share_of, targets_met
from tests.conftest import MakePhotos
from tests.ml.conftest import TINY


@pytest.fixture
def arguments(make_photos: MakePhotos, tmp_path: Path) -> argparse.Namespace:
    return training.arguments_of(
        [f"--data={make_photos()}", f"--backbone={TINY}", "--trials=2", "--rounds=1", "--accuracy"]
    )


RESULT: dict[str, Any] = {
    "date": "2026-11-23",
    "machine": "Linux, 2 cores",
    "versions": {"torch": "2"},
    "load": [0.5, 2.25],
    "backbone": "torchvision/resnet50",
    "counts": {"train": 600, "valid": 200, "test": 200},
    "classes": 10,
    "batch_size": 32,
    "rounds": 3,
    "share": 1,
    "trials": 20,
    "epochs": 5,
    "kennel": {"precision": "int8", "rate": 90.0, "quantization_seconds": 4.0, "tuning_seconds": 18.0},
    "baselines": [
        {
            "name": SHIPPED,
            "rate": 15.0,
            "tuning_seconds": 5600.0,
            "extraction_ratio": 6.0,
            "extraction_target": 6,
            "tuning_ratio": 311.1,
            "tuning_target": 300,
        }
    ],
    "accuracy": {"timm/net": {"replaced": 0.9, "kennel": 0.955}},
}


def test_a_pass_of_each_split_is_extrapolated_to_all_epochs_of_all_trials() -> None:
    baseline = training.Baseline("any", {}, 1, 1)
    baseline.seconds = {"train": [0.1, 0.3, 0.2], "valid": [0.05], "test": [0.01]}
    seconds = baseline.tuning({"train": 600, "valid": 200, "test": 100}, trials=20, epochs=5)
    assert seconds == pytest.approx(20 * (5 * (600 * 0.2 + 200 * 0.05) + 100 * 0.01))


def test_a_share_holds_every_so_many_photos_of_every_class(make_photos: MakePhotos, tmp_path: Path) -> None:
    data = make_photos()
    assert share_of(data, 1, tmp_path / "whole") == data
    part = share_of(data, 0.5, tmp_path / "part")
    found = {str(path.parent.relative_to(part)) for path in part.rglob("*.png")}
    assert found == {f"{split}/{name}" for split in ("train", "valid", "test") for name in ("cat", "dog")}
    assert len(list(part.rglob("*.png"))) == 8
    assert all(path.resolve().is_relative_to(data) for path in part.rglob("*.png"))


@pytest.mark.long
def test_the_replaced_script_is_measured_in_both_environments_on_the_same_weights(
    arguments: argparse.Namespace, tmp_path: Path
) -> None:
    bench = Bench(arguments, tmp_path / "bench")
    for baseline in bench.baselines:
        bench._baseline(baseline, bench.data)
    assert [each.environment for each in bench.baselines] == [{}, training.ALLOCATOR]
    for baseline in bench.baselines:
        assert baseline.rates[0] > 0
        assert baseline.tuning(bench.counts, 2, 5) > baseline.tuning(bench.counts, 1, 5) > 0
    assert bench.files[TINY].is_file()


def test_a_process_that_fails_is_told_with_its_words() -> None:
    with pytest.raises(SystemExit, match="unrecognized arguments: --nonsense"):
        training.process("bench.replaced_training", "--data=x", "--weights=y", "--nonsense")


@pytest.mark.long
def test_extraction_tuning_and_training_are_measured_from_nothing(
    arguments: argparse.Namespace, tmp_path: Path
) -> None:
    bench = Bench(arguments, tmp_path / "bench")
    bench.measure()
    result = bench.result({TINY: bench.accuracy(TINY)})
    assert result["kennel"]["rate"] > 0
    assert result["kennel"]["tuning_seconds"] > 0
    assert [each["tuning_ratio"] > 0 for each in result["baselines"]] == [True, True]
    assert 0 <= result["accuracy"][TINY]["kennel"] <= 1
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(
    ("change", "met"),
    [
        ({}, True),
        ({"baselines": [{**RESULT["baselines"][0], "extraction_ratio": 5.9}]}, False),
        ({"baselines": [{**RESULT["baselines"][0], "tuning_ratio": 299}]}, False),
        ({"accuracy": {"timm/net": {"replaced": 0.9, "kennel": 0.89}}}, False),
    ],
)
def test_targets_are_met_when_all_are(change: dict[str, Any], met: bool) -> None:
    assert targets_met({**RESULT, **change}) is met


def test_table_and_picture_are_written_into_the_page_and_written_again(tmp_path: Path) -> None:
    page = tmp_path / PAGE
    page.write_text(f"# Before\n\n{training_report.BEGIN}\nold\n{training_report.END}\n\nafter\n")
    training_report.write(RESULT, tmp_path)
    written = page.read_text()
    training_report.write(RESULT, tmp_path)
    assert page.read_text() == written
    assert "old" not in written
    assert written.startswith("# Before")
    assert written.endswith("after\n")
    assert "| replaced, as shipped | 15.0 | 6.0 × | 6 × | 93 min | 311 × | 300 × |" in written
    assert "| timm/net | 90.0% | 95.5% |" in written
    assert "load was 0.5 to 2.2" in written
    assert "Quantization takes 4.0 s, once" in written
    assert f"]({training_report.PICTURE})" in written
    drawn = (tmp_path / training_report.PICTURE).read_text()
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert drawn.count('class="bar"') == 2


def test_the_page_has_the_marks_that_the_benchmark_writes_between() -> None:
    text = (training.ROOT / "docs" / PAGE).read_text()
    assert text.count(training_report.BEGIN) == text.count(training_report.END) == 1


def test_what_a_process_took_is_told_with_its_answer(make_photos: MakePhotos, tiny_weights: Path) -> None:
    ended = training.process(
        "bench.replaced_training", f"--data={make_photos()}", f"--weights={tiny_weights}",
        f"--backbone={TINY}",
    )  # fmt: skip
    assert isinstance(ended, Ended)
    assert ended.seconds > sum(sum(passes) for passes in ended.answer["seconds"].values())
    assert ended.cpu > 0
