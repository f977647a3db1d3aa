from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from ml.config import TrainConfig
from ml.report.tuning import TuningReport, render, write_tuning_report
from ml.report.tuning_charts import Scale, curves_chart, history_chart, parallel_chart
from ml.search_space import Range, SearchSpace
from ml.tune.trials import TuningTrial

HOSTILE = "<script>alert(1)</script>\"'&amp;"


def some(number: int, space: SearchSpace) -> list[TuningTrial]:
    """Complete ones, every fourth given up, the sixth failed."""
    chance = np.random.default_rng(0)
    found = []
    for i in range(1, number + 1):
        params: dict[str, Any] = {
            name: float(chance.uniform(parameter.low, parameter.high))
            if isinstance(parameter, Range)
            else parameter.values[int(chance.integers(len(parameter.values)))]
            for name, parameter in space.parameters.items()
        }
        loss = 0.1 + 1 / i
        history = [(epoch, loss + 1 / epoch) for epoch in range(1, 6)]
        if i == 6:
            found.append(TuningTrial(i, "failed", params, seconds=0.2, note="the loss was nan"))
        elif i % 4 == 0:
            found.append(TuningTrial(i, "pruned", params, loss + 0.5, history[:2], 0.1))
        else:
            found.append(TuningTrial(i, "complete", params, loss + 0.2, history, 0.5, 0.9))
    return found


def report(number: int = 30, names: str | None = None, **changes: Any) -> TuningReport:
    space = SearchSpace.load(names)
    whole = TuningReport(
        title="Ten breeds",
        space=space,
        trials=some(number, space),
        config=TrainConfig(learning_rate=0.005).to_dict(),
        command="./inv train --config best.json",
        facts={"training photos": 600},
    )
    return dataclasses.replace(whole, **changes)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_a_report_tells_what_was_tried_and_what_is_best() -> None:
    page = Page(render(report()))
    for words in (
        "Ten breeds",
        "Trial 30 of 30 is the best",
        "22 complete, 7 given up early, 1 failed",
        "./inv train --config best.json",
        "0.0001 to 0.03, by its logarithm",
        "16, 32, 64, 128",
        "chosen in training",
        "functional ANOVA over 22 complete trials",
        "Trial 6: the loss was nan",
        "90.0%",
        "600",
    ):
        assert words in page.text


@pytest.mark.parametrize(("number", "names"), [(1, None), (3, "head"), (30, "all"), (200, None)])
def test_a_report_asks_for_nothing_from_outside_and_has_no_script_but_its_own(
    number: int, names: str | None
) -> None:
    text = render(report(number, names))
    page = Page(text)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "poster", "action"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"@import|url\(", text)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert len(page.all("script")) == 1
    assert all(picture.get("aria-label") for picture in page.all("svg"))


def test_the_same_trials_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        write_tuning_report(tmp_path / "new" / name, report())
    assert (tmp_path / "new/one.html").read_bytes() == (tmp_path / "new/two.html").read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["one.html", "two.html"]


def test_whatever_is_in_a_name_is_text() -> None:
    trials = [*some(9, SearchSpace.load()), TuningTrial(10, "failed", {}, note=HOSTILE)]
    page = Page(
        render(
            report(
                title=HOSTILE, command=HOSTILE, facts={HOSTILE: HOSTILE}, trials=trials, config={"a": HOSTILE}
            )
        )
    )
    assert len(page.all("script")) == 1
    assert page.text.count(HOSTILE) >= 4
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_too_few_trials_to_judge_a_setting_are_told() -> None:
    assert "Too few trials to tell: 4 complete, and 8 are needed." in Page(render(report(5))).text


def test_trials_that_do_not_differ_tell_of_no_setting() -> None:
    space = SearchSpace.load()
    equal = [dataclasses.replace(trial, state="complete", value=0.5) for trial in some(12, space)]
    assert "no setting can be told to matter" in Page(render(report(trials=equal))).text


