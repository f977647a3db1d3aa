"""A stage whose AWS is told what to answer. Requests and answers are held to AWS's own shapes."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.config import Config
from botocore.validate import ParamValidator

ENDPOINT = "kennel-dev"
RESOURCE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{ENDPOINT}/variant/primary",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TRACKING = f"TargetTracking-endpoint/{ENDPOINT}/variant/primary"
OUTPUTS: dict[str, Any] = {
    "endpoint_name": ENDPOINT,
    "endpoint_variant": "primary",
    "endpoint_config_name": "kennel-dev-2",
    "lambda_function_name": "kennel-dev-classify",
    "lambda_alias": "live",
    "model": {"name": "model-0123456789ab", "sha256": "0" * 64, "metrics": {"accuracy": 0.955}},
}


class Refused(Exception):
    """AWS's answer that is an error."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class FakeCloud:
    """Answers by operation; `says` replaces one, `calls` has what was asked."""

    name = "dev"
    prefix = "kennel-dev"

    def __init__(self) -> None:
        self.outputs = dict(OUTPUTS)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.says: dict[str, Any] = canned()
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._asked = threading.local()

    def client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                client = boto3.Session("any", "any", region_name="us-east-1").client(
                    service, config=Config(retries={"total_max_attempts": 1})
                )
                client.meta.events.register("provide-client-params.*.*", self._ask)
                client.meta.events.register("before-call.*.*", self._answer)
                self._clients[service] = client
            return self._clients[service]

    def _ask(self, params: dict[str, Any], **_: Any) -> None:
        self._asked.params = params

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        params = self._asked.params
        self.calls.append((model.name, params))
        answer = self.says[model.name]
        try:
            answer = answer(params) if callable(answer) else answer
            if isinstance(answer, Refused):
                raise answer
        except Refused as error:
            metadata = {"HTTPStatusCode": error.status}
            return SimpleNamespace(status_code=error.status), {
                "Error": {"Code": error.code, "Message": error.message},
                "ResponseMetadata": metadata,
            }
        checked = {name: value for name, value in answer.items() if name != "Payload"}
        report = ParamValidator().validate(checked, _optional(model.output_shape))
        assert not report.has_errors(), f"{model.name}: {report.generate_report()}"
        return SimpleNamespace(status_code=200), {**answer, "ResponseMetadata": {}}

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [params for name, params in self.calls if name == operation]

    def scale(self, count: int, desired: int | None = None) -> None:
        self.says["DescribeEndpoint"] = described(count, desired)


def _optional(shape: Any) -> Any:
    """An answer may leave out what the tests do not look at; what it has must be of AWS's names and types."""
    shape = type(shape)(shape.name, json.loads(json.dumps(shape._shape_model)), shape._shape_resolver)
    shape._shape_model.pop("required", None)
    return shape


def described(count: int, desired: int | None = None, status: str = "InService") -> dict[str, Any]:
    return {
        "EndpointName": ENDPOINT,
        "EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{ENDPOINT}",
        "EndpointConfigName": "kennel-dev-2",
        "EndpointStatus": status,
        "CreationTime": ago(9000),
        "LastModifiedTime": ago(5000),
        "ProductionVariants": [
            {
                "VariantName": "primary",
                "CurrentWeight": 1.0,
                "CurrentInstanceCount": count,
                "DesiredInstanceCount": count if desired is None else desired,
            }
        ],
    }


def bulk_jobs() -> dict[str, Any]:
    """One, for ListTransformJobs; a stage has none by default."""
    job = {
        "TransformJobName": "kennel-dev-bulk",
        "TransformJobArn": "arn:aws:sagemaker:::1",
        "CreationTime": ago(2000),
        "TransformEndTime": ago(1700),
        "TransformJobStatus": "Completed",
    }
    return {"TransformJobSummaries": [job]}


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def activity(number: int, to: int, began: float, cause: str, **more: Any) -> dict[str, Any]:
    return {
        "ActivityId": f"activity-{number}",
        **RESOURCE,
        "Description": f"Setting desired instance count to {to}.",
        "Cause": cause,
        "StartTime": ago(began),
        "EndTime": ago(began - 240),
        "StatusCode": "Successful",
        "StatusMessage": f"Successfully set desired instance count to {to}.",
        **more,
    }


