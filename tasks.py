"""The task surface: each task parses, calls what does the work, and prints."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError
from invoke import Collection, Context, Exit, task

from localcloud import control
from localcloud.errors import CloudError
from ml.errors import KennelError
from ops import bulk as bulks
from ops import doctor as doctors
from ops import image as images
from ops import image_lock, outage, reference, remote, rights_page, terraform, training, tuning
from ops import predict as predictions
from ops.checks import run_checks, run_tests
from ops.deploy import Deployment
from ops.jobs.follow import Detached
from ops.live import Report
from ops.paths import CLOUD, shown
from ops.planned import Planned
from ops.review import make as reviews
from ops.review.dangers import page as flagged
from ops.review.redact import scrub, scrubbed
from ops.review.review import Review
from ops.rollout import Rollout
from ops.stage import Stage, cloud_variables
from ops.status import look
from ops.sweep import Found
from ops.tuning import Tuned

STAGE = {"stage": "local (the embedded cloud, the default), dev or prod"}
DATA = {
    "data": "photos: a folder, a zip or tar, or s3://bucket/prefix, one folder a class; "
    "the handwritten digits when left out"
}
YES = {"yes": "do not ask"}
JSON = {"json": "as JSON"}
FORCE = {"force": "also with a model that is worse than the deployed one"}
ROLLOUT = {
    "canary": "percent of the new fleet that takes traffic first, 1 to 50, in place of what the stage says",
    "linear": "percent of the new fleet that takes traffic at a time, 10 to 50",
    "all-at-once": "all traffic moves in one step",
}
TRAINING = {
    "backbone": "timm/NAME or torchvision/NAME",
    "weights": "packaged (offline), imagenet (downloaded), or a file",
    "head": "linear, or two-layer",
    "unfreeze": "what of the backbone learns, too: none, last:N blocks, or all",
    "augment": "of training photos: none, light or strong",
    "precision": "of the frozen backbone: auto, f32, bf16 or int8",
    "serving-precision": "of the deployed model: auto (measured), f32, bf16 or int8",
    "epochs": "at most so many",
    "learning-rate": "of the head",
    "batch-size": "photos a step, whatever the number of processes",
    "seed": "the same seed gives the same model",
    "config": "a JSON file with any of the settings",
    "processes": "so many share the work, on each machine",
}
JOB = {
    "on": "local (this machine), sagemaker, or ec2 (the stage's training instance)",
    "instance-type": "of a SageMaker job, such as ml.g4dn.xlarge or ml.m5.xlarge",
    "instances": "of a SageMaker job; they share the work",
    "spot": "spare capacity: cheaper, interrupted at times, resumed from checkpoints",
    "checkpoints": "s3:// folder of a job's checkpoints, or none; its own when left out",
    "max-runtime": "seconds, after which a job is stopped",
    "max-wait": "seconds that a spot job may take with its waiting",
    "name": "of the job; begins with the stage's prefix",
}


SETTINGS = {*DATA, *TRAINING} - {"config", "processes"}  # of a training run
OPTIONS = {*JOB} - {"on"}  # of a job


def of(flags: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """The flags of these names, as Python writes them."""
    return {name: flags[name] for name in (flag.replace("-", "_") for flag in sorted(names))}


def whole(name: str, given: object) -> int | None:
    """The whole number that a flag gives; None where it is left out."""
    return None if given is None else remote.integer(name, given)


def say(text: str) -> None:
    """Tell the person what goes on, without the secrets that a log may have; stdout is for results."""
    print(scrub(text), file=sys.stderr, flush=True)


def step(text: str) -> None:
    """Begin a step of a longer task."""
    say(f"\n== {text}")


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error as its rule, what was received and the remedy; anything else is a bug and keeps its traceback."""
    try:
        yield
    except Detached as away:
        raise Exit(f"\n{away.rule}\n{away.remedy}", code=130) from None
    except (KennelError, CloudError) as error:
        raise Exit(f"\nerror: {scrub(str(error))}", code=1) from None
    except (BotoCoreError, ClientError) as error:
        raise Exit(f"\nerror: {scrub(str(outage.told(error)))}", code=1) from None
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=141) from None
    except KeyboardInterrupt as error:
        told = str(error) or "Interrupted. Nothing is lost: the same command goes on from here."
        raise Exit(f"\n{told}", code=130) from None
    except Exception as error:
        if type(error).__module__ == "boto3.exceptions":  # a package that takes a second to import
            raise Exit(f"\nerror: {scrub(str(outage.told(error)))}", code=1) from None
        raise


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
    run = training.train(chosen, {"data": data}, say=say)
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


