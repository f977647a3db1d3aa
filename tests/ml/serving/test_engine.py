from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.serving.engine import Engine, softmax
from ml.serving.errors import ModelError
from tests.ml.serving.samples import encode, photo

ENGINES = ["openvino", "torch"]


def change_manifest(model_dir: Path, *keys: str, value: object) -> None:
    path = model_dir / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    inner = manifest
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(manifest), encoding="utf-8")


def refused(model_dir: Path, message: str, kind: str = "openvino") -> None:
    with pytest.raises(ModelError, match=message):
        Engine.load(model_dir, kind)


@pytest.mark.parametrize("kind", ENGINES)
def test_it_answers_the_golden_image_as_the_manifest_says(model_dir: Path, kind: str) -> None:
    engine = Engine.load(model_dir, kind)
    probabilities = softmax(engine.classify([photo()]))[0]
    golden = engine.manifest.golden
    assert int(probabilities.argmax()) == golden.label
    assert probabilities[golden.label] == pytest.approx(golden.probability, abs=1e-3)


def test_both_engines_give_the_same_answers(model_dir: Path) -> None:
    images = [photo(seed=seed) for seed in range(5)]
    logits = [Engine.load(model_dir, kind).classify(images) for kind in ENGINES]
    assert logits[0].shape == (5, 3)
    assert logits[0].std() > 0.01
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ENGINES)
def test_an_answer_does_not_depend_on_the_rest_of_the_batch(model_dir: Path, kind: str) -> None:
    engine = Engine.load(model_dir, kind)
    images = [photo(seed=seed) for seed in range(3)]
    alone = np.concatenate([engine.classify([image]) for image in images])
    np.testing.assert_allclose(engine.classify(images), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ENGINES)
def test_threads_do_not_mix_up_their_answers(model_dir: Path, kind: str) -> None:
    engine = Engine.load(model_dir, kind)
    batches = [engine.preprocessing.pixels(photo(seed=seed))[None] for seed in range(4)]
    expected = [engine.infer(batch) for batch in batches]
    wrong = []

    def work(number: int) -> None:
        for _ in range(30):
            if not np.allclose(engine.infer(batches[number]), expected[number], atol=1e-5):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_openvino_is_chosen_where_it_is_installed(model_dir: Path) -> None:
    assert Engine.load(model_dir).kind == "openvino"


def test_pytorch_is_chosen_where_openvino_is_not_installed(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert Engine.load(model_dir).kind == "torch"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("openvino", "model.xml"),
        ("openvino", "model.bin"),
        ("torch", "model.safetensors"),
        ("torch", "golden.png"),
    ],
)
def test_a_missing_file_is_named(own_model_dir: Path, kind: str, name: str) -> None:
    (own_model_dir / name).unlink()
    refused(own_model_dir, f"holds {name} for the {kind} engine", kind)


def test_a_directory_without_a_manifest_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, r"A model directory holds manifest\.json")


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_a_manifest_that_is_no_json_is_refused(own_model_dir: Path, text: str) -> None:
    (own_model_dir / "manifest.json").write_text(text, encoding="latin-1")
    refused(own_model_dir, r"manifest\.json is JSON")


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["format"], 1, r"has format 2\.\nReceived: format 1\nRemedy: Train the model again"),
        (["format"], "2", "format '2'"),
        (["classes"], [], "classes is not a list of two or more names"),
        (["classes"], ["a", 2], "classes is not a list of two or more names"),
        (["classes"], ["a", "b"], r"network\.num_classes is 3, classes 2"),
        (["network"], {}, "no key 'num_classes'"),
        (["network"], None, "values of the right kind"),
        (["engine", "precision"], "int4", r"engine\.precision is 'int4', not one of f32, bf16, int8"),
        (["preprocessing", "crop"], 4000, "crop is 4000"),
        (["golden", "file"], "../golden.png", "not a plain file name"),
        (["golden", "extra"], 1, "values of the right kind"),
        (["golden", "label"], 7, "The golden image is answered as at packing: 7"),
        (["golden", "probability"], 0.01, "The golden image is answered as at packing"),
        (["golden", "probability"], float("nan"), "The golden image is answered as at packing"),
    ],
)
def test_a_wrong_manifest_is_refused(
    own_model_dir: Path, keys: list[str], value: object, message: str
) -> None:
    change_manifest(own_model_dir, *keys, value=value)
    refused(own_model_dir, message)


def test_pytorch_normalizes_as_the_manifest_says(own_model_dir: Path) -> None:
    change_manifest(own_model_dir, "preprocessing", "mean", value=[0.0, 5.0, 0.9])
    refused(own_model_dir, "The golden image is answered as at packing", "torch")


def test_a_manifest_with_a_key_missing_is_refused(own_model_dir: Path) -> None:
    path = own_model_dir / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["golden"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    refused(own_model_dir, "no key 'golden'")


@pytest.mark.parametrize(("kind", "name"), [("openvino", "model.xml"), ("torch", "model.safetensors")])
def test_a_damaged_model_is_refused(own_model_dir: Path, kind: str, name: str) -> None:
    (own_model_dir / name).write_bytes(b"damaged")
    refused(own_model_dir, f"The {kind} engine loads the model", kind)


def test_weights_of_another_network_are_refused(own_model_dir: Path) -> None:
    change_manifest(own_model_dir, "network", "head", value={"kind": "two-layer", "hidden": 8})
    refused(own_model_dir, "The torch engine loads the model", "torch")


def test_a_model_with_another_number_of_classes_is_refused(own_model_dir: Path) -> None:
    change_manifest(own_model_dir, "network", "num_classes", value=2)
    change_manifest(own_model_dir, "classes", value=["a", "b"])
    refused(own_model_dir, r"scores of shape \[1, 3\] for 2 classes")


def test_a_golden_image_that_is_none_is_refused(own_model_dir: Path) -> None:
    (own_model_dir / "golden.png").write_bytes(encode(photo())[:50])
    refused(own_model_dir, "The golden image can be read")


def test_softmax_stands_large_scores() -> None:
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0, -1000.0]], np.float32)), [[0.5, 0.5, 0]])
