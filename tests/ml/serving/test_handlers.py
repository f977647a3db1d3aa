from __future__ import annotations

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.serving import handlers
from ml.serving.engine import Engine
from ml.serving.errors import RequestError
from ml.serving.handlers import Answer, Prediction, input_fn, model_fn, output_fn, parse_accept, predict_fn
from tests.ml.serving.samples import encode, photo

PNG = encode(photo())
PREDICTION = Prediction(np.array([[1.0, 3.0, 2.0]], np.float32), ("a", "b", "c"))
VERBOSE = "application/json;verbose=1"


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    handlers.settings.cache_clear()
    yield
    handlers.settings.cache_clear()


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> Engine:
    return Engine.load(model_dir)


def request_json(**values: object) -> bytes:
    return json.dumps(values).encode()


def refused(status: int, code: str, message: str, body: bytes | str, content_type: str | None) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        input_fn(body, content_type)
    assert (caught.value.status_code, caught.value.code) == (status, code)


def test_the_four_functions_answer_the_golden_image_with_one_row_of_scores(model_dir: Path) -> None:
    model = model_fn(str(model_dir))
    scores = json.loads(output_fn(predict_fn(input_fn(PNG, "image/png"), model), "application/json"))
    assert np.argmax(scores, axis=1).tolist() == [model.manifest.golden.label]


def test_the_engine_is_chosen_by_the_environment(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENNEL_ENGINE", "torch")
    assert model_fn(str(model_dir)).kind == "torch"


def test_the_module_in_the_archive_has_the_four_functions(model_dir: Path) -> None:
    program = (
        "import sys, inference as i; data = open(sys.argv[1] + '/golden.png', 'rb').read(); "
        "model = i.model_fn(sys.argv[1]); "
        "print(i.output_fn(i.predict_fn(i.input_fn(data, 'image/png'), model), '*/*'))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(model_dir / "code")}
    command = [sys.executable, "-P", "-B", "-c", program, str(model_dir)]
    result = subprocess.run(
        command, cwd=model_dir, env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert len(json.loads(result.stdout)[0]) == 3


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("JPEG", "image/jpg"),
        ("JPEG", "Image/JPEG; charset=binary"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("JPEG", "application/x-image"),
        ("PNG", "application/x-image"),
        ("WEBP", "application/x-image"),
    ],
)
def test_image_bytes_of_each_type_are_taken(kind: str, content_type: str) -> None:
    assert input_fn(encode(photo(), kind), content_type).size == (90, 70)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_a_base64_image_in_json_is_taken(kind: str, content_type: str) -> None:
    body = request_json(image=base64.b64encode(encode(photo(), kind)).decode())
    assert input_fn(body, content_type).size == (90, 70)


def test_json_that_the_container_has_decoded_already_is_taken() -> None:
    body = request_json(image=base64.b64encode(PNG).decode()).decode()
    assert input_fn(body, "application/json").size == (90, 70)


@pytest.mark.parametrize(
    "content_type", [None, "", "image/gif", "image/*", "text/plain", "application/jsonx"]
)
def test_another_content_type_is_415(content_type: str | None) -> None:
    message = "has to be one of image/jpeg, image/png, image/webp, application/x-image, application/json"
    refused(415, "unsupported_content_type", message, PNG, content_type)


def test_bytes_of_another_type_than_declared_are_415() -> None:
    message = "The Content-Type says JPEG, the bytes are PNG. Correct it, or send application/x-image"
    refused(415, "content_type_mismatch", message, PNG, "image/jpeg")


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("content_type", ["image/jpeg", "application/x-image"])
def test_image_formats_that_are_not_served_are_415(kind: str, content_type: str) -> None:
    message = f"The image is a {kind}. Send one of: JPEG, PNG, WEBP"
    refused(415, "unsupported_format", message, encode(photo(), kind), content_type)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "empty_image"),
        (b"<svg/>", 400, "not_an_image"),
        (PNG[:-20], 400, "broken_image"),
        (encode(Image.new("L", (9000, 9000))), 413, "too_many_pixels"),
    ],
)
def test_what_is_no_usable_image_is_refused(body: bytes, status: int, code: str) -> None:
    refused(status, code, "image|PNG", body, "application/x-image")


def test_an_image_as_text_is_refused() -> None:
    refused(400, "not_bytes", "sent as bytes, not as text", "text", "image/jpeg")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"image": "YQ==", "image": "YQ=="}',
        b"[" * 200_000,
        b'{"image":' * 100_000,
        b"9" * 5000,
    ],
    ids=["empty", "cut short", "no UTF-8", "a key twice", "deep list", "deep object", "a huge number"],
)
def test_bad_json_is_refused(body: bytes) -> None:
    refused(400, "invalid_json", "has to be JSON in UTF-8", body, "application/json")


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        1,
        "image",
        {"image": "YQ==", "url": "https://example.com/"},
        {"img": "YQ=="},
        {"image": "YQ==", "top": 5},
    ],
)
def test_json_with_other_keys_is_refused(value: object) -> None:
    message = 'has to be {"image": "<base64>"} or'
    refused(400, "invalid_request", message, json.dumps(value).encode(), "application/json")