@kennel_task(
    help=STAGE | DATA | TRAINING | JOB | {"resume": "go on with the interrupted run of the same settings"}
)
def train(
    context: Context,
    stage: str | None = None,
    data: str | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    head: str | None = None,
    unfreeze: str | None = None,
    augment: str | None = None,
    precision: str | None = None,
    serving_precision: str | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    config: str | None = None,
    processes: int | None = None,
    resume: bool = False,
    on: str = "local",
    instance_type: str | None = None,
    instances: int | None = None,
    spot: bool = False,
    checkpoints: str | None = None,
    max_runtime: int | None = None,
    max_wait: int | None = None,
    name: str | None = None,
) -> None:
    """Train a classifier on photos and leave the archive that the next plan deploys."""
    given, job = of(locals(), SETTINGS), of(locals(), OPTIONS)
    where = remote.place(on, job, processes=processes, resume=resume)
    chosen = Stage.of(stage)
    if where.is_here:
        run = training.train(chosen, given, config, resume=resume, processes=where.processes, say=say)
    else:
        run = remote.train(chosen, where, given, config, say)
    show_run(run)


@kennel_task(
    help=STAGE | DATA | TRAINING | JOB
    | {
        "trials": "how many settings to try, in all; 20 when left out",
        "search": "what to search, such as learning_rate,head,unfreeze; all; the cheap ones when left out",
        "space": "a JSON file with the ranges to search",
        "study": "its name; by default one that belongs to the data, the space and the fixed settings",
        "then-train": "train with the winner at once",
        "parallel": "trials of a SageMaker job at a time",
    }
)  # fmt: skip
def tune(
    context: Context,
    stage: str | None = None,
    data: str | None = None,
    trials: int | None = None,
    search: str | None = None,
    space: str | None = None,
    study: str | None = None,
    then_train: bool = False,
    backbone: str | None = None,
    weights: str | None = None,
    head: str | None = None,
    unfreeze: str | None = None,
    augment: str | None = None,
    precision: str | None = None,
    serving_precision: str | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    config: str | None = None,
    processes: int | None = None,
    on: str = "local",
    parallel: int | None = None,
    instance_type: str | None = None,
    instances: int | None = None,
    spot: bool = False,
    checkpoints: str | None = None,
    max_runtime: int | None = None,
    max_wait: int | None = None,
    name: str | None = None,
) -> None:
    """Search for the best settings, and leave a configuration that `train` takes."""
    given, job = of(locals(), SETTINGS), of(locals(), OPTIONS)
    where = remote.place(on, job, processes=processes)
    number = 20 if trials is None else remote.integer("trials", trials)
    chosen = Stage.of(stage)
    if where.is_here:
        if parallel is not None:
            raise KennelError("--parallel is for SageMaker jobs.", parallel, "Leave it out.")
        if processes is not None and not then_train:
            raise KennelError("Trials here run in one process.", f"--processes {processes}", "Leave it out.")
        found = tuning.tune(
            chosen, given, config, trials=number, search=search, space_file=space, study=study, say=say
        )
    else:
        if study is not None:
            raise KennelError("A job is its own study.", study, "Use --name.")
        found = remote.tune(
            chosen, where, given, config, say,
            trials=number, parallel=remote.integer("parallel", 2 if parallel is None else parallel),
            search=search, space=space,
        )  # fmt: skip
    show_tuned(found)
    if then_train:
        step("train with the winner")
        winner = str(found.config_file)
        if where.is_here:
            run = training.train(chosen, {}, winner, processes=where.processes, say=say)
        else:
            run = remote.train(chosen, where.for_another, {}, winner, say)
        show_run(run)


