"""The task surface: each task parses, calls what does the work, and prints."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from invoke import Collection, Context, Exit, task

from localcloud import control
from localcloud.errors import CloudError
from ml.errors import KennelError
from ops import doctor as doctors
from ops import predict as predictions
from ops import reference, terraform, training
from ops.checks import run_checks, run_tests
from ops.deploy import Deployment
from ops.live import Report, look
from ops.paths import CLOUD, shown
from ops.stage import Stage, cloud_variables

STAGE = {"stage": "local (the embedded cloud, the default), dev or prod"}
DATA = {
    "data": "photos: a folder, a zip or tar, or s3://bucket/prefix, one folder a class; "
    "the handwritten digits when left out"
}
YES = {"yes": "do not ask"}
TRAINING = {
    "backbone": "timm/NAME or torchvision/NAME",
    "weights": "packaged (offline), imagenet (downloaded), or a file",
    "head": "linear, or two-layer",
    "epochs": "at most so many",
    "learning-rate": "of the head",
    "batch-size": "of the head",
    "seed": "the same seed gives the same model",
    "config": "a JSON file with any of the settings",
}


def say(text: str) -> None:
    """Tell the person what goes on; stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def step(text: str) -> None:
    """Begin a step of a longer task."""
    say(f"\n== {text}")


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error as its rule, what was received and the remedy; anything else is a bug and keeps its traceback."""
    try:
        yield
    except (KennelError, CloudError) as error:
        raise Exit(f"\nerror: {error}", code=1) from None
    except (BotoCoreError, ClientError) as error:
        raise Exit(
            f"\nerror: The cloud did not answer as it should.\nReceived: {error}\n"
            "Remedy: ./inv doctor tells what is missing; then run the same command again.",
            code=1,
        ) from None
    except KeyboardInterrupt:
        raise Exit("\nInterrupted. Nothing is lost: the same command goes on from here.", code=130) from None


def kennel_task(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Make an invoke task that shows the project's errors."""

    def decorate(body: Callable[..., None]) -> Any:
        @functools.wraps(body)
        def wrapped(*arguments: Any, **named: Any) -> None:
            with errors_shown():
                body(*arguments, **named)

        return task(wrapped, **options)

    return decorate


@kennel_task(help=STAGE | DATA)
def up(context: Context, stage: str | None = None, data: str | None = None) -> None:
    """Do it all: train, plan, apply, and ask the deployed model about a photo."""
    started = time.monotonic()
    chosen = Stage.of(stage)
    if chosen.name != "local":
        raise KennelError(
            "`up` asks nothing, and so works on the local stage only.",
            chosen.name,
            "./inv train, ./inv plan, ./inv apply, each with --stage.",
        )
    terraform.version()
    step("train")
    run = training.train(chosen, {"data": data})
    say(f"Test accuracy {run.accuracy:.1%}. Report: {shown(run.report)}")
    step("plan")
    deployment = Deployment(chosen, say)
    orphans = deployment.prepare()
    planned = deployment.plan(force=True)
    say(planned.summary)
    step("apply")
    print_report(deployment.apply(planned, orphans))
    step("predict")
    outputs = deployment.outputs()
    for prediction in predictions.predict(chosen, outputs, [str(run.golden)], raw=False):
        print(predictions.as_text(prediction))
    say(
        f"\nAll up in {time.monotonic() - started:.0f} s. Next: ./inv status, ./inv predict --image …, ./inv destroy"
    )


@kennel_task(help=STAGE | DATA | TRAINING)
def train(
    context: Context,
    stage: str | None = None,
    data: str | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    head: str | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    config: str | None = None,
) -> None:
    """Train a classifier on photos and leave the archive that the next plan deploys."""
    given = {
        "data": data, "backbone": backbone, "weights": weights, "head": head, "epochs": epochs,
        "learning_rate": learning_rate, "batch_size": batch_size, "seed": seed,
    }  # fmt: skip
    run = training.train(Stage.of(stage), given, config)
    print(f"test accuracy  {run.accuracy:.1%}")
    print(f"report         {shown(run.report)}")
    print(f"archive        {shown(run.archive)}")
    say("Next: ./inv apply")


@kennel_task(
    help=DATA | STAGE | {"archive": "a model.tar.gz; by default the one that the stage's next plan deploys",
          "split": "train, valid or test"}
)  # fmt: skip
def evaluate(
    context: Context,
    data: str | None = None,
    archive: str | None = None,
    split: str = "test",
    stage: str | None = None,
) -> None:
    """Measure an archive on photos, with the code that serves it."""
    for name, value in training.evaluate(Stage.of(stage), archive, data, split):
        print(f"{name:20} {value}")


@kennel_task(help=STAGE | {"force": "also with a model that is worse than the deployed one"})
def plan(context: Context, stage: str | None = None, force: bool = False) -> None:
    """Show what an apply would change, and save exactly that."""
    deployment = Deployment(Stage.of(stage), say)
    deployment.prepare()
    planned = deployment.plan(force=force)
    print(planned.summary)
    if planned.has_changes:
        say("\nSaved. ./inv apply applies exactly this plan.")


@kennel_task(help=STAGE | YES | {"force": "also with a model that is worse than the deployed one"})
def apply(context: Context, stage: str | None = None, yes: bool = False, force: bool = False) -> None:
    """Apply the saved plan (or make one), then prove that what is live is what was planned."""
    chosen = Stage.of(stage)
    deployment = Deployment(chosen, say)
    orphans = deployment.prepare()
    planned = deployment.saved() or deployment.plan(force=force)
    print(planned.summary)
    for found in orphans:
        print(f"Removed first: {found}")
    if (planned.has_changes or orphans) and not yes:
        confirm(f"Apply this to the stage {chosen.name}?")
    print_report(deployment.apply(planned, orphans))


