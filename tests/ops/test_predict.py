from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from ml.errors import KennelError
from ops import predict

OUTPUTS = {"lambda_function_name": "kennel-local", "lambda_alias": "live", "endpoint_name": "kennel-local"}


class Function:
    """A Lambda client that answers what it is told."""

    def __init__(self, answer: Any, *, error: str | None = None) -> None:
        self.answer = answer
        self.error = error

    def invoke(self, **_: Any) -> dict[str, Any]:
        body = {"Payload": io.BytesIO(json.dumps(self.answer).encode())}
        return body | ({"FunctionError": self.error} if self.error else {})


def test_a_folder_is_walked_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.JPG", "a.png", "b/1.webp", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    found = [Path(image).relative_to(tmp_path).as_posix() for image in predict.find_images(str(tmp_path))]
    assert found == ["a.png", "b/1.webp", "b/2.JPG"]


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KennelError, match="A folder holds photos"):
        predict.find_images(str(tmp_path))


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KennelError, match="--image is a photo, a folder or a URL"):
        predict.find_images(str(tmp_path / "absent.jpg"))


def test_a_url_stands_for_itself() -> None:
    assert predict.find_images("https://example.com/a.jpg") == ["https://example.com/a.jpg"]


def test_a_small_photo_is_sent_as_it_is() -> None:
    assert base64.b64decode(predict.encoded(b"bytes")) == b"bytes"


def test_a_photo_too_large_for_a_request_is_sent_smaller() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1800, 2400, 3), dtype=np.uint8)
    large = io.BytesIO()
    Image.fromarray(noise).save(large, "PNG")
    assert len(large.getvalue()) > predict.MAXIMUM_BYTES
    sent = base64.b64decode(predict.encoded(large.getvalue()))
    assert Image.open(io.BytesIO(sent)).size == (2048, 1536)
    assert len(sent) < predict.MAXIMUM_BYTES


def test_nothing_deployed_is_told_before_anything_is_sent() -> None:
    with pytest.raises(KennelError, match="A prediction needs a deployed function"):
        list(predict.predict(None, {}, ["a.jpg"], raw=False))  # type: ignore[arg-type]


def test_a_mistake_that_the_function_names_becomes_the_error() -> None:
    answer = {"statusCode": 400, "error": {"type": "BadImage", "message": "no image"}}
    with pytest.raises(KennelError, match="no image"):
        predict.invoke(Function(answer), OUTPUTS, {})


def test_a_function_that_fails_is_told_with_its_error() -> None:
    function = Function({"errorType": "EndpointUnavailable", "errorMessage": "down"}, error="Unhandled")
    with pytest.raises(KennelError, match="EndpointUnavailable: down"):
        predict.invoke(function, OUTPUTS, {})


def test_a_refusal_of_the_service_is_told_with_its_code() -> None:
    class Throttled:
        def invoke(self, **_: Any) -> None:
            raise ClientError(
                {"Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}}, "Invoke"
            )

    with pytest.raises(KennelError, match=r"TooManyRequestsException.*Rate Exceeded"):
        predict.invoke(Throttled(), OUTPUTS, {})


def test_a_prediction_is_one_line_of_json() -> None:
    answer = {"label": 1, "name": "b", "probability": 0.9, "top": []}
    line = predict.Prediction("x.jpg", answer).to_json()
    assert json.loads(line) == {"image": "x.jpg", **answer}
    assert "\n" not in line