@kennel_task(
    help=STAGE
    | JSON
    | {
        "attach": "follow the job of this name to its end, and fetch what it leaves",
        "stop": "end the job of this name; its checkpoints stay",
    }
)
def jobs(
    context: Context,
    stage: str | None = None,
    attach: str | None = None,
    stop: str | None = None,
    json: bool = False,
) -> None:
    """List the jobs of a stage, follow one, or stop one."""
    chosen = Stage.of(stage)
    if attach is not None and stop is not None:
        raise KennelError("--attach and --stop exclude each other.", None, "Choose one.")
    if attach is not None:
        found = remote.attach(chosen, attach, say)
        if isinstance(found, training.Run):
            show_run(found)
        elif isinstance(found, bulks.Results):
            show_bulk(found, as_json=json)
        else:
            show_tuned(found)
    elif stop is not None:
        remote.stop(chosen, stop, say)
        say(f"Told {stop} to stop.")
    else:
        listed = remote.list_jobs(chosen, say)
        if json:
            print_json([vars(job) for job in listed])
        elif not listed:
            print(f"No job has run in the stage {chosen.name}.")
        for job in [] if json else listed:
            print(f"{job.created:%Y-%m-%d %H:%M}  {job.kind:8}  {job.status:11}  {job.name}")


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


@kennel_task(
    help=STAGE | FORCE | ROLLOUT
    | {"json": "the review as JSON, nothing else on stdout", "no-scan": "without the policy scanner"}
)  # fmt: skip
def plan(
    context: Context,
    stage: str | None = None,
    force: bool = False,
    canary: str | None = None,
    linear: str | None = None,
    all_at_once: bool = False,
    json: bool = False,
    no_scan: bool = False,
) -> None:
    """Review what an apply would change, and save exactly that.

    It ends with 0 where nothing changes, 2 where something does, 3 where that needs an approval, and 1 after an error.
    """
    rollout = Rollout.chosen(canary=canary, linear=linear, at_once=all_at_once)
    deployment = Deployment(Stage.of(stage), say)
    deployment.prepare()
    review = cast(Review, deployment.plan(force=force, rollout=rollout, scan=not no_scan).review)
    print(reviews.as_json(review) if json else review.text())
    if review.has_changes:
        page = shown(deployment.stage.directory / "review.html")
        say(f"\nSaved, and its review as {page}. ./inv apply applies exactly this plan.")
    raise Exit(code=review.exit_code)


@kennel_task(help=STAGE | YES | FORCE | ROLLOUT)
def apply(
    context: Context,
    stage: str | None = None,
    yes: bool = False,
    force: bool = False,
    canary: str | None = None,
    linear: str | None = None,
    all_at_once: bool = False,
) -> None:
    """Apply the saved plan (or make one), then prove that what is live is what was planned."""
    rollout = Rollout.chosen(canary=canary, linear=linear, at_once=all_at_once)
    chosen = Stage.of(stage)
    deployment = Deployment(chosen, say)
    orphans = deployment.prepare()
    planned = deployment.saved(rollout) or deployment.plan(force=force, rollout=rollout)
    agree(planned, orphans, chosen, yes=yes)
    print_report(deployment.apply(planned, orphans))


@kennel_task(
    help=STAGE
    | YES
    | {"to": "a model by its name, or the first digits of its SHA-256; the one before when left out"}
)
def rollback(context: Context, to: str | None = None, stage: str | None = None, yes: bool = False) -> None:
    """Go back to an earlier model, in one apply; another rollback goes forward again."""
    chosen = Stage.of(stage)
    deployment = Deployment(chosen, say)
    orphans = deployment.prepare()
    with deployment.going_back(to) as (model, planned):
        print(f"Back to {model}.")
        agree(planned, orphans, chosen, yes=yes)
    print_report(deployment.apply(planned, orphans))


@kennel_task(
    help=STAGE
    | {
        "image": "a photo, a URL, or a folder of photos",
        "bulk": "s3://bucket/prefix: all photos below it, by a batch transform job with the deployed model",
        "output": "s3:// address for a bulk job's answers; the scratch folder when left out",
        "instances": "of a bulk job; they share the photos",
        "instance-type": "of a bulk job, such as ml.m5.large, the default, or ml.c5.xlarge",
        "json": "one line of JSON an image, nothing else on stdout",
        "raw": "what the replaced workflow's event gets: [label]",
        "yes": "do not ask what a bulk job may cost",
    }
)
def predict(
    context: Context,
    image: str | None = None,
    stage: str | None = None,
    bulk: str | None = None,
    output: str | None = None,
    instances: int | None = None,
    instance_type: str | None = None,
    json: bool = False,
    raw: bool = False,
    yes: bool = False,
) -> None:
    """Ask the deployed function about photos, or the deployed model about all photos of a bucket."""
    chosen = Stage.of(stage)
    if json and raw:
        raise KennelError("--json and --raw exclude each other.", None, "Choose one.")
    job = {"output": output, "instances": whole("instances", instances), "instance_type": instance_type}
    options = bulks.options(bulk, image, job, raw=raw)
    if bulk is not None:
        outputs = Deployment(chosen, say).outputs()
        planned = bulks.plan(chosen, outputs, bulk, output, options)
        say(planned.summary)
        if not yes:
            confirm(f"Run this on the stage {chosen.name}?")
        show_bulk(bulks.run(chosen, outputs, planned, say), as_json=json)
        return
    images = predictions.find_images(str(image))
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


