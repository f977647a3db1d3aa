from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ml.errors import KennelError
from ops.ci import bundle
from ops.ci.bundle import Manifest
from ops.stage import Stage
from tests.ops.ci.conftest import FakeS3

HEAD = "a" * 40
KEY = f"plans/{HEAD}/plan.tfplan"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "plan.tfplan").write_bytes(b"a plan")
    digest = bundle.digest(tmp_path / "plan.tfplan")
    return Manifest(
        bundle.VERSION, "dev", HEAD, 7, digest, "inputs", "lock", "lineage", 3, 2, "2026-11-23T12:00:00+00:00"
    )


def test_a_plan_that_was_kept_comes_back(stage: Stage, manifest: Manifest, tmp_path: Path) -> None:
    bundle.keep(stage, manifest, tmp_path / "plan.tfplan")
    assert bundle.fetch(stage, HEAD, tmp_path / "back") == manifest
    assert (tmp_path / "back" / "plan.tfplan").read_bytes() == b"a plan"


def test_a_plan_that_is_missing_or_has_expired_is_told_with_the_way_on(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(KennelError, match=r"no plan of the commit aaaaaaaaaaaa for the stage dev") as told:
        bundle.fetch(stage, HEAD, tmp_path)
    assert "Open another pull request" in str(told.value)
    assert "./inv plan --stage dev" in str(told.value)


def test_a_plan_whose_manifest_alone_is_left_is_refused(
    stage: Stage, s3: FakeS3, manifest: Manifest, tmp_path: Path
) -> None:
    bundle.keep(stage, manifest, tmp_path / "plan.tfplan")
    del s3.objects[KEY]
    with pytest.raises(KennelError, match="another SHA-256"):
        bundle.fetch(stage, HEAD, tmp_path)


def test_a_plan_that_was_changed_in_the_bucket_is_refused(
    stage: Stage, s3: FakeS3, manifest: Manifest, tmp_path: Path
) -> None:
    bundle.keep(stage, manifest, tmp_path / "plan.tfplan")
    s3.objects[KEY] = b"another plan"
    with pytest.raises(KennelError, match="another SHA-256 than its manifest says"):
        bundle.fetch(stage, HEAD, tmp_path / "back")
    assert not (tmp_path / "back" / "plan.tfplan").exists()


@pytest.mark.parametrize("change", [{"stage": "prod"}, {"commit": "b" * 40}, {"version": 99}])
def test_a_plan_of_something_else_is_refused(
    change: dict[str, object], stage: Stage, s3: FakeS3, manifest: Manifest, tmp_path: Path
) -> None:
    bundle.keep(stage, manifest, tmp_path / "plan.tfplan")
    other = replace(manifest, **change)  # type: ignore[arg-type]
    s3.objects[f"plans/{HEAD}/manifest.json"] = json.dumps(asdict(other)).encode()
    with pytest.raises(KennelError, match="is of version 1, its stage and its commit"):
        bundle.fetch(stage, HEAD, tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_manifest_is_refused(content: bytes, stage: Stage, s3: FakeS3, tmp_path: Path) -> None:
    s3.objects[f"plans/{HEAD}/manifest.json"] = content
    with pytest.raises(KennelError, match="A kept plan's manifest"):
        bundle.fetch(stage, HEAD, tmp_path)