def test_trials_of_elsewhere_without_course_time_or_accuracy_have_a_report() -> None:
    space = SearchSpace.load("learning_rate,head")
    bare = [
        TuningTrial(1, "complete", {"learning_rate": 0.001, "head": "linear"}, 0.5),
        TuningTrial(2, "running", {"learning_rate": 0.002, "head": "two-layer"}),
        TuningTrial(3, "failed", {}, note="ClientError: no photos"),
    ]
    page = Page(render(report(space=space, trials=bare)))
    assert "Trial 1 of 3 is the best" in page.text
    assert "1 complete, 0 given up early, 1 failed, 1 running" in page.text
    assert "Validation loss by epoch" not in page.text


def test_a_study_without_a_finished_trial_has_a_report() -> None:
    page = Page(render(report(trials=[TuningTrial(1, "failed", {}, note="nan")], config={}, facts={})))
    assert "None of 1 trials came to an end yet." in page.text
    assert page.all("svg") == []


def test_the_table_has_a_row_a_trial_and_marks_the_best() -> None:
    page = Page(render(report(30)))
    rows = [row for row in page.all("tr") if row.get("class") == "winner"]
    assert len(rows) == 1
    assert len([cell for cell in page.all("td") if "state" in (cell.get("class") or "")]) == 30
    assert len([cell for cell in page.all("td") if cell.get("data-value") == "Infinity"]) == 1


def test_the_history_marks_every_trial_and_steps_down_to_the_best() -> None:
    trials = some(30, SearchSpace.load())
    chart = history_chart(trials)
    assert chart is not None
    tree = ElementTree.fromstring(chart)  # noqa: S314
    kinds = [circle.attrib["class"] for circle in tree.findall("circle")]
    assert kinds.count("dot pruned") == 7
    assert kinds.count("dot complete") == 21
    assert kinds.count("dot complete winner") == 1
    assert len(tree.findall("g")) == 1  # the one that failed
    (line,) = tree.findall("polyline")
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert heights == sorted(heights)  # down the page: the best never grows worse
    assert "trial 30: validation loss 0.3333" in str(chart)


def test_every_trial_with_a_loss_is_a_line_through_all_its_settings() -> None:
    space = SearchSpace.load("all")
    chart = parallel_chart(some(20, space), space)
    assert chart is not None
    tree = ElementTree.fromstring(chart)  # noqa: S314
    lines = [path for path in tree.findall("path") if path.attrib["class"].startswith("trial")]
    assert len(lines) == 19
    assert lines[-1].attrib["class"] == "trial f0 complete winner"  # over all others
    for line in lines:
        assert line.attrib["d"].count("C") == len(space.parameters)
        heights = [float(place.split(",")[1]) for place in re.findall(r"[\d.]+,[\d.]+", line.attrib["d"])]
        assert all(52 <= height <= 332 for height in heights)
    words = [text.text for text in tree.findall("text")]
    for word in ("learning rate", "0.001", "two-layer", "strong", "last:2", "validation loss"):
        assert word in words


def test_courses_are_drawn_where_they_were_recorded() -> None:
    trials = some(8, SearchSpace.load())
    chart = curves_chart(trials)
    assert chart is not None
    lines = ElementTree.fromstring(chart).findall("polyline")  # noqa: S314
    assert sorted(len(line.attrib["points"].split()) for line in lines) == [2, 2, 5, 5, 5, 5, 5]


@pytest.mark.parametrize(
    "values",
    [[0.5], [0.5, 0.5], [0.1, 0.11], [0.01, 3.0], [1e-9, 1e9], [0.0, 5.0], [0.097, 0.99], [2.0, 17.0]],
)
def test_a_scale_holds_its_values_and_has_labels(values: list[float]) -> None:
    scale = Scale.around(values)
    assert all(-1e-9 <= scale.at(value) <= 1 + 1e-9 for value in values)
    ticks = scale.ticks()
    assert len(ticks) >= 2
    assert all(-1e-9 <= place <= 1.001 for place, _ in ticks)
    assert len({label for _, label in ticks}) == len(ticks)


def test_losses_of_different_magnitude_are_shown_by_their_logarithm() -> None:
    assert Scale.around([0.1, 0.2]).log is False
    assert Scale.around([0.1, 2.0]).log is True
    assert math.isclose(Scale(0.01, 1.0, log=True).at(0.1), 0.5)