@kennel_task(
    help=STAGE | YES | JSON
    | {
        "rate": "requests a second, begun whatever became of those before; with a pattern its peak",
        "users": "so many ask in turn, each when the last answer has come",
        "traffic": "a CSV file of rates, or steady, spike, ramp, launch, daily or weekly in --for seconds",
        "for": "seconds; with --capacity of each rate",
        "on": "endpoint or lambda",
        "image": "a photo, or a folder of photos, sent in turn; the model's golden photo when left out",
        "arrivals": "poisson (callers that know nothing of each other), or constant",
        "seed": "the same seed makes the same arrivals",
        "capacity": "search for the rate that one instance takes, and write it down for ./inv simulate",
        "p99": "milliseconds that 99 of 100 answers may take, with --capacity; 500 when left out",
        "save-traffic": "a file for the requests of each second, for ./inv simulate",
        "output": "a file for the report; in the stage's directory when left out",
    }
)  # fmt: skip
def load(
    context: Context,
    stage: str | None = None,
    rate: str | None = None,
    users: str | None = None,
    traffic: str | None = None,
    for_: str | None = None,
    on: str = "endpoint",
    image: str | None = None,
    arrivals: str = "poisson",
    seed: int = 0,
    capacity: bool = False,
    p99: str | None = None,
    save_traffic: str | None = None,
    output: str | None = None,
    json: bool = False,
    yes: bool = False,
) -> None:
    """Put load on the deployed model, and report what it takes."""
    from ops import load as loads

    asked = loads.Asked.of(
        {"rate": rate, "users": users, "traffic": traffic}, for_, on, arrivals, seed,
        capacity=capacity, p99=p99, save_traffic=save_traffic, output=output,
    )  # fmt: skip
    chosen = Stage.of(stage)
    loading = loads.Loading.prepare(chosen, Deployment(chosen, say).outputs(), asked.on, image)
    cost = loading.cost(asked)
    for line in cost or []:
        say(line)
    if cost and not yes:
        confirm(f"Put this load on the stage {chosen.name}?")
    if asked.demand is None:
        found = loading.capacity(asked, say)
        if json:
            print_json(found.to_dict())
        else:
            print("\n".join(found.lines()))
        return
    result = loading.run(asked.demand)
    report = loading.write(result, asked)
    if json:
        print_json(result.to_dict() | {"report": shown(report)})
    else:
        print("\n".join([*loads.lines(result), "", f"report         {shown(report)}"]))
    if result.measured.interrupted or not result.good:
        raise Exit(code=130 if result.measured.interrupted else 1)


@kennel_task(
    help=STAGE
    | {
        "port": "of 127.0.0.1; 8484 or any free one when left out",
        "for": "seconds, after which it ends by itself; 8 hours when left out",
        "no-browser": "only print the address",
    }
)
def console(
    context: Context,
    stage: str | None = None,
    port: int | None = None,
    for_: int | None = None,
    no_browser: bool = False,
) -> None:
    """Open a page for a stage: ask it about a photo; watch its traffic, instances and jobs."""
    from ops.console import server
    from ops.console.cloud import StageCloud

    chosen = Stage.of(stage)
    seconds = server.lifetime(whole("for", for_))
    page = server.Page(StageCloud(chosen), whole("port", port))
    print(page.address, flush=True)
    say("The address opens the page with your credentials: keep it to yourself. Ctrl-C ends it.")
    if not no_browser:
        webbrowser.open(page.address)
    page.run(seconds)