def triggered(side: str) -> str:
    return (
        f"monitor alarm {TRACKING}-Alarm{side}-1 in state ALARM triggered policy kennel-dev-target-tracking"
    )


def alarm(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "StateValue": state,
        "StateReason": "Threshold Crossed: 3 datapoints were greater than the threshold.",
        "StateUpdatedTimestamp": ago(120),
        "MetricName": "InvocationsPerInstance",
        "Period": 60,
        "EvaluationPeriods": 3,
        "Threshold": 100.0,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }


def metric_data(params: dict[str, Any]) -> dict[str, Any]:
    """A day with a busy last half hour; errors and throttles have no points, as on AWS."""
    results = []
    end = params["EndTime"].timestamp()
    heights = {"invocations": 240, "per_instance": 118, "latency_p50": 9_000, "latency_p99": 31_000,
               "latency_mean": 11_000, "overhead_mean": 2_000, "concurrent": 6, "calls": 236,
               "function_concurrent": 8, "duration_p99": 60, "errors_4xx": 2,
               "train_loss": 0.6, "valid_loss": 0.7, "train_accuracy": 0.7, "valid_accuracy": 0.65}  # fmt: skip
    for query in params["MetricDataQueries"]:
        height, period = heights.get(query["Id"], 0), query["MetricStat"]["Period"]
        moments = [end - period * back for back in range(25, 0, -1)] if height else []
        results.append(
            {
                "Id": query["Id"],
                "Label": query["Id"],
                "Timestamps": [datetime.fromtimestamp(at, UTC) for at in moments],
                "Values": [height * (0.45 + 0.55 * math.sin(index / 8) ** 2) for index in range(len(moments))],
                "StatusCode": "Complete",
            }
        )  # fmt: skip
    return {"MetricDataResults": results}


def invoked(params: dict[str, Any]) -> dict[str, Any]:
    answer = {
        "label": 3,
        "name": "Bernese_mountain_dog",
        "probability": 0.934,
        "top": [
            {"label": 3, "name": "Bernese_mountain_dog", "probability": 0.934},
            {"label": 7, "name": "Greater_swiss_mountain_dog", "probability": 0.051},
            {"label": 1, "name": "Entlebucher_sennenhund", "probability": 0.012},
        ],
    }
    log = {
        "message": "predicted",
        "total_ms": 21.4,
        "endpoint_ms": 19.8,
        "variant": "primary",
        "cold_start": False,
    }
    return {
        "StatusCode": 200,
        "Payload": io.BytesIO(json.dumps(answer).encode()),
        "LogResult": base64.b64encode(f"START RequestId\n{json.dumps(log)}\nEND\n".encode()).decode(),
    }  # fmt: skip


