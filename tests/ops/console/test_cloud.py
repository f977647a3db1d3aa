from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ml.errors import KennelError
from ops.console.cloud import Remembered, StageCloud, explained
from ops.paths import TERRAFORM

STATE = {
    "outputs": {
        "endpoint_name": {"value": "kennel-dev"},
        "password": {"value": "secret", "sensitive": True},
    }
}


def cloud_with(get_object: Any) -> StageCloud:
    stage: Any = SimpleNamespace(
        name="dev", settings=None, account_id="123456789012",
        variables_file=TERRAFORM / "stages" / "dev.tfvars",
        client=lambda _: SimpleNamespace(get_object=get_object),
    )  # fmt: skip
    return StageCloud(stage)


def test_outputs_are_read_out_of_the_state_once_and_without_secrets() -> None:
    asked: list[dict[str, str]] = []

    def get_object(**where: str) -> dict[str, Any]:
        asked.append(where)
        return {"Body": io.BytesIO(json.dumps(STATE).encode())}

    cloud = cloud_with(get_object)
    assert cloud.outputs == cloud.outputs == {"endpoint_name": "kennel-dev"}
    assert asked == [{"Bucket": "kennel-dev-terraform-state-123456789012", "Key": "kennel/terraform.tfstate"}]


@pytest.mark.parametrize("code", ["NoSuchBucket", "NoSuchKey"])
def test_a_stage_that_was_never_applied_has_no_outputs(code: str) -> None:
    def get_object(**_: str) -> None:
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")

    assert cloud_with(get_object).outputs == {}


def test_a_value_is_made_again_when_its_time_is_over_and_not_before() -> None:
    now, made = [0.0], [0]

    def make() -> int:
        made[0] += 1
        return made[0]

    remembered = Remembered(lambda: now[0])
    assert [remembered.get("a", 5, make), remembered.get("a", 5, make)] == [1, 1]
    now[0] = 5.0
    assert remembered.get("a", 5, make) == 2


def test_what_failed_is_not_remembered() -> None:
    remembered = Remembered()
    with pytest.raises(ZeroDivisionError):
        remembered.get("a", 60, lambda: 1 // 0)
    assert remembered.get("a", 60, lambda: 7) == 7


def test_an_error_that_is_no_answer_of_the_cloud_is_a_bug_and_stays_one() -> None:
    assert explained(KennelError("A rule.", 1, "A remedy.")) == {
        "rule": "A rule.",
        "received": "1",
        "remedy": "A remedy.",
    }
    assert (
        explained(EndpointConnectionError(endpoint_url="http://x"))["rule"] == "The cloud cannot be reached."
    )
    with pytest.raises(ZeroDivisionError):
        explained(ZeroDivisionError())