@kennel_task(
    help=STAGE
    | JSON
    | {
        "traffic": "a CSV file, as load writes it, or steady, spike, ramp, launch, daily, weekly",
        "peak": "requests a second at most, of a named traffic; 70 % of what all instances answer when left out",
        "hours": "how long, of a named traffic",
        "capacity": "requests a second that one instance answers; what load measured when left out",
        "unloaded": "milliseconds of an answer when nothing waits",
        "price": "US dollars an hour of an instance",
        "instance-type": "in place of the stage's",
        "set": "what of the policy is otherwise, such as target=700,max_instances=8,metric=fast",
        "assume": "what AWS does not document, such as start_seconds=240; docs/scaling.md lists it",
        "compare": "set other policies beside the planned one",
        "recommend": "find the cheapest policy that holds --latency and --drops",
        "latency": "milliseconds that 99 of 100 answers are to stay below",
        "drops": "percent of the requests that may be refused; 0.1 when left out",
        "output": "where the page goes, .html, or the picture alone, .svg",
    }
)
def simulate(
    context: Context,
    stage: str | None = None,
    traffic: str = "daily",
    peak: str | None = None,
    hours: str | None = None,
    capacity: str | None = None,
    unloaded: str | None = None,
    price: str | None = None,
    instance_type: str | None = None,
    set: str | None = None,
    assume: str | None = None,
    compare: bool = False,
    recommend: bool = False,
    latency: str | None = None,
    drops: str | None = None,
    output: str | None = None,
    json: bool = False,
) -> None:
    """Replay traffic against the planned scaling: latency, cost, refused requests."""
    from ops.simulate import command as simulation

    options = simulation.Options(
        traffic, peak, hours, capacity, unloaded, price, instance_type, set, assume,
        compare, recommend, latency, drops, output,
    )  # fmt: skip
    chosen = Stage.of(stage)
    page = simulation.page_path(chosen, options)
    found = simulation.simulate(chosen, options, say)
    found.write(page)
    if json:
        print(simulation.as_json(found))
    else:
        print("\n".join(found.text()))
    say(f"\nThe pictures: {shown(page)}")


@kennel_task(
    help=STAGE
    | {
        "for": "serving (the default), or training",
        "push": "also bring it to the stage's registry, and print the line for its tfvars",
        "repository": "where to, when not to the stage's own: <account>.dkr.ecr.<region>.amazonaws.com/<name>",
        "tag": "its name in the registry; the digest of what it is made of when left out",
        "torch": "with PyTorch, for the engine to fall back on: several GB more",
        "lock": "only write ml/serving/requirements.txt anew out of requirements.txt",
    }
)
def image(
    context: Context,
    stage: str | None = None,
    for_: str = "serving",
    push: bool = False,
    repository: str | None = None,
    tag: str | None = None,
    torch: bool = False,
    lock: bool = False,
) -> None:
    """Build the container image that serves, or that trains."""
    if lock:
        image_lock.write()
        print(shown(image_lock.LOCK))
        return
    chosen = Stage.of(stage)
    made_of = images.recipe(chosen, for_, torch=torch)
    if not push:
        if repository is not None:
            raise KennelError("--repository is where --push pushes to.", repository, "Add --push.")
        name = f"kennel-{for_}:{images.checked_tag(tag or made_of.tag)}"
        images.build(made_of, name)
        print(name)
        return
    outputs = {} if repository or chosen.name == "local" else Deployment(chosen, say).outputs()
    address = images.release(chosen, made_of, outputs, repository=repository, tag=tag, say=say)
    block = "endpoint" if for_ == "serving" else "training"
    print(address)
    say(f'In terraform/stages/{chosen.name}.tfvars: {block} = {{ image = "{address}" }}')


@kennel_task(help=STAGE | JSON)
def status(context: Context, stage: str | None = None, json: bool = False) -> None:
    """Show what is live, and what it costs an hour."""
    found = look(Stage.of(stage))
    if json:
        print_json(found.to_dict())
    else:
        print(scrub("\n".join(found.text())))
    if found.wrong:
        raise Exit(scrub("\n".join(found.wrong)), code=1)


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


@kennel_task(help=STAGE | JSON)
def doctor(context: Context, stage: str | None = None, json: bool = False) -> None:
    """Tell what a stage needs and does not have."""
    findings = scrubbed(doctors.examine(Stage.of(stage)))
    if json:
        print_json([finding.to_dict() for finding in findings])
    else:
        print("\n".join(doctors.lines(findings)))
    if any(finding.level == "error" for finding in findings):
        raise Exit(code=1)


