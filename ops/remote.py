"""Training and tuning elsewhere: on SageMaker or the stage's EC2 instance. What comes back is a run like any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ml.errors import KennelError
from ops import bulk
from ops.deploy import Deployment
from ops.jobs import ec2, follow, results, sagemaker, tuned
from ops.jobs.options import JobOptions
from ops.paths import RUNS
from ops.stage import Stage
from ops.training import Run, configuration, finished
from ops.tuning import Tuned, space_of

Say = Callable[[str], None]

PLACES = ("local", "sagemaker", "ec2")
_EC2 = {"max_runtime", "name"}  # the job options that an EC2 instance knows
_NUMBERS = {"instances", "max_runtime", "max_wait"}


@dataclass(frozen=True)
class Place:
    """Where a training or tuning runs."""

    on: str
    processes: int = 1  # on each machine; 0: one a GPU, or one
    options: JobOptions = dataclasses.field(default_factory=JobOptions)

    @property
    def is_here(self) -> bool:
        return self.on == "local"

    @property
    def for_another(self) -> Place:
        """The same for a further job, which needs a name of its own."""
        return dataclasses.replace(self, options=dataclasses.replace(self.options, name=None))


def place(on: str, given: Mapping[str, Any], *, processes: object = None, resume: bool = False) -> Place:
    """Check where a run goes and how; flags' texts become numbers.

    Raises:
        KennelError: there is no such place, or a flag that it does not know.
    """
    if on not in PLACES:
        raise KennelError(f"--on is one of {', '.join(PLACES)}.", on, "Correct --on.")
    job = {name: value for name, value in given.items() if value not in (None, False)}
    known = {"local": set(), "sagemaker": set(given), "ec2": _EC2}[on]
    if odd := sorted(job.keys() - known):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in odd)
        raise KennelError(
            f"What is said of a job has a meaning where it runs: --on {on} knows no {flags}.",
            flags,
            "Leave it out, or use --on sagemaker.",
        )
    if resume and on != "local":
        raise KennelError(
            "--resume is for this machine; a job goes on from the checkpoints that it is given.",
            f"--resume --on {on}",
            "Leave it out; --checkpoints names those of an earlier job.",
        )
    number = 0 if processes is None else integer("processes", processes)
    options: dict[str, Any] = {
        name: integer(name, value) if name in _NUMBERS else value for name, value in job.items()
    }
    return Place(on, number or (1 if on == "local" else 0), JobOptions(**options, processes=number))


def integer(name: str, value: object) -> int:
    """A flag's text as the number that it is."""
    if isinstance(value, int):
        return value
    text = str(value)
    if not text.isdecimal():
        raise KennelError(
            f"--{name.replace('_', '-')} is a whole number.", text, f"Correct --{name.replace('_', '-')}."
        )
    return int(text)


def train(stage: Stage, where: Place, given: dict[str, Any], config_file: str | None, say: Say) -> Run:
    """Train there, follow it, and release what it leaves.

    Raises:
        KennelError: a rule is broken, the job failed, or the person has detached from it.
    """
    config = configuration(given, config_file)
    outputs = _outputs(stage, say)
    if where.on == "ec2":
        return _on_instance(stage, outputs, ec2.start(stage, outputs, config, where.options, say), say)
    name = sagemaker.start_training(stage, outputs, config, where.options, say)
    with follow.detachable(stage, name):
        return _run(stage, follow.follow(stage, name, say))


def tune(
    stage: Stage,
    where: Place,
    given: dict[str, Any],
    config_file: str | None,
    say: Say,
    *,
    trials: int,
    parallel: int,
    search: str | None,
    space: str | None,
) -> Tuned:
    """Tune there, follow it, and bring what it has found.

    Raises:
        KennelError: a rule is broken, the job failed, or the person has detached from it.
    """
    if where.on != "sagemaker":
        raise KennelError("Tuning runs on this machine or on SageMaker.", where.on, "Correct --on.")
    for flag, number in (("trials", trials), ("parallel", parallel)):
        if number < 1:
            raise KennelError(f"--{flag} is a whole number from 1.", number, f"Correct --{flag}.")
    config = configuration(given, config_file)
    searched = space_of(given, search, space)
    outputs = _outputs(stage, say)
    name = sagemaker.start_tuning(
        stage, outputs, config, where.options, say, space=searched, trials=trials, parallel=parallel
    )
    with follow.detachable(stage, name):
        return tuned.collect(stage, follow.follow(stage, name, say))


def attach(stage: Stage, name: str, say: Say) -> Run | Tuned | bulk.Results:
    """Follow a job to its end, fetch what it leaves unless it is here, and release a model.

    Raises:
        KennelError: there is no such job, or it failed; Detached on Ctrl-C.
    """
    outputs = _outputs(stage, say)
    if _is_the_instances(stage, outputs, name):
        return _on_instance(stage, outputs, name, say)
    if bulk.is_one(stage, name):
        return bulk.attach(stage, name, say)
    with follow.detachable(stage, name):
        description = follow.follow(stage, name, say)
        if "HyperParameterTuningJobName" in description:
            return tuned.collect(stage, description)
        return _run(stage, description)


def list_jobs(stage: Stage, say: Say) -> list[sagemaker.Job]:
    """Return the stage's latest jobs, the newest first."""
    if not stage.is_running:
        return []
    found = sagemaker.list_jobs(stage) + ec2.list_jobs(stage, _outputs(stage, say))
    return sorted(found, key=lambda job: job.created, reverse=True)


def stop(stage: Stage, name: str, say: Say) -> None:
    """Ask a job to stop; its checkpoints, or its answers, stay.

    Raises:
        KennelError: there is none of the name, or it is over.
    """
    outputs = _outputs(stage, say)
    if _is_the_instances(stage, outputs, name):
        ec2.stop(stage, outputs, name)
    else:
        sagemaker.stop(stage, name)


def _is_the_instances(stage: Stage, outputs: dict[str, Any], name: str) -> bool:
    return any(job.name == name for job in ec2.list_jobs(stage, outputs))


def _on_instance(stage: Stage, outputs: dict[str, Any], name: str, say: Say) -> Run:
    with follow.detachable(stage, name):
        ec2.follow(stage, outputs, name, say)
        return finished(stage, vars(ec2.collect(stage, outputs, name, RUNS)))


def _run(stage: Stage, description: Mapping[str, Any]) -> Run:
    return finished(stage, vars(results.collect(stage, description, RUNS)))


def _outputs(stage: Stage, say: Say) -> dict[str, Any]:
    stage.start()
    return Deployment(stage, say).outputs()
