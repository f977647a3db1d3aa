from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import destroy, live_cost
from ops.cost import HOURS, Cost
from ops.sweep import Found, Survey
from ops.terraform import TerraformError

ENDPOINT, MODEL = Found("endpoint", "kennel-dev"), Found("model", "kennel-dev-1")


class FakeSweeper:
    """Finds what there is; removes what it may, and what `later` says at the second attempt only."""

    def __init__(self, order: list[str], *there: Found, stays: tuple[Found, ...] = ()) -> None:
        self.order = order
        self.there = list(there)
        self.stays = stays
        self.unseen: dict[str, str] = {}
        self.artifact_bucket = "kennel-dev-artifacts-1"

    def survey(self, kinds: Any = None) -> Survey:
        return Survey([found for found in self.there if kinds is None or found.kind in kinds], self.unseen)

    def remove(self, found: list[Found]) -> list[Found]:
        self.order += [f"remove {entry}" for entry in found]
        self.there = [entry for entry in self.there if entry not in found or entry in self.stays]
        return [Found(e.kind, e.identifier, "AccessDenied: no") for e in found if e in self.stays]


class FakeTerraform:
    """A Terraform that fails as often as it is told to."""

    def __init__(self, order: list[str], *failures: str, begins: bool = True) -> None:
        self.order = order
        self.failures = list(failures)
        self.begins = begins
        self.interrupted = False

    def outputs(self) -> dict[str, Any]:
        return {"endpoint_name": "kennel-dev"}

    def forget(self, _: Any) -> None:
        self.order.append("forget")

    def apply_directly(self, _: list[str], listener: Callable[[Any], None], *, destroy: bool) -> None:
        assert destroy
        self.order.append("terraform")
        if self.begins:
            listener({"type": "apply_start", "hook": {"resource": {"addr": "a"}, "action": "delete"}})
        if self.failures:
            raise TerraformError("apply", [(self.failures.pop(0), "")], "")


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in its order."""
    done: list[str] = []
    monkeypatch.setattr("ops.jobs.sagemaker.stop_all", lambda *_: done.append("stop jobs"))
    monkeypatch.setattr("ops.live.wait_until_stable", lambda _, name: done.append(f"wait for {name}"))
    monkeypatch.setattr(destroy, "purge_bucket", lambda _, bucket: done.append(f"empty {bucket}"))
    monkeypatch.setattr(destroy, "remove_bucket", lambda _, bucket: done.append(f"remove {bucket}"))
    monkeypatch.setattr("ops.state_bucket.name", lambda _: "the state")
    monkeypatch.setattr("ops.state_bucket.made_more", lambda _: False)
    monkeypatch.setattr(live_cost, "of", lambda *_: ((), {}))
    return done


def deployment(tmp_path: Path, terraform: FakeTerraform, sweeper: FakeSweeper, **more: Any) -> Any:
    said: list[str] = []
    stage = SimpleNamespace(
        name="dev", region="us-east-1", directory=tmp_path, variables_file=tmp_path / "none", is_running=True,
        client=more.pop("client", lambda _: None),
    )  # fmt: skip
    return SimpleNamespace(
        stage=stage, sweeper=sweeper, terraform=terraform, say=said.append, said=said,
        variables=list, discard=lambda: None,
    )  # fmt: skip


def test_scaling_ends_before_the_endpoint_rests_and_all_of_it_before_terraform(
    order: list[str], tmp_path: Path
) -> None:
    sweeper = FakeSweeper(order, Found("scalable target", "endpoint/kennel-dev/variant/v"))
    found = destroy.run(deployment(tmp_path, FakeTerraform(order), sweeper), keep_state=False)
    assert found == []
    assert order == [
        "stop jobs", "remove scalable target endpoint/kennel-dev/variant/v", "wait for kennel-dev", "forget",
        "terraform", "remove the state",
    ]  # fmt: skip


def test_a_bucket_that_is_not_empty_is_emptied_only_when_terraform_has_stopped_at_it(
    order: list[str], tmp_path: Path
) -> None:
    terraform = FakeTerraform(order, "BucketNotEmpty: the bucket has objects")
    destroy.run(deployment(tmp_path, terraform, FakeSweeper(order)), keep_state=True)
    assert order[3:] == ["terraform", "empty kennel-dev-artifacts-1", "terraform"]


def test_a_destroy_that_stops_at_a_bucket_each_time_has_failed(order: list[str], tmp_path: Path) -> None:
    terraform = FakeTerraform(order, *["BucketNotEmpty: the bucket has objects"] * destroy.ATTEMPTS)
    with pytest.raises(TerraformError, match="BucketNotEmpty"):
        destroy.run(deployment(tmp_path, terraform, FakeSweeper(order)), keep_state=False)
    assert order.count("terraform") == destroy.ATTEMPTS
    assert order[-1] == "terraform"


def test_what_is_in_terraforms_way_is_removed_without_it_and_then_it_goes_on(
    order: list[str], tmp_path: Path
) -> None:
    own = deployment(
        tmp_path,
        FakeTerraform(order, "DependencyViolation"),
        FakeSweeper(order, Found("network interface", "eni-1")),
    )
    destroy.run(own, keep_state=True)
    assert order[3:] == ["terraform", "remove network interface eni-1", "terraform"]
    assert "DependencyViolation" in own.said[0]


@pytest.mark.parametrize("how", ["it had not begun", "somebody stopped it"])
@pytest.mark.parametrize("why", ["Error acquiring the state lock", "BucketNotEmpty"])
def test_nothing_is_swept_where_terraform_did_not_begin_or_was_told_to_stop(
    why: str, how: str, order: list[str], tmp_path: Path
) -> None:
    terraform = FakeTerraform(order, why, begins=how != "it had not begun")
    terraform.interrupted = how == "somebody stopped it"
    with pytest.raises(TerraformError, match=why):
        destroy.run(deployment(tmp_path, terraform, FakeSweeper(order, MODEL)), keep_state=False)
    assert not any(step.startswith(("remove", "empty")) for step in order)


def test_what_is_left_is_told_with_its_cost_the_reason_and_a_remedy_and_the_next_one_goes_on(
    order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    price = Cost("endpoint", "1 × ml.m5.large", 0.115, 0.115)
    monkeypatch.setattr(live_cost, "of", lambda *_: (((ENDPOINT, price),), {}))
    sweeper = FakeSweeper(order, ENDPOINT, MODEL, stays=(ENDPOINT,))
    with pytest.raises(KennelError) as caught:
        destroy.run(deployment(tmp_path, FakeTerraform(order), sweeper), keep_state=False)
    assert str(caught.value).splitlines()[:5] == [
        "A destroy leaves nothing.",
        f"Received: left, ${0.115 * HOURS:.2f} a month in all:",
        "  endpoint kennel-dev, $83.95 a month",
        "    AccessDenied: no",
        f"    {ENDPOINT.remedy}",
    ]
    assert "remove the state" not in order  # a second destroy needs it
    sweeper.stays = ()
    assert destroy.run(deployment(tmp_path, FakeTerraform(order), sweeper), keep_state=False) == [ENDPOINT]
    assert order[-1] == "remove the state"


def test_the_cost_of_what_nobody_may_look_at_is_not_nothing(
    order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_cost, "of", lambda *_: ((), {"endpoint": "AccessDeniedException: no"}))
    sweeper = FakeSweeper(order, ENDPOINT, MODEL, stays=(ENDPOINT, MODEL))
    with pytest.raises(KennelError) as caught:
        destroy.run(deployment(tmp_path, FakeTerraform(order), sweeper), keep_state=False)
    told = str(caught.value)
    assert "left, unknown a month in all:" in told
    assert "  endpoint kennel-dev, unknown a month\n" in told
    assert "  model kennel-dev-1\n" in told


def test_the_bucket_that_a_pipelines_roles_are_recorded_in_stays(
    order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.state_bucket.made_more", lambda _: True)
    own = deployment(tmp_path, FakeTerraform(order), FakeSweeper(order))
    destroy.run(own, keep_state=False)
    assert "remove the state" not in order
    assert "./inv ci.setup --stage dev --remove takes them away; then destroy again." in own.said[-1]


def test_a_destroy_that_may_not_look_everywhere_has_proven_nothing(order: list[str], tmp_path: Path) -> None:
    sweeper = FakeSweeper(order)
    sweeper.unseen = {"function": "AccessDeniedException: not authorized", "tagged": "AccessDenied: no"}
    with pytest.raises(KennelError, match=r"(?s)not proven:\n  function: not looked at \(AccessDenied"):
        destroy.run(deployment(tmp_path, FakeTerraform(order), sweeper), keep_state=False)
    sweeper.unseen.pop("function")  # the other is a second look
    destroy.run(deployment(tmp_path, FakeTerraform(order), sweeper), keep_state=False)


def test_the_data_bucket_stays_and_is_told_with_its_size(order: list[str], tmp_path: Path) -> None:
    class S3:
        def get_paginator(self, _: str) -> Any:
            return SimpleNamespace(paginate=lambda **_: [{"Contents": [{"Size": 2048}]}])

    class Denied:
        def get_paginator(self, _: str) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2")

    told = {}
    for s3 in (S3(), Denied()):
        terraform: Any = FakeTerraform(order)
        terraform.outputs = lambda: {"data_bucket": "photos"}
        own = deployment(tmp_path, terraform, FakeSweeper(order), client=lambda _, s3=s3: s3)
        destroy.run(own, keep_state=True)
        told[type(s3).__name__] = own.said
    assert told == {
        "S3": ["The data bucket photos stays as it is, with 2 kB in it."],
        "Denied": ["The data bucket photos stays as it is."],
    }