@kennel_task(
    help={
        "only": "a path or an expression for pytest -k",
        "fast": "without the tests that are marked slow",
        "long": "those that are marked long, which take minutes each",
    }
)
def test(context: Context, only: str | None = None, fast: bool = False, long: bool = False) -> None:
    """Run the tests."""
    raise Exit(code=run_tests(only, fast=fast, long=long))


@kennel_task()
def check(context: Context) -> None:
    """Check style, types, and the Terraform files."""
    raise Exit(code=run_checks())


@kennel_task()
def docs(context: Context) -> None:
    """Write docs/terraform.md and rights.md, and into docs/review.md what is flagged."""
    for of in (reference, flagged, rights_page):
        of.PAGE.write_text(of.page())
        print(shown(of.PAGE))


@kennel_task(
    name="start",
    help={"speed": "How many minutes of scaling and alarms pass in one, from 1 to 120. Default: 1."},
)
def cloud_start(context: Context, speed: str | None = None) -> None:
    """Start the embedded cloud in the background."""
    Stage.of("local").start(whole("speed", speed))
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


@kennel_task(
    name="faults",
    help={
        "add": "a rule, or a list of rules, as JSON: docs/faults.md has the fields",
        "list": "what is set, and what it has dealt out (the default)",
        "clear": "forget all of it",
    },
)
def cloud_faults(context: Context, add: str | None = None, list: bool = False, clear: bool = False) -> None:
    """Let the embedded cloud fail at chosen calls: throttling, 5xx, timeouts, cut connections, and more."""
    print_json(control.faults(CLOUD, add=add, clear=clear))


@kennel_task(
    name="setup",
    help=STAGE
    | YES
    | {
        "remove": "take the roles away again; the state's bucket stays",
        "no-scan": "leave the scanner's policy checks out",
    },
)
def ci_setup(
    context: Context,
    stage: str | None = None,
    yes: bool = False,
    remove: bool = False,
    no_scan: bool = False,
) -> None:
    """Make the roles that a pipeline plans and applies a stage as."""
    from ops.ci import setup

    chosen = Stage.of(stage)

    def show(review: Review) -> None:
        print(review.text())
        if not yes:
            confirm(f"Do this for the pipeline of the stage {chosen.name}?")

    outputs = setup.setup(chosen, say, show, remove=remove, scan=not no_scan)
    if remove:
        print(f"No pipeline may plan or apply the stage {chosen.name} any more.")
        return
    say(
        "GitHub's variable KENNEL_STAGES names the stages in the order in which they are applied; GitLab takes each\n"
        "ARN in a variable of its own (docs/ci.md):"
    )
    roles = {f"{role}_role": outputs[f"{role}_role_arn"] for role in ("plan", "apply")}
    print(json.dumps([{"name": chosen.name, **roles}]))


@kennel_task(name="model", help=STAGE)
def ci_model(context: Context, stage: str | None = None) -> None:
    """Upload the archive of the stage's model, so that a pull request can deploy it."""
    from ops.ci import setup

    chosen = Stage.of(stage)
    model = setup.upload(chosen, say)
    print(model)
    say(f"Next: commit {shown(chosen.model_file)}, and open a pull request.")


@kennel_task(name="plan", help=STAGE)
def ci_plan(context: Context, stage: str | None = None) -> None:
    """In a pull request's pipeline: plan, keep the plan for the merge, and leave its review as an artifact."""
    from ops.ci import identity, pipeline
    from ops.ci.run import Run

    run, chosen = Run.read(), Stage.of(stage)
    with pipeline.failures_shown(chosen, run):
        manifest = pipeline.plan(identity.assume(chosen, run, "plan"), run, say)
    print(f"plan {manifest.digest[:12]} of {manifest.commit[:12]}: exit code {manifest.exit_code}")


@kennel_task(name="comment", help=STAGE)
def ci_comment(context: Context, stage: str | None = None) -> None:
    """In a pull request's pipeline: write the review as its one comment, or bring that up to date."""
    from ops.ci import comment, forge, pipeline
    from ops.ci.run import Run

    run, chosen = Run.read(), Stage.of(stage)
    if run.number is None:
        raise KennelError("A comment is on a pull request.", "this run is of none", "./inv ci.verify")
    print(comment.stick(forge.of(run), run.number, chosen.name, pipeline.comment_text(chosen, run)))


