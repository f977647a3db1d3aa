from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from ml.evaluate import evaluate
from ml.report import SHOWN_MISTAKES, Mistake, ReportInput, render, write_report
from ml.report.charts import Series, confusion_chart, line_chart, reliability_chart

HOSTILE = "<script>alert(1)</script>\"'&amp;"


ENGINE = {
    "precision": "bf16",
    "photos": 200,
    "processor": "A Processor <9>",
    "candidates": [
        {
            "precision": "f32",
            "why": "slower than bf16",
            "top1": 0.96,
            "agreement": 1.0,
            "photos_per_core_second": 50,
        },
        {
            "precision": "bf16",
            "why": "the fastest",
            "top1": 0.955,
            "agreement": 0.995,
            "photos_per_core_second": 120,
        },
        {
            "precision": "int8",
            "why": "cannot",
            "top1": None,
            "agreement": None,
            "photos_per_core_second": None,
        },
    ],
    "decoding": {
        "tried": [
            {"margin": 1.0, "photos": 64, "enlarged": False, "same": 63},
            {"margin": 2.0, "photos": 24, "enlarged": True, "same": 24},
        ]
    },
}


def png(colour: str = "red", size: tuple[int, int] = (900, 600)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def run(number: int = 3, **changes: object) -> ReportInput:
    names = tuple(f"{i:03}.breed_{i}" for i in range(number))
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(number), 6)
    logits = rng.normal(size=(len(labels), number)) + 3 * np.eye(number)[labels]
    history = [
        {
            "epoch": i,
            "train_loss": 2 / i,
            "valid_loss": 2.2 / i,
            "train_accuracy": 1 - 0.5 / i,
            "valid_accuracy": 0.6,
        }
        for i in (1, 2, 3)
    ]
    whole = ReportInput(
        title="Ten breeds",
        classes=names,
        evaluation=evaluate(logits, labels, names),
        history=history,
        mistakes=[Mistake(png(), 0, 1, 0.91)],
        counts={"train": 1200, "valid": 20, "test": 18},
        config={"model": {"head": {"kind": "linear"}}, "seed": 1, "weights": None},
        versions={"python": "3.11"},
        notes=["No test split was there."],
        engine=ENGINE,
        decode_margin=2.0,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text."""

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
        return " ".join(filter(None, self.words))


def test_a_report_tells_what_a_run_was_like() -> None:
    page = Page(render(run()))
    for words in (
        "Ten breeds",
        "Accuracy",
        "Balanced accuracy",
        "No test split was there.",
        "model. head. kind",
        "linear",
        "3.11",
        "1,200",
        "null",
        "91.0%",
    ):
        assert words in page.text


def test_a_report_tells_what_serves_and_why() -> None:
    text = " ".join(" ".join(Page(render(run())).words).split())
    assert "The model serves in bf16 ; the metrics above are of what serves." in text
    assert "200 validation photos, with a processor that calls itself A Processor <9>" in text
    assert (
        "f32 96.0% 100.0% 50 slower than bf16 bf16 serves 95.5% 99.5% 120 the fastest int8 – – – cannot"
        in text
    )
    assert "with at least 2 times the pixels" in text
    assert "63 of 64 validation photos get the same answer" in text
    assert "24 of 24 enlarged validation photos" in text


def test_where_a_precision_was_asked_for_no_speed_is_told() -> None:
    asked = ENGINE | {
        "candidates": [{**each, "photos_per_core_second": None} for each in ENGINE["candidates"]]
    }
    text = " ".join(" ".join(Page(render(run(engine=asked, decode_margin=None))).words).split())
    assert "This precision was asked for." in text
    assert "JPEGs are decoded whole." in text


@pytest.mark.parametrize("classes", [2, 3, 20, 133])
def test_a_report_asks_for_nothing_from_outside(classes: int) -> None:
    text = render(run(classes))
    page = Page(text)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "poster", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    assert not re.search(r"@import|url\(", text)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        write_report(tmp_path / "new" / name, run=run(12))
    assert (tmp_path / "new/one.html").read_bytes() == (tmp_path / "new/two.html").read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["one.html", "two.html"]


def test_whatever_is_in_a_name_is_text() -> None:
    names = (HOSTILE, "b", "c")
    logits = 4 * np.eye(3)[[0, 1, 2, 1]]
    hostile = run(
        title=HOSTILE,
        classes=names,
        evaluation=evaluate(logits, [0, 1, 2, 0], names),
        config={HOSTILE: {HOSTILE: HOSTILE}},
        versions={HOSTILE: HOSTILE},
        counts={HOSTILE: 1},
        notes=[HOSTILE],
    )
    page = Page(render(hostile))
    assert len(page.all("script")) == 1
    assert page.words.count(HOSTILE) >= 4
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    (image,) = page.all("img")
    assert image["alt"] == f"Photo of {HOSTILE}, taken for b"


def test_every_picture_has_a_text_in_its_place() -> None:
    page = Page(render(run()))
    pictures = page.all("svg") + page.all("img")
    assert len(pictures) == 5
    assert all(picture.get("aria-label") or picture.get("alt") for picture in pictures)


def test_mistakes_are_shown_by_confidence_and_only_the_first() -> None:
    mistakes = [Mistake(png(size=(8, 8)), 0, 1, i / 100) for i in range(50)]
    page = Page(render(run(mistakes=mistakes)))
    assert len(page.all("img")) == SHOWN_MISTAKES
    shown = [float(word[:-1]) for word in page.words if re.fullmatch(r"\d+\.\d%", word)]
    at = shown.index(49.0)
    assert shown[at : at + SHOWN_MISTAKES] == [float(i) for i in range(49, 49 - SHOWN_MISTAKES, -1)]


def test_photos_are_inlined_as_small_jpegs(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(png())
    page = Page(render(run(mistakes=[Mistake(tmp_path / "photo.png", 0, 1, 0.5)])))
    (image,) = page.all("img")
    assert image["src"] is not None
    with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as thumbnail:
        assert (thumbnail.format, max(thumbnail.size)) == ("JPEG", 320)


@pytest.mark.parametrize("image", [b"no image", Path("/nowhere/photo.jpg")])
def test_a_photo_that_cannot_be_read_leaves_a_gap_not_a_failure(image: bytes | Path) -> None:
    page = Page(render(run(mistakes=[Mistake(image, 0, 1, 0.5)])))
    assert "The photo cannot be read." in page.text
    assert page.all("img") == []


def test_a_run_without_epochs_mistakes_or_facts_has_a_report() -> None:
    names = ("a", "b")
    perfect = evaluate(4 * np.eye(2), [0, 1], names)
    page = Page(render(ReportInput(title="Bare", classes=names, evaluation=perfect)))
    assert "No epoch was recorded." in page.text
    assert "every test photo was classified right" in page.text
    assert "Most often confused" not in page.text


def test_classes_are_listed_the_weakest_first_and_those_without_photos_last() -> None:
    names = ("good", "bad", "none")
    result = evaluate(4 * np.eye(3)[[0, 0, 0]], [0, 0, 1], names)
    page = Page(render(run(classes=names, evaluation=result, mistakes=[])))
    rows = [word for word in page.words if word in names]
    assert rows[:3] == ["bad", "good", "none"]


def test_curves_have_gaps_where_nothing_was_measured() -> None:
    points = [(1.0, 0.5), (2.0, None), (3.0, 0.4), (4.0, 0.3)]
    chart = line_chart([Series("training", "train", points)], title="Loss")
    assert chart is not None
    tree = ElementTree.fromstring(chart)  # noqa: S314
    assert [len(line.attrib["points"].split()) for line in tree.findall("polyline")] == [1, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_loss_that_is_no_number_does_not_break_the_report(value: float | None) -> None:
    page = Page(render(run(history=[{"epoch": 1, "train_loss": value}, {"epoch": 2, "train_loss": 0.5}])))
    assert "nan" not in " ".join(
        filter(None, (attributes.get("points") for attributes in page.all("polyline")))
    )
    assert len(page.all("svg")) == 3  # the accuracy was not recorded


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0], [1e-9, 1e9], [5.0, 5.0000001], [0.999, 1.0]])
def test_charts_stay_inside_their_frame(values: list[float]) -> None:
    series = [Series("training", "train", [(i + 1.0, value) for i, value in enumerate(values)])]
    chart = line_chart(series, title="Loss")
    assert chart is not None
    for circle in ElementTree.fromstring(chart).findall("circle"):  # noqa: S314
        assert 50 <= float(circle.attrib["cx"]) <= 468
        assert 12 <= float(circle.attrib["cy"]) <= 232


@pytest.mark.parametrize("classes", [2, 16, 40, 133])
def test_every_count_of_the_confusion_matrix_is_drawn_with_its_meaning(classes: int) -> None:
    evaluation = run(classes).evaluation
    tree = ElementTree.fromstring(confusion_chart(evaluation, title="Confusion"))  # noqa: S314
    hints = [title.text or "" for title in tree.findall("rect/title")]
    assert len(hints) == np.count_nonzero(evaluation.confusion)
    assert sum(int(hint.split()[0]) for hint in hints) == evaluation.count
    drawn = [text.text for text in tree.findall("text") if text.attrib["class"].startswith("value")]
    assert len(drawn) == (len(hints) if classes <= 40 else 0)


def test_the_reliability_diagram_has_a_bar_a_bin_that_holds_predictions() -> None:
    evaluation = run().evaluation
    tree = ElementTree.fromstring(reliability_chart(evaluation.reliability, title="Reliability"))  # noqa: S314
    filled = sum(1 for each in evaluation.reliability if each.count)
    assert len([bar for bar in tree.findall("rect") if bar.attrib["class"] == "bar"]) == filled
