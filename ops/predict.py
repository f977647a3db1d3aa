"""Asks the deployed function about photos."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml.errors import KennelError
from ops.stage import Stage

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}
CONCURRENT = 4  # requests under way: enough to keep one instance busy, far below the function's concurrency
MAXIMUM_BYTES = 4 * 1024**2  # base64 makes 4/3 of it, and Lambda takes 6 MB
REDUCED_SIDE = (
    2048  # pixels of the longer side that a larger photo is sent with; models look at some hundreds
)
TOP = 5


@dataclass(frozen=True)
class Prediction:
    """The function's answer for one photo; `answer` is as it came, `error` says why there is none."""

    image: str
    answer: Any
    error: str | None = None

    def to_json(self) -> str:
        """Return the line for `--json`."""
        if self.error is not None:
            return json.dumps({"image": self.image, "error": self.error})
        return json.dumps({"image": self.image, **self.answer})


def find_images(source: str) -> list[str]:
    """Return the photos that a path, URL or folder stands for; folders are walked in the order of names.

    Raises:
        KennelError: there is no such thing, or no photo in it.
    """
    if source.startswith(("http://", "https://")):
        return [source]
    path = Path(source)
    if path.is_file():
        return [source]
    if path.is_dir():
        found = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
        if found:
            return found
        raise KennelError(
            "A folder holds photos.",
            f"{source}: none with {', '.join(sorted(EXTENSIONS))}",
            "Name another folder.",
        )
    raise KennelError("--image is a photo, a folder or a URL.", source, "Correct the path.")


def predict(stage: Stage, outputs: dict[str, Any], images: list[str], *, raw: bool) -> Iterator[Prediction]:
    """Ask the function about each image, in order; an image that fails yields its error and stops nothing.

    Raises:
        KennelError: nothing is deployed that could answer.
    """
    check_deployed(outputs)
    client = stage.client("lambda")

    def one(image: str) -> Prediction:
        try:
            content = {"url": image} if "://" in image else {"image": encoded(Path(image).read_bytes())}
            event = _legacy_event(outputs, content) if raw else {**content, "top_k": TOP}
            return Prediction(image, invoke(client, outputs, event))
        except (KennelError, OSError) as error:
            return Prediction(image, None, str(error))

    with ThreadPoolExecutor(CONCURRENT) as pool:
        yield from pool.map(one, images)


def ask(stage: Stage, outputs: dict[str, Any], image: bytes) -> dict[str, Any]:
    """Ask the function about one photo.

    Raises:
        KennelError: it gives no answer.
    """
    answer: dict[str, Any] = invoke(stage.client("lambda"), outputs, {"image": encoded(image), "top_k": TOP})
    return answer


def invoke(client: Any, outputs: dict[str, Any], event: dict[str, Any]) -> Any:
    """Invoke the function through its alias and return its answer.

    Raises:
        KennelError: the function refuses or fails.
    """
    return called(client, outputs, event)[0]


def called(client: Any, outputs: dict[str, Any], event: dict[str, Any], **options: Any) -> tuple[Any, str]:
    """Invoke the function likewise; return its answer, and with LogType="Tail" the end of its log.

    Raises:
        KennelError: the function refuses or fails.
    """
    name, alias = outputs["lambda_function_name"], outputs["lambda_alias"]
    payload = json.dumps(event).encode()
    try:
        response = client.invoke(FunctionName=name, Qualifier=alias, Payload=payload, **options)
        answer = json.loads(response["Payload"].read())
    except (BotoCoreError, ClientError) as error:
        raise KennelError(
            f"The function {name} takes the request.", error, "Try again; ./inv status shows what is live."
        ) from error
    if response.get("FunctionError"):
        received = f"{answer.get('errorType')}: {answer.get('errorMessage')}"
        raise KennelError(
            f"The function {name} answers.", received, f"Its log group, /aws/lambda/{name}, says more."
        )
    if isinstance(answer, dict) and "error" in answer:
        raise KennelError(answer["error"]["message"])
    return answer, base64.b64decode(response.get("LogResult", "")).decode(errors="replace")


def encoded(image: bytes) -> str:
    """Return the photo as base64, made smaller first where it would not fit into a request."""
    if len(image) > MAXIMUM_BYTES:
        image = _reduced(image)
    return base64.b64encode(image).decode()


def _reduced(image: bytes) -> bytes:
    from ml.serving.images import ImageError, decode

    try:
        picture = decode(image)
    except ImageError:
        return image[:MAXIMUM_BYTES]  # no photo at all: let the function say so
    picture.thumbnail((REDUCED_SIDE, REDUCED_SIDE))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95)
    return out.getvalue()


def _legacy_event(outputs: dict[str, Any], content: dict[str, str]) -> dict[str, str]:
    return {"endpoint_name": outputs["endpoint_name"], "request_dict": json.dumps(content)}


def check_deployed(outputs: dict[str, Any]) -> None:
    """Raises KennelError where nothing is deployed that could answer."""
    for name, what in (("lambda_function_name", "function"), ("endpoint_name", "endpoint")):
        if not outputs.get(name):
            raise KennelError(
                f"A prediction needs a deployed {what}.", "none", "./inv up, or ./inv train and apply."
            )


def as_text(prediction: Prediction) -> str:
    """Return the prediction as a line of a terminal."""
    name = prediction.image if len(prediction.image) <= 40 else "…" + prediction.image[-39:]
    if prediction.error is not None:
        return f"{name:40}  {' '.join(prediction.error.split())}"
    return f"{name:40}  {prediction.answer['name']}  {prediction.answer['probability']:.1%}"