@kennel_task(name="verify", help=STAGE)
def ci_verify(context: Context, stage: str | None = None) -> None:
    """After a merge: see that the reviewed plan still holds, and tell in which environment it is applied."""
    from ops.ci import forge, identity, pipeline
    from ops.ci.run import Run

    run, chosen = Run.read(), Stage.of(stage)
    verified = pipeline.verify(identity.assume(chosen, run, "verify"), run, forge.of(run), say)
    environment = verified.environment(chosen) if verified else ""
    run.tell("environment", environment)
    print(f"To be applied in the environment {environment}." if verified else "Nothing changes.")


@kennel_task(name="apply", help=STAGE | {"environment": "the forge's environment that the job runs in"})
def ci_apply(context: Context, environment: str, stage: str | None = None) -> None:
    """After a merge: apply the very plan that was reviewed, or refuse it when it is stale."""
    from ops.ci import forge, identity, pipeline
    from ops.ci.run import Run

    run, chosen = Run.read(), Stage.of(stage)
    report = pipeline.apply(identity.assume(chosen, run, "apply"), run, forge.of(run), environment, say)
    if report is None:
        print("Nothing changes.")
    else:
        print_report(report)


def show_bulk(results: bulks.Results, *, as_json: bool) -> None:
    if as_json:
        for line in results.lines:
            print(line)
    (say if as_json else print)(results.summary)
    if results.unanswered:
        raise Exit(f"{results.unanswered} of {results.photos} photos got no answer.", code=1)


def show_cloud() -> None:
    cloud = control.status(CLOUD)
    if cloud is None:
        raise Exit("The embedded cloud is not running: ./inv cloud.start", code=3)
    print(f"running   {cloud.endpoint_url} (process {cloud.pid})")
    print(f"account   {cloud.account_id}, region {cloud.region}")
    print(f"log       {shown(cloud.log_file)}")
    if cloud.scaling_speed != 1:
        print(f"scaling   {cloud.scaling_speed:g} minutes of it pass in one")
    print("docs/embedded-cloud.md says what it executes, what it only accepts, what it refuses")


def show_run(run: training.Run) -> None:
    print(f"test accuracy  {run.accuracy:.1%}")
    if cost := run.precision_cost:
        print(f"features       {cost}")
    print(f"report         {shown(run.report)}")
    print(f"archive        {shown(run.archive)}")
    say("Next: ./inv apply")


def show_tuned(found: Tuned) -> None:
    print(f"best loss      {found.best_loss:.4f}, of the validation split")
    print(f"settings       {shown(found.config_file)}")
    print(f"report         {shown(found.report)}")
    say(f"Next: ./inv train --config {shown(found.config_file)}")


def print_report(report: Report) -> None:
    for name, value in report.lines:
        print(f"{name:14} {scrub(value)}")


def print_json(value: Any) -> None:
    print(json.dumps(scrubbed(value), indent=2, default=datetime.isoformat))


def agree(planned: Planned, orphans: list[Found], stage: Stage, *, yes: bool) -> None:
    """Show all that an apply does, and ask whether to; anything but yes ends the task."""
    print(planned.summary)
    for found in orphans:
        print(f"Removed first: {found}")
    if (planned.has_changes or orphans) and not yes:
        confirm(f"Apply this to the stage {stage.name}?")


def confirm(question: str) -> None:
    """Ask; anything but yes ends the task."""
    if not sys.stdin.isatty():
        raise KennelError("Somebody confirms what changes a cloud.", "no terminal to ask on", "Add --yes.")
    if input(f"{question} [yes/no] ").strip().lower() not in {"y", "yes"}:
        raise Exit("Nothing was changed.", code=1)


namespace = Collection(
    up, train, tune, jobs, evaluate, plan, apply, rollback, predict, load, console, image, simulate,
    status, destroy, doctor, test, check, docs
)  # fmt: skip
namespace.add_collection(Collection("ci", ci_setup, ci_model, ci_plan, ci_comment, ci_verify, ci_apply))
namespace.add_collection(Collection("cloud", cloud_start, cloud_stop, cloud_status, cloud_env, cloud_faults))
