"""Deploys one model after another in a copy of the project, with what the tasks are made of; a line of JSON a step."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ml import artifact
from ml.errors import KennelError
from ops import artifacts, live
from ops.deploy import Deployment
from ops.paths import TERRAFORM, WORK
from ops.rollout import Rollout
from ops.stage import Stage
from tests.ml.serving.conftest import write_run

UPDATES = 10
CANARY, LINEAR, OTHER_TYPE = 3, 5, 7  # updates that are not like the others
VARIABLES = TERRAFORM / "stages" / "local.tfvars"
# What an instance can take is known, and little: the load is at its limit, and leaves the machine to Terraform.
ONE_AT_A_TIME = """

import threading as _threading
import time as _time

_turn, _infer = _threading.Lock(), Engine.infer


def _in_turn(self, pixels):
    with _turn:
        _time.sleep(0.1 * len(pixels))
        return _infer(self, pixels)


Engine.infer = _in_turn
"""


class Steps:
    def __init__(self, work: Path) -> None:
        self.stage = Stage.of("local")
        self.said: list[str] = []
        self.folder = work / "unpacked"
        work.mkdir(parents=True)
        write_run(work / "run")
        archive, _ = artifact.build(work / "run")
        with artifact.unpacked(archive) as folder:
            shutil.copytree(folder, self.folder)
        engine = self.folder / "code" / "serving" / "engine.py"
        engine.write_text(engine.read_text() + ONE_AT_A_TIME)

    def release(self, number: int, *, starts: bool = True) -> None:
        """Make an archive of its own the stage's model."""
        manifest = self.folder / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"number": number}))
        entry = self.folder / "code" / "serving" / "__main__.py"
        sound = entry.read_text()
        if not starts:
            entry.write_text('raise SystemExit("this model does not start")\n')
        packed = self.folder.with_name(f"{number}.tar.gz")
        sha256 = artifact.repack(self.folder, packed)
        entry.write_text(sound)
        artifacts.release(self.stage, packed, sha256, {"accuracy": 0.9 + number / 1000})

    def deployment(self) -> Deployment:
        deployment = Deployment(self.stage, self.said.append)
        deployment.prepare()
        return deployment

    def deploy(self, rollout: Rollout | None = None) -> live.Report:
        deployment = self.deployment()
        return deployment.apply(deployment.plan(force=True, rollout=rollout), [])

    def roll_back(self) -> None:
        deployment = self.deployment()
        with deployment.going_back(None) as (_, planned):
            pass
        deployment.apply(planned, [])

    def tell(self, step: str, action: Callable[[], object]) -> None:
        """Do it, and print what came of it."""
        error = None
        try:
            action()
        except KennelError as caught:
            error = str(caught)
        variants = self.stage.client("sagemaker").describe_endpoint(EndpointName="kennel-local")
        wanted = variants["ProductionVariants"][0]["DesiredInstanceCount"]
        chosen = artifacts.chosen(self.stage)
        line = {
            "step": step,
            "error": error,
            "instances": wanted,
            "config": variants["EndpointConfigName"],
            "model": chosen.name if chosen else None,
            "said": self.said,
        }
        print(json.dumps(line), flush=True)
        self.said = []


def main() -> None:
    steps = Steps(WORK / "updates")
    steps.release(0)
    steps.tell("deployed", steps.deploy)
    sys.stdin.readline()  # scaled out, and under load
    for number in range(1, UPDATES + 1):
        steps.release(number)
        if number == OTHER_TYPE:
            VARIABLES.write_text(VARIABLES.read_text().replace('"ml.m5.large"', '"ml.m5.xlarge"'))
        rollouts = {CANARY: Rollout("CANARY", 50), LINEAR: Rollout("LINEAR", 50)}
        rollout = rollouts.get(number)
        steps.tell(f"update {number}", lambda rollout=rollout: steps.deploy(rollout))
    steps.release(UPDATES + 1, starts=False)
    steps.tell("forced failure", steps.deploy)
    steps.tell("rollback", steps.roll_back)
    planned = steps.deployment().plan()
    print(json.dumps({"step": "plan", "has_changes": planned.has_changes}), flush=True)


if __name__ == "__main__":
    main()
