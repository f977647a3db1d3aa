from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
TABLE = {
    "ServiceNamespace": "dynamodb",
    "ResourceId": "table/photos",
    "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
}


@pytest.fixture
def scaling(client: Callable[[str], Any]) -> Any:
    return client("application-autoscaling")


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_scalable_target_has_tags_and_a_service_linked_role(scaling: Any) -> None:
    arn = scaling.register_scalable_target(MinCapacity=1, MaxCapacity=4, Tags={"stage": "test"}, **TABLE)[
        "ScalableTargetARN"
    ]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"stage": "test"}
    scaling.tag_resource(ResourceARN=arn, Tags={"more": "x"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["stage"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"more": "x"}
    target = scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"][0]
    assert target["RoleARN"] == (
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
    )
    scaling.deregister_scalable_target(**TABLE)
    code, message = refusal(scaling.list_tags_for_resource, ResourceARN=arn)
    assert (code, arn in message) == ("ResourceNotFoundException", True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MinCapacity": 5, "MaxCapacity": 4}, "Maximum capacity cannot be less than minimum capacity"),
        ({"MinCapacity": 5}, "Both minimum and maximum capacity must be given"),
        (
            {
                "ServiceNamespace": "sagemaker",
                "ResourceId": "endpoint/none/variant/main",
                "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                "MinCapacity": 1,
                "MaxCapacity": 4,
            },
            "SageMaker variant doesn't exist: endpoint/none/variant/main",
        ),
    ],
)
def test_a_target_that_cannot_be_scaled_is_refused(
    scaling: Any, change: dict[str, Any], message: str
) -> None:
    code, text = refusal(scaling.register_scalable_target, **{**TABLE, **change})
    assert code == "ValidationException"
    assert message in text


def test_a_policy_needs_a_registered_target_and_goes_with_it(scaling: Any) -> None:
    tracking = {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
    }
    policy = {
        "PolicyName": "track",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
        **TABLE,
    }
    code, message = refusal(scaling.put_scaling_policy, **policy)
    assert code == "ObjectNotFoundException"
    assert message.startswith("No scalable target registered for service namespace: dynamodb")
    scaling.register_scalable_target(MinCapacity=1, MaxCapacity=4, **TABLE)
    scaling.put_scaling_policy(**policy)
    scaling.deregister_scalable_target(**TABLE)
    assert scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"] == []


def test_scaling_activities_of_what_does_not_scale_are_not_made_up(scaling: Any) -> None:
    code, _ = refusal(scaling.describe_scaling_activities, ServiceNamespace="dynamodb")
    assert code == "NotImplemented"


def test_what_is_gone_is_told_as_aws_tells_it(client: Callable[[str], Any]) -> None:
    scaling = client("application-autoscaling")
    gone = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/gone/variant/primary",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    with pytest.raises(ClientError, match=r"ObjectNotFoundException.*No scaling policy found for service"):
        scaling.delete_scaling_policy(PolicyName="p", **gone)
    with pytest.raises(ClientError, match=r"ObjectNotFoundException.*No scalable target registered for"):
        scaling.deregister_scalable_target(**gone)
