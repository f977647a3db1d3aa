"""What a stage has in SageMaker, and what scales it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ops.live import wait_until_stable
from ops.scaling import dimension
from ops.sweep.listing import Listing, Removal, Tags, belongs, pairs

if TYPE_CHECKING:
    from ops.sweep.sweeper import Sweeper

DELETE_SECONDS = 600


def tags(arn: str) -> Tags:
    """Read the tags of an entry by the field with its ARN."""

    def read(sweeper: Sweeper, entry: dict[str, Any]) -> dict[str, str]:
        return pairs(sweeper.pages("sagemaker", "list_tags", "Tags", ResourceArn=entry[arn]))

    return read


def running(kind: str) -> Listing:
    """List jobs of a kind, such as TrainingJob, that run. They may have been started without the tag."""
    operation = {
        "TrainingJob": "list_training_jobs",
        "HyperParameterTuningJob": "list_hyper_parameter_tuning_jobs",
        "TransformJob": "list_transform_jobs",
    }[kind]

    def listing(sweeper: Sweeper) -> Iterator[str]:
        for state in ("InProgress", "Stopping"):
            for entry in sweeper.pages(
                "sagemaker", operation, f"{kind}Summaries", NameContains=sweeper.prefix, StatusEquals=state
            ):
                name: str = entry[f"{kind}Name"]
                if sweeper.is_ours(name) and belongs(
                    sweeper, tags(f"{kind}Arn")(sweeper, entry), untagged=True
                ):
                    yield name

    return listing


def stop(kind: str) -> Removal:
    """Stop a job, and wait until it has: a record of it stays, and costs nothing."""
    stopping, describing = {
        "TrainingJob": ("stop_training_job", "describe_training_job"),
        "HyperParameterTuningJob": ("stop_hyper_parameter_tuning_job", "describe_hyper_parameter_tuning_job"),
        "TransformJob": ("stop_transform_job", "describe_transform_job"),
    }[kind]

    def removal(sweeper: Sweeper, name: str) -> object:
        client = sweeper.client("sagemaker")
        deadline, state = time.monotonic() + DELETE_SECONDS, ""
        while time.monotonic() < deadline:
            state = getattr(client, describing)(**{f"{kind}Name": name})[f"{kind}Status"]
            if state not in {"InProgress", "Stopping"}:
                return None
            if state == "InProgress":
                getattr(client, stopping)(**{f"{kind}Name": name})
            time.sleep(1)
        raise TimeoutError(f"still {state}")

    return removal


def scalable_targets(sweeper: Sweeper) -> Iterator[str]:
    entries = sweeper.pages(
        "application-autoscaling",
        "describe_scalable_targets",
        "ScalableTargets",
        ServiceNamespace="sagemaker",
    )
    return (e["ResourceId"] for e in entries if sweeper.is_ours(e["ResourceId"].split("/")[1]))


def deregister(sweeper: Sweeper, resource: str) -> object:
    """With the target go its policies, their alarms, and its scheduled actions."""
    return sweeper.client("application-autoscaling").deregister_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=resource,
        ScalableDimension=dimension(resource),
    )


def stacks(sweeper: Sweeper) -> Iterator[str]:
    for stack in sweeper.pages("cloudformation", "describe_stacks", "Stacks"):
        if sweeper.is_ours(stack["StackName"]) and belongs(sweeper, pairs(stack.get("Tags", []))):
            yield stack["StackName"]


def delete_stack(sweeper: Sweeper, name: str) -> object:
    client = sweeper.client("cloudformation")
    stack = client.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    client.delete_stack(StackName=stack)
    delay = 1 if sweeper.stage.name == "local" else 15
    return client.get_waiter("stack_delete_complete").wait(
        StackName=stack, WaiterConfig={"Delay": delay, "MaxAttempts": DELETE_SECONDS // delay}
    )


def delete_component(sweeper: Sweeper, name: str) -> object:
    """One that is being made or updated cannot be deleted, nor an endpoint before it is gone."""
    client = sweeper.client("sagemaker")
    deadline = time.monotonic() + DELETE_SECONDS
    while time.monotonic() < deadline:  # the ClientError of one that is gone ends it
        state = client.describe_inference_component(InferenceComponentName=name)["InferenceComponentStatus"]
        if state in {"InService", "Failed"}:
            client.delete_inference_component(InferenceComponentName=name)
        time.sleep(1)
    raise TimeoutError(f"still {state}")


def delete_endpoint(sweeper: Sweeper, name: str) -> object:
    wait_until_stable(sweeper.stage, name)  # one that is being made or updated cannot be deleted
    client = sweeper.client("sagemaker")
    client.delete_endpoint(EndpointName=name)
    return client.get_waiter("endpoint_deleted").wait(
        EndpointName=name,
        WaiterConfig={"Delay": 1 if sweeper.stage.name == "local" else 15, "MaxAttempts": 120},
    )


def delete_notebook(sweeper: Sweeper, name: str) -> object:
    """One that starts or stops cannot be deleted; one that is being deleted is still listed."""
    client = sweeper.client("sagemaker")
    deadline, state = time.monotonic() + DELETE_SECONDS, ""
    while time.monotonic() < deadline:
        state = client.describe_notebook_instance(NotebookInstanceName=name)["NotebookInstanceStatus"]
        if state == "InService":
            client.stop_notebook_instance(NotebookInstanceName=name)
        elif state in {"Stopped", "Failed"}:
            client.delete_notebook_instance(NotebookInstanceName=name)
        if state in {"Stopped", "Failed", "Deleting"}:
            return client.get_waiter("notebook_instance_deleted").wait(
                NotebookInstanceName=name,
                WaiterConfig={"Delay": 1 if sweeper.stage.name == "local" else 15, "MaxAttempts": 120},
            )
        time.sleep(1)
    raise TimeoutError(f"still {state}")
