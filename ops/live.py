"""Looks at what is live in a stage, and tells whether it is what was planned.

Terraform's word is not enough: when a blue/green update is rolled back, the endpoint is in service again with the
old configuration, and the provider reports success.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import artifacts
from ops.predict import ask
from ops.scaling import resource_id
from ops.stage import Stage

STABLE = {"InService", "OutOfService", "Failed", "UpdateRollbackFailed"}
STABLE_SECONDS = 3600  # SageMaker gives an update an hour at most by default


@dataclass(frozen=True)
class Golden:
    """A picture that comes with the model, and the label that the model must give it."""

    image: bytes
    label: int


@dataclass
class Report:
    """What is live, as lines for a person, and what of it is not as planned."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    copies: int | None = None  # of the inference component that serves; None: the endpoint's own model does

    def check(self, name: str, value: str, fault: str | None) -> None:
        self.lines.append((name, value))
        if fault is not None:
            self.wrong.append(fault)


def verify(stage: Stage, outputs: dict[str, Any], golden: Golden | None) -> Report:
    """Compare what is live with what Terraform's outputs say was deployed, and ask it the golden question.

    Raises:
        KennelError: something live is not what was planned.
    """
    report = look(stage, outputs)
    if golden is None and outputs.get("endpoint_name"):
        report.check("golden photo", "not asked: the archive is not on this machine", None)
    elif outputs.get("endpoint_name") and report.copies == 0:
        report.check("golden photo", "not asked: the endpoint has scaled to zero", None)
    elif golden is not None and outputs.get("endpoint_name") and not report.wrong:
        answer = ask(stage, outputs, golden.image)
        right = answer.get("label") == golden.label
        report.check(
            "golden photo",
            "answered right" if right else "answered wrong",
            None
            if right
            else f"the golden photo's label is {golden.label}, the deployed model answers {answer}",
        )
    if report.wrong:
        raise KennelError(
            "After an apply, what is live is what was planned.",
            "; ".join(report.wrong),
            f"./inv status --stage {stage.name} shows what is live; correct the cause, then plan and apply again.",
        )
    return report


def look(stage: Stage, outputs: dict[str, Any], report: Report | None = None) -> Report:
    """Describe the endpoint, its scaling and the function, each compared with the outputs.

    A `report` that is given has also what was found before a look failed.
    """
    report = Report() if report is None else report
    _look_at_endpoint(stage, outputs, report)
    _look_at_function(stage, outputs, report)
    return report


def _look_at_endpoint(stage: Stage, outputs: dict[str, Any], report: Report) -> None:
    name = outputs.get("endpoint_name")
    if not name:
        report.check("endpoint", "none (no model yet: ./inv train)", None)
        return
    try:
        described = stage.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        if not is_gone(error):
            raise
        report.check(
            "endpoint", f"{name}: gone", f"the endpoint {name} is gone: {error.response['Error']['Message']}"
        )
        return
    state = described["EndpointStatus"]
    # Without another configuration pending, instances come or go: scaling goes on as soon as an update has ended.
    scales = state == "Updating" and "PendingDeploymentSummary" not in described
    reason = f": {described['FailureReason']}" if described.get("FailureReason") else ""
    in_service = state == "InService"
    report.check(
        "endpoint",
        f"{name}: {state}" + reason * (not in_service) + ", instances come or go" * scales,
        None if in_service or scales else f"the endpoint {name} is {state}{reason}",
    )
    if in_service and reason:
        report.check("last update", f"did not succeed{reason}", None)
    live_config, planned_config = described["EndpointConfigName"], outputs["endpoint_config_name"]
    report.check(
        "configuration",
        live_config,
        None
        if live_config == planned_config
        else f"the endpoint serves {live_config}, planned was {planned_config}: the update was rolled back{reason}",
    )
    if model := artifacts.deployed(outputs):
        report.check("model", str(model), None)
    for variant in described.get("ProductionVariants", []):
        count, wanted = variant.get("CurrentInstanceCount", 0), variant.get("DesiredInstanceCount", 0)
        report.check("instances", f"{count} of {wanted} ({variant['VariantName']})", None)
    if outputs.get("inference_component_name"):
        _look_at_component(stage, outputs, report)
    if outputs.get("autoscaling"):
        _look_at_scaling(stage, outputs, report)