@pytest.mark.parametrize("key", ["image", "url"])
@pytest.mark.parametrize("value", [None, 1, True, ["YQ=="], {"a": 1}])
def test_a_value_that_is_no_string_is_refused(key: str, value: object) -> None:
    refused(
        400,
        "invalid_request",
        f"value of {key} has to be a string",
        request_json(**{key: value}),
        "application/json",
    )


@pytest.mark.parametrize(
    "value", ["YQ=", "Y", "YQ==\n", "Y Q==", "data:image/png;base64,YQ==", "-_==", "é", "\ud800"]
)
def test_bad_base64_is_refused(value: str) -> None:
    refused(
        400,
        "invalid_base64",
        "no line breaks, no data: prefix",
        request_json(image=value),
        "application/json",
    )


def test_urls_are_refused_unless_they_are_switched_on() -> None:
    message = "fetches no URLs: .* KENNEL_FETCH_URLS=true"
    refused(403, "urls_not_allowed", message, request_json(url="https://example.com/"), "application/json")


@pytest.fixture
def photo_url() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(PNG)))
            self.end_headers()
            self.wfile.write(PNG)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}/photo.png"
        web.shutdown()
        thread.join()


def test_a_url_is_fetched_where_the_settings_allow_it(
    photo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("URLS", "ALLOW_HTTP", "ALLOW_LOOPBACK"):
        monkeypatch.setenv(f"KENNEL_FETCH_{name}", "true")
    assert input_fn(request_json(url=photo_url), "application/json").size == (90, 70)


def test_a_url_that_the_guard_refuses_is_the_callers_mistake(
    photo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KENNEL_FETCH_URLS", "true")
    with pytest.raises(RequestError) as caught:
        input_fn(request_json(url=photo_url), "application/json")
    assert 400 <= caught.value.status_code < 500
    assert "127.0.0.1" not in caught.value.message


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, Answer()),
        ("", Answer()),
        ("*/*", Answer()),
        ("application/*", Answer()),
        ("application/json", Answer()),
        ("Application/JSON ; charset=UTF-8", Answer()),
        ("application/json;verbose=0", Answer()),
        ("application/json;verbose=1", Answer(True, 5)),
        ("application/json; verbose=1; top=3", Answer(True, 3)),
        ("application/json;verbose=1;errors=1", Answer(True, 5, errors=True)),
        ("application/json;verbose=1;top=1;errors=1", Answer(True, 1, errors=True)),
        ("text/html, application/json;verbose=1;q=0.9", Answer(True, 5)),
        ("application/json;q=0, */*", Answer()),
    ],
)
def test_accept_headers_that_can_be_served(accept: str | None, answer: Answer) -> None:
    assert parse_accept(accept) == answer


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/xml",
        "json",
        "application/json;verbose=2",
        "application/json;verbose=1;top=0",
        "application/json;verbose=1;top=-1",
        "application/json;verbose=1;top=x",
        "application/json;verbose=1;top=99999999",
        "application/json;top=3",
        "application/json;errors=2",
        "application/json;verbos=1",
        "application/json;verbose",
        "application/json;charset=latin-1",
        "application/json;q=0.0",
    ],
)
def test_other_accept_headers_are_406(accept: str) -> None:
    with pytest.raises(RequestError, match=r"Accept has to be application/json, or .*verbose=1") as caught:
        parse_accept(accept)
    assert (caught.value.status_code, caught.value.code) == (406, "not_acceptable")


def test_scores_come_as_one_row_an_image() -> None:
    assert json.loads(output_fn(PREDICTION, "application/json")) == [[1.0, 3.0, 2.0]]


def test_a_verbose_answer_has_names_and_probabilities_best_first() -> None:
    (answer,) = json.loads(output_fn(PREDICTION, VERBOSE))["predictions"]
    assert (answer["label"], answer["name"]) == (1, "b")
    assert answer["probability"] == pytest.approx(0.6652, abs=1e-4)
    assert [each["name"] for each in answer["top"]] == ["b", "c", "a"]
    assert answer["top"][0] == {key: answer[key] for key in ("label", "name", "probability")}
    assert sum(each["probability"] for each in answer["top"]) == pytest.approx(1)


def test_top_limits_the_list() -> None:
    (answer,) = json.loads(output_fn(PREDICTION, f"{VERBOSE};top=2"))["predictions"]
    assert [each["label"] for each in answer["top"]] == [1, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("accept", ["application/json", VERBOSE])
def test_scores_that_are_not_finite_are_never_sent(value: float, accept: str) -> None:
    with pytest.raises(ArithmeticError, match="not finite"):
        output_fn(Prediction(np.array([[1.0, value]], np.float32), ("a", "b")), accept)


def test_a_prediction_knows_the_names_of_its_classes(engine: Engine) -> None:
    prediction = predict_fn(photo(), engine)
    assert prediction.logits.shape == (1, 3)
    assert prediction.classes == engine.classes
