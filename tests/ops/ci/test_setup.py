from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml.errors import KennelError
from ops import artifacts, state_bucket
from ops import terraform as terraforms
from ops.artifacts import Model
from ops.ci import setup
from ops.stage import Stage
from ops.terraform import TerraformError
from tests.ops.ci.conftest import FakeS3

MODEL = Model("model-bbbbbbbbbbbb", "b" * 64, {})


@pytest.fixture(autouse=True)
def _made(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Stage, "model_file", tmp_path / "dev.model.tfvars.json")
    monkeypatch.setattr(artifacts, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.setattr(state_bucket, "ensure", lambda _: False)


def test_a_models_archive_is_uploaded_once_by_its_digest(stage: Stage, s3: FakeS3) -> None:
    artifacts.choose(stage, MODEL)
    MODEL.archive.parent.mkdir(parents=True)
    MODEL.archive.write_bytes(b"an archive")
    said: list[str] = []
    for _ in range(2):
        setup.upload(stage, said.append)
    assert s3.objects == {f"models/{MODEL.sha256}/model.tar.gz": b"an archive"}
    assert [line.split()[0] for line in said] == ["Uploaded", said[1].split()[0]]
    assert said[1].endswith("is there already.")


def test_without_a_model_there_is_nothing_to_upload(stage: Stage) -> None:
    with pytest.raises(KennelError, match="names none"):
        setup.upload(stage, lambda _: None)


def test_an_archive_that_is_not_here_cannot_be_uploaded(stage: Stage) -> None:
    artifacts.choose(stage, MODEL)
    with pytest.raises(KennelError, match="is missing"):
        setup.upload(stage, lambda _: None)


def test_whose_pipeline_it_is_has_to_be_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(setup, "terraform_version", terraforms.version)
    monkeypatch.setattr(setup, "variables_file", lambda _: tmp_path / "dev.ci.tfvars")
    with pytest.raises(KennelError, match=r'ci = \{ github = \{ repository = "ORG/NAME" \} \}'):
        setup.setup(stage, lambda _: None, lambda _: None, remove=False)


def test_what_a_failed_apply_has_made_is_recorded_for_other_machines(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Bootstrap:
        def state(self) -> dict[str, Any]:
            return {"serial": 1}

        def plan(self, *_: Any) -> bool:
            return True

        def apply(self, *_: Any) -> None:
            raise TerraformError("apply", [("LimitExceeded", "")], "")

    (tmp_path / "dev.ci.tfvars").touch()
    kept: list[Stage] = []
    monkeypatch.setattr(setup, "terraform_version", lambda: None)
    monkeypatch.setattr(setup, "variables_file", lambda _: tmp_path / "dev.ci.tfvars")
    monkeypatch.setattr(setup, "_review", lambda *_, **__: None)
    monkeypatch.setattr(state_bucket, "bootstrap", lambda _: Bootstrap())
    monkeypatch.setattr(state_bucket, "keep_record", kept.append)
    with pytest.raises(TerraformError, match="LimitExceeded"):
        setup.setup(stage, lambda _: None, lambda _: None, remove=False)
    assert kept == [stage]


def test_taking_roles_away_where_none_were_made_makes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "terraform_version", lambda: None)
    monkeypatch.setattr(state_bucket, "exists", lambda _: False)
    monkeypatch.setattr(state_bucket, "ensure", lambda _: pytest.fail("a bucket is made"))
    assert setup.setup(stage, lambda _: None, lambda _: None, remove=True) == {}