@kennel_task(
    help=STAGE
    | {
        "image": "a photo, a URL, or a folder of photos",
        "json": "one line of JSON an image, nothing else on stdout",
        "raw": "what the replaced workflow's event gets: [label]",
    }
)
def predict(
    context: Context, image: str, stage: str | None = None, json: bool = False, raw: bool = False
) -> None:
    """Ask the deployed function about photos."""
    chosen = Stage.of(stage)
    if json and raw:
        raise KennelError("--json and --raw exclude each other.", None, "Choose one.")
    images = predictions.find_images(image)
    outputs = Deployment(chosen, say).outputs()
    failed = 0
    for prediction in predictions.predict(chosen, outputs, images, raw=raw):
        failed += prediction.error is not None
        if json:
            print(prediction.to_json(), flush=True)
        elif prediction.error is not None:
            say(predictions.as_text(prediction))
        else:
            print(prediction.answer if raw else predictions.as_text(prediction), flush=True)
    if failed:
        raise Exit(f"{failed} of {len(images)} photos got no answer.", code=1)


@kennel_task(help=STAGE | {"json": "as JSON"})
def status(context: Context, stage: str | None = None, json: bool = False) -> None:
    """Show what is live."""
    chosen = Stage.of(stage)
    outputs = Deployment(chosen, say).outputs()
    if not outputs:
        print("{}" if json else f"Nothing is deployed in the stage {chosen.name}.")
        return
    report = look(chosen, outputs)
    if json:
        print_json({"live": [list(line) for line in report.lines], "wrong": report.wrong, "outputs": outputs})
    else:
        print_report(report)
    if report.wrong:
        raise Exit("\n".join(report.wrong), code=1)


@kennel_task(help=STAGE | YES | {"keep-state": "leave the bucket with Terraform's state, empty of resources"})
def destroy(context: Context, stage: str | None = None, yes: bool = False, keep_state: bool = False) -> None:
    """Destroy everything of a stage but data buckets, and prove that nothing is left."""
    chosen = Stage.of(stage)
    deployment = Deployment(chosen, say)
    deployment.prepare()
    if not yes:
        confirm(f"Destroy everything in the stage {chosen.name}?")
    swept = deployment.destroy(keep_state=keep_state)
    if swept:
        say("Swept up beside Terraform: " + ", ".join(str(found) for found in swept))
    print(f"Nothing is left in the stage {chosen.name}.")


@kennel_task(help=STAGE | {"json": "as JSON"})
def doctor(context: Context, stage: str | None = None, json: bool = False) -> None:
    """Tell what a stage needs and does not have."""
    findings = doctors.examine(Stage.of(stage))
    if json:
        print_json([finding.to_dict() for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.level:8} {finding.name:21} {finding.text}")
            if finding.remedy:
                print(f"{'':30} {finding.remedy}")
    if any(finding.level == "error" for finding in findings):
        raise Exit(code=1)


@kennel_task(
    help={"only": "a path or an expression for pytest -k", "fast": "without the tests that are marked slow"}
)
def test(context: Context, only: str | None = None, fast: bool = False) -> None:
    """Run every test."""
    raise Exit(code=run_tests(only, fast=fast))


@kennel_task()
def check(context: Context) -> None:
    """Check style, types, and the Terraform files."""
    raise Exit(code=run_checks())


@kennel_task()
def docs(context: Context) -> None:
    """Write docs/terraform.md out of the Terraform files."""
    reference.PAGE.write_text(reference.page())
    print(shown(reference.PAGE))


@kennel_task(name="start")
def cloud_start(context: Context) -> None:
    """Start the embedded cloud in the background."""
    Stage.of("local").start()
    show_cloud()


@kennel_task(name="stop")
def cloud_stop(context: Context) -> None:
    """Stop the embedded cloud; everything in it is gone."""
    control.stop(CLOUD)
    print("The embedded cloud is stopped.")


@kennel_task(name="status")
def cloud_status(context: Context) -> None:
    """Tell whether the embedded cloud runs, and where."""
    show_cloud()


@kennel_task(name="env")
def cloud_env(context: Context) -> None:
    """Print export lines: eval "$(./inv cloud.env)" leads boto3 and the AWS CLI to the embedded cloud."""
    cloud = control.status(CLOUD)
    if cloud is None:
        raise KennelError("The embedded cloud is running.", "it is not", "./inv cloud.start")
    for name, value in cloud_variables(cloud).items():
        print(f"export {name}={value}")


def show_cloud() -> None:
    cloud = control.status(CLOUD)
    if cloud is None:
        raise Exit("The embedded cloud is not running: ./inv cloud.start", code=3)
    print(f"running   {cloud.endpoint_url} (process {cloud.pid})")
    print(f"account   {cloud.account_id}, region {cloud.region}")
    print(f"log       {shown(cloud.log_file)}")
    print("docs/embedded-cloud.md says what it executes, what it only accepts, what it refuses")


def print_report(report: Report) -> None:
    for name, value in report.lines:
        print(f"{name:14} {value}")


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def confirm(question: str) -> None:
    """Ask; anything but yes ends the task."""
    if not sys.stdin.isatty():
        raise KennelError("Somebody confirms what changes a cloud.", "no terminal to ask on", "Add --yes.")
    if input(f"{question} [yes/no] ").strip().lower() not in {"y", "yes"}:
        raise Exit("Nothing was changed.", code=1)


namespace = Collection(up, train, evaluate, plan, apply, predict, status, destroy, doctor, test, check, docs)
namespace.add_collection(Collection("cloud", cloud_start, cloud_stop, cloud_status, cloud_env))