def says_no(message: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function's answer to a caller's mistake."""
    error = {"error": {"type": "image_refused", "message": message}}
    return lambda _: {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(error).encode())}


def canned() -> dict[str, Any]:
    """A stage that has scaled out twice and in once, and has a job of each kind."""
    return {
        "DescribeEndpoint": described(2),
        "DescribeEndpointConfig": {
            "EndpointConfigName": "kennel-dev-2",
            "ProductionVariants": [
                {"VariantName": "primary", "ModelName": "m", "InstanceType": "ml.c7i.large"}
            ],
        },
        "DescribeScalableTargets": {
            "ScalableTargets": [
                {
                    **RESOURCE,
                    "MinCapacity": 1,
                    "MaxCapacity": 4,
                    "RoleARN": "arn:aws:iam::1:role/x",
                    "CreationTime": ago(9000),
                }
            ]
        },
        "DescribeScalingPolicies": {
            "ScalingPolicies": [
                {
                    "PolicyARN": "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1",
                    "PolicyName": "kennel-dev-target-tracking",
                    "PolicyType": "TargetTrackingScaling",
                    **RESOURCE,
                    "TargetTrackingScalingPolicyConfiguration": {
                        "TargetValue": 100.0,
                        "PredefinedMetricSpecification": {
                            "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
                        },
                        "ScaleOutCooldown": 10,
                        "ScaleInCooldown": 10,
                        "DisableScaleIn": False,
                    },
                    "CreationTime": ago(9000),
                }
            ]
        },
        "DescribeScheduledActions": {"ScheduledActions": []},
        "DescribeScalingActivities": {
            "ScalingActivities": [
                activity(4, 2, 400, triggered("Low")),
                activity(
                    3,
                    4,
                    700,
                    triggered("High"),
                    NotScaledReasons=[{"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 4}],
                ),
                activity(2, 3, 1200, triggered("High")),
                activity(1, 1, 8000, "minimum capacity was set to 1"),
            ]
        },
        "DescribeAlarms": lambda params: {
            "MetricAlarms": [
                alarm(f"{TRACKING}-AlarmHigh-1", "ALARM"),
                alarm(
                    f"{TRACKING}-AlarmLow-1",
                    "OK",
                    EvaluationPeriods=15,
                    Threshold=90.0,
                    ComparisonOperator="LessThanThreshold",
                ),
            ]
            if params["AlarmNamePrefix"].startswith("TargetTracking")
            else [alarm("kennel-dev-endpoint-latency", "OK", MetricName="ModelLatency", Threshold=2e6)]
        },
        "GetMetricData": metric_data,
        "GetFunctionConfiguration": {
            "FunctionName": "kennel-dev-classify",
            "Version": "7",
            "State": "Active",
            "MemorySize": 512,
            "Timeout": 30,
        },
        "GetFunctionConcurrency": {"ReservedConcurrentExecutions": 50},
        "GetProvisionedConcurrencyConfig": Refused(
            "ProvisionedConcurrencyConfigNotFoundException", status=404
        ),
        "ListTrainingJobs": {
            "TrainingJobSummaries": [
                {
                    "TrainingJobName": "kennel-dev-261123",
                    "TrainingJobArn": "arn:aws:sagemaker:::1",
                    "CreationTime": ago(600),
                    "TrainingJobStatus": "InProgress",
                },
                {
                    "TrainingJobName": "not-ours-kennel-dev-1",
                    "TrainingJobArn": "arn:aws:sagemaker:::1",
                    "CreationTime": ago(600),
                    "TrainingJobStatus": "Failed",
                },
            ]
        },
        "ListHyperParameterTuningJobs": {
            "HyperParameterTuningJobSummaries": [
                {
                    "HyperParameterTuningJobName": "kennel-dev-tune",
                    "HyperParameterTuningJobArn": "arn:aws:sagemaker:::1",
                    "HyperParameterTuningJobStatus": "Completed",
                    "Strategy": "Bayesian",
                    "CreationTime": ago(4000),
                    "HyperParameterTuningEndTime": ago(3000),
                    "TrainingJobStatusCounters": {},
                    "ObjectiveStatusCounters": {},
                }
            ]
        },
        "ListTransformJobs": {"TransformJobSummaries": []},
        "DescribeTrainingJob": {
            "TrainingJobName": "kennel-dev-261123",
            "CreationTime": ago(600),
            "TrainingStartTime": ago(500),
        },
        "ListTrainingJobsForHyperParameterTuningJob": {
            "TrainingJobSummaries": [
                {
                    "TrainingJobName": f"kennel-dev-tune-00{number}",
                    "TrainingJobArn": "arn:aws:sagemaker:::1",
                    "CreationTime": ago(4000 - number),
                    "TrainingJobStatus": "Completed",
                    "TunedHyperParameters": {},
                    "FinalHyperParameterTuningJobObjectiveMetric": {
                        "MetricName": "valid:best_loss",
                        "Value": value,
                    },
                }
                for number, value in enumerate([0.9, 0.5, 0.7, 0.4], 1)
            ]
        },
        "Invoke": invoked,
    }
