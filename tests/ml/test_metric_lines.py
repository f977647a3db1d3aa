from __future__ import annotations

import re

import pytest

from ml.metric_lines import OBJECTIVE, Printer, definitions, line, parse

ROW = {"epoch": 3, "train_loss": 0.5, "train_accuracy": 0.75, "valid_loss": 1.25e-7, "valid_accuracy": 1.0}


def found(text: str) -> dict[str, list[str]]:
    """What SageMaker would read: for each metric, the first group of every match."""
    return {each["Name"]: re.findall(each["Regex"], text) for each in definitions()}


def test_the_expressions_find_each_measure_once_in_the_line_that_is_printed() -> None:
    printed = line({**ROW, "best_valid_loss": 1e-7}, 10)
    assert found(printed) == {
        "train:loss": ["0.5"],
        "train:accuracy": ["0.75"],
        "valid:loss": ["1.25e-07"],
        "valid:accuracy": ["1"],
        OBJECTIVE: ["1e-07"],
    }


def test_the_validation_loss_is_not_mistaken_for_the_best_one() -> None:
    assert found("epoch=1/2 best_valid_loss=0.1")["valid:loss"] == []


def test_the_objective_is_the_lowest_validation_loss_so_far() -> None:
    lines: list[str] = []
    printer = Printer(3, lines.append)
    for epoch, loss in enumerate((0.9, 0.3, 0.6), start=1):
        printer({**ROW, "epoch": epoch, "valid_loss": loss})
    assert [found(each)[OBJECTIVE] for each in lines] == [["0.9"], ["0.3"], ["0.3"]]


def test_a_line_is_read_back() -> None:
    assert parse(f"[algo-1] {line(ROW, 10)}") == (3, 10, {k: v for k, v in ROW.items() if k != "epoch"})


@pytest.mark.parametrize("text", ["", "epoch=1", "features: 10%", "epoch=a/3 train_loss=1"])
def test_other_lines_are_not_taken_for_one(text: str) -> None:
    assert parse(text) is None


def test_a_loss_that_is_no_number_is_printed_and_read() -> None:
    assert found(line({**ROW, "valid_loss": float("nan")}, 1))["valid:loss"] == ["nan"]
