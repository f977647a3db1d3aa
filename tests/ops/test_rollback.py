from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import artifacts, rollback
from ops.artifacts import Model
from ops.fleet import Fleet

NEW, OLD, OLDER = (Model(f"model-{digit * 12}", digit * 64, {"accuracy": 0.9}) for digit in "abc")


def told(model: Model) -> dict[str, Any]:
    return {"name": model.name, "sha256": model.sha256, "metrics": model.metrics}


OUTPUTS = {"model": told(NEW) | {"earlier": [told(OLD), told(OLDER)]}, "artifact_bucket": "artifacts"}


def test_it_goes_to_the_model_before() -> None:
    assert rollback.target(OUTPUTS, NEW, None) == OLD


def test_where_an_update_was_rolled_back_it_stays_with_what_serves() -> None:
    failed = Model("model-bad", "d" * 64, {})
    assert rollback.target(OUTPUTS, failed, None) == NEW


@pytest.mark.parametrize("to", [OLDER.name, "cccc", OLDER.sha256])
def test_a_model_is_named_by_its_name_or_digest(to: str) -> None:
    assert rollback.target(OUTPUTS, NEW, to) == OLDER


@pytest.mark.parametrize("to", ["model-x", "c", "ccc", "dddd"])
def test_a_model_that_there_is_not_is_refused(to: str) -> None:
    with pytest.raises(
        KennelError,
        match=r"(?s)--to names one .* four at least.*There are: model-aaaaaaaaaaaa, test accuracy 90",
    ) as caught:
        rollback.target(OUTPUTS, NEW, to)
    assert caught.value.received == to


def test_with_no_model_before_it_refuses_and_says_what_to_do() -> None:
    with pytest.raises(KennelError, match="is the only one that was deployed here"):
        rollback.target({"model": told(NEW)}, NEW, None)
    with pytest.raises(KennelError, match="nothing is deployed"):
        rollback.target({}, None, None)


def test_the_model_that_it_leaves_is_the_next_to_go_to() -> None:
    kept = artifacts.retained(OLD, OUTPUTS)
    assert kept == [NEW, OLDER]
    after = {"model": told(OLD) | {"earlier": [told(model) for model in kept]}}
    assert rollback.target(after, OLD, None) == NEW


def test_only_so_many_models_are_kept() -> None:
    many = [told(Model(f"m{n}", f"{n:064x}", {})) for n in range(9)]
    kept = artifacts.retained(Model("next", "e" * 64, {}), {"model": told(NEW) | {"earlier": many}})
    assert [model.name for model in kept] == [NEW.name, "m0", "m1"]


class FakeStage:
    name = "dev"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def client(self, _: str) -> Any:
        return self

    def download_file(self, bucket: str, key: str, path: str) -> None:
        assert bucket == "artifacts"
        body = self.answers.get(key)
        if body is None:
            raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadObject")
        Path(path).write_bytes(body)

    def describe_endpoint_config(self, **_: Any) -> Any:
        return {"ProductionVariants": [{"ModelName": "m"}]}

    def describe_model(self, **_: Any) -> Any:
        return {"PrimaryContainer": {"ModelDataUrl": f"s3://artifacts/models/{OLD.sha256}/model.tar.gz"}}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(artifacts, "ARTIFACTS", tmp_path)
    return tmp_path


def test_an_archive_that_is_not_here_is_fetched(store: Path) -> None:
    model = Model("m", hashlib.sha256(b"archive").hexdigest(), {})
    stage: Any = FakeStage(**{f"models/{model.sha256}/model.tar.gz": b"archive"})
    assert rollback.fetch(stage, OUTPUTS["artifact_bucket"], model)
    assert model.archive.read_bytes() == b"archive"


def test_an_archive_that_was_replaced_in_the_bucket_is_refused(store: Path) -> None:
    stage: Any = FakeStage(**{f"models/{OLD.sha256}/model.tar.gz": b"another"})
    with pytest.raises(KennelError, match="has the digest of its address"):
        rollback.fetch(stage, OUTPUTS["artifact_bucket"], OLD)
    assert not OLD.archive.exists()


def test_an_archive_that_is_nowhere_is_left_to_terraform(store: Path) -> None:
    stage: Any = FakeStage()
    assert not rollback.fetch(stage, OUTPUTS["artifact_bucket"], OLD)


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        (
            "The primary container did not pass the ping health check.",
            "log group /aws/sagemaker/Endpoints/kennel-dev",
        ),
        (
            "One or more CloudWatch alarms are in ALARM: a.",
            r"./inv console --stage dev shows the alarms and their reasons.",
        ),
        (
            "One or more CloudWatch alarms are in ALARM: a.",
            "raise its threshold in observability.endpoint_alarms",
        ),
        (
            "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity.",
            "wait a while",
        ),
    ],
)
def test_an_update_that_went_back_is_told_with_its_reason_and_what_to_do(reason: str, cure: str) -> None:
    stage: Any = FakeStage()
    error = rollback.undone(stage, OUTPUTS, Fleet("kennel-dev", "c", "InService", reason, 2))
    assert f"It serves {OLD.name}, test accuracy 90.0%, as before, with 2 instances." in error.rule
    assert error.received == reason
    assert cure in str(error.remedy)
    assert "./inv apply --stage dev" in str(error.remedy)
    assert "./inv rollback --stage dev stays with the model that serves." in str(error.remedy)