def _look_at_component(stage: Stage, outputs: dict[str, Any], report: Report) -> None:
    name = outputs["inference_component_name"]
    try:
        described = stage.client("sagemaker").describe_inference_component(InferenceComponentName=name)
    except ClientError as error:
        if not is_gone(error):
            raise
        report.check("component", f"{name}: gone", f"the inference component {name} is gone")
        return
    state = described["InferenceComponentStatus"]
    reason = f": {described['FailureReason']}" if described.get("FailureReason") else ""
    fault = (
        None if state in ("InService", "Updating") else f"the inference component {name} is {state}{reason}"
    )
    model = described["Specification"].get("ModelName")
    if model != outputs["model_name"]:
        fault = f"the inference component {name} serves {model}, planned was {outputs['model_name']}{reason}"
    counts = described["RuntimeConfig"]
    report.copies = counts["CurrentCopyCount"]
    report.check(
        "component", f"{name}: {state}, {report.copies} of {counts['DesiredCopyCount']} copies{reason}", fault
    )


def _look_at_scaling(stage: Stage, outputs: dict[str, Any], report: Report) -> None:
    declared = outputs["autoscaling"]
    resource = resource_id(outputs)
    what = "copies" if outputs.get("inference_component_name") else "instances"
    found = stage.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[resource]
    )["ScalableTargets"]
    if not found:
        report.check("scaling", "none", f"{resource} is not registered for scaling")
        return
    limits = (found[0]["MinCapacity"], found[0]["MaxCapacity"])
    planned = (declared["min"], declared["max"])
    scheduled = bool(declared.get("scheduled"))  # which may have moved the limits
    how = "in steps" if declared.get("policy") == "step" else f"target {declared['target']}"
    report.check(
        "scaling",
        f"{limits[0]} to {limits[1]} {what}, {how}" + ", by a schedule" * scheduled,
        None
        if limits == planned or scheduled
        else f"scaling between {limits} is live, planned was {planned}",
    )
    if any((found[0].get("SuspendedState") or {}).values()):
        report.check("", "suspended: nothing scales", f"scaling of {resource} is suspended")


def _look_at_function(stage: Stage, outputs: dict[str, Any], report: Report) -> None:
    name = outputs.get("lambda_function_name")
    if not name:
        return
    client = stage.client("lambda")
    try:
        described = client.get_function(FunctionName=name, Qualifier=outputs["lambda_alias"])
    except ClientError as error:
        if not is_gone(error):
            raise
        report.check(
            "function", f"{name}: gone", f"the function {name} is gone: {error.response['Error']['Message']}"
        )
        return
    configuration = described["Configuration"]
    state = configuration.get("State", "Active")
    report.check(
        "function",
        f"{name}:{outputs['lambda_alias']} (version {configuration['Version']}, {state})",
        None if state == "Active" else f"the function {name} is {state}",
    )
    reserved = client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    if reserved is not None:
        report.check("concurrency", f"{reserved} reserved", None)
    if outputs.get("lambda_function_url"):
        report.check("URL", outputs["lambda_function_url"], None)


def is_gone(error: ClientError) -> bool:
    """Whether AWS says that there is no such thing; SageMaker has no error code of its own for it."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    return "NotFound" in code or code in {"NoSuchEntity", "NoSuchBucket"} or "Could not find" in message


def wait_until_stable(stage: Stage, endpoint: str) -> None:
    """Wait while the endpoint is being made, updated or rolled back: a delete in between would lose it.

    Raises:
        KennelError: it does not come to rest within an hour.
    """
    client = stage.client("sagemaker")
    deadline = time.monotonic() + STABLE_SECONDS
    state = "unknown"
    while time.monotonic() < deadline:
        try:
            state = client.describe_endpoint(EndpointName=endpoint)["EndpointStatus"]
        except ClientError as error:
            if is_gone(error):
                return
            raise
        if state in STABLE:
            return
        time.sleep(1)
    raise KennelError(
        "An endpoint is updated or destroyed when it has come to rest.",
        f"{endpoint} is still {state} after {STABLE_SECONDS} s",
        "Look at the endpoint in the console, then run the same command again.",
    )
