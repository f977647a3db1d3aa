"""Puts a transform job's answers, one object each, together into one file: a row of JSON for every photo."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml.data.progress import bar
from ops.jobs.follow import JobError
from ops.jobs.source import sizes, split_uri
from ops.stage import Stage

_CONNECTIONS = 16
_AT_A_TIME = 1024  # answers whose download is waited for together
COLUMNS = ("key", "label", "name", "probability", "error")

Row = dict[str, Any]


@dataclass(frozen=True)
class Order:
    """What a job was to do: the photos below an address, by key, and those that were left out with the reason."""

    uri: str  # ends with a slash
    photos: list[str]
    left_out: dict[str, str]

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def read(cls, stage: Stage, uri: str) -> Order:
        """Raises JobError where the job's scratch files are gone."""
        bucket, key = split_uri(uri)
        try:
            body = stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            return cls(**json.loads(body))
        except (ClientError, BotoCoreError, ValueError, TypeError) as error:
            raise JobError(
                "What a job was to do is still there.", f"{uri}: {error}", "Start it again."
            ) from error


def names(listed: Mapping[str, int], prefix: str, order: Order) -> dict[str, str]:
    """Return the answers' keys by photo. AWS names an answer by what follows the manifest's prefix; some of its pages
    say, by the whole key."""
    bucket, below = split_uri(order.uri)
    found: dict[str, str] = {}
    for photo in order.photos:
        for name in (photo.removeprefix(below), photo, f"{bucket}/{photo}"):
            if f"{prefix}{name}.out" in listed:
                found[photo] = f"{prefix}{name}.out"
                break
    return found


def collect(
    stage: Stage,
    order: Order,
    answers: str,
    missing: Mapping[str, str],
    why: str,
    file: Path,
    *,
    progress: bool = True,
) -> collections.Counter[str]:
    """Write a row for every photo, by key; return how many have which name, "" for those without an answer.

    `missing` says by bucket/key why an answer is not there, `why` it says for all others.
    """
    client = stage.client("s3")
    bucket, prefix = split_uri(answers)
    there = names(sizes(client, bucket, prefix), prefix, order)
    photos = split_uri(order.uri)[0]

    def row(key: str) -> Row:
        if key in order.left_out:
            return _row(key, error=order.left_out[key])
        if key not in there:
            return _row(key, error=missing.get(f"{photos}/{key}", why))
        return parsed(key, client.get_object(Bucket=bucket, Key=there[key])["Body"].read())

    keys = sorted([*order.photos, *order.left_out])
    counts: collections.Counter[str] = collections.Counter()
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.part")
    with draft.open("w", encoding="utf-8") as out, ThreadPoolExecutor(_CONNECTIONS) as pool:
        rows = (one for some in _chunks(keys) for one in pool.map(row, some))
        for one in bar(rows, title="Collecting", total=len(keys), unit="answer", show=progress):
            counts["" if one["error"] else one["name"]] += 1
            out.write(json.dumps(one, ensure_ascii=False) + "\n")
    draft.replace(file)
    return counts


def parsed(key: str, body: bytes) -> Row:
    """Return the row for what the model server answered."""
    try:
        answer = json.loads(body)
        if "error" in answer:
            return _row(key, error=str(answer["error"]["message"]))
        best = answer["predictions"][0]
        return _row(key, label=best["label"], name=best["name"], probability=best["probability"])
    except (ValueError, TypeError, KeyError, IndexError):
        return _row(key, error="The answer is not one that this project's model server gives.")


def _row(key: str, **values: Any) -> Row:
    return dict.fromkeys(COLUMNS) | {"key": key} | values


def _chunks(keys: list[str]) -> Iterator[list[str]]:
    """So that not all answers are under way at once."""
    for start in range(0, len(keys), _AT_A_TIME):
        yield keys[start : start + _AT_A_TIME]
