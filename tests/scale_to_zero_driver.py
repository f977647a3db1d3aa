"""Deploys a model that scales to zero in a copy of the project, there and back again; a line of JSON a step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from ml.errors import KennelError
from ops import live, predict
from ops.paths import WORK
from tests.ml.serving.samples import encode, photo
from tests.updates_driver import Steps

DEADLINE = 120  # seconds until copies have come or gone, on a loaded machine


def main() -> None:
    steps = Steps(WORK / "updates")
    client, image = steps.stage.client, encode(photo())

    def report(step: str, **said: object) -> None:
        print(json.dumps({"step": step, **said}), flush=True)

    def wait(holds: Callable[[int], bool]) -> None:
        name = outputs["inference_component_name"]
        deadline = time.monotonic() + DEADLINE
        while True:
            state = client("sagemaker").describe_inference_component(InferenceComponentName=name)
            if state["InferenceComponentStatus"] == "InService" and holds(
                state["RuntimeConfig"]["CurrentCopyCount"]
            ):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(state)
            time.sleep(0.1)

    def asked(step: str) -> None:
        try:
            answer = predict.ask(steps.stage, outputs, image)
            report(step, label=answer["label"], error=None)
        except KennelError as error:
            report(step, label=None, error=str(error))

    steps.release(0)
    deployment = steps.deployment()
    lines = dict(deployment.apply(deployment.plan(), []).lines)
    outputs = deployment.terraform.outputs()
    report("deployed", lines=lines)
    asked("asked")
    wait(lambda copies: copies == 0)
    looked = live.look(steps.stage, outputs)
    report("at zero", lines=dict(looked.lines), wrong=looked.wrong)
    report("planned again", changes=deployment.plan().has_changes)
    asked("asked at zero")
    wait(lambda copies: copies > 0)
    asked("asked again")
    steps.release(1)
    lines = dict(deployment.apply(deployment.plan(force=True), []).lines)
    moved = deployment.terraform.outputs()["model_name"] != outputs["model_name"]
    report("updated", lines=lines, moved=moved)
    swept = deployment.destroy(keep_state=False)
    report(
        "destroyed", swept=[str(one) for one in swept], left=[str(one) for one in deployment.sweeper.find()]
    )


if __name__ == "__main__":
    main()
