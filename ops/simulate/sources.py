"""Where a simulation's policy and its instance come from; each tells which it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ml.errors import KennelError
from ml.serving.settings import ESTIMATED_SHARE, Settings
from ops import files, prices, state_bucket
from ops.deploy import Deployment
from ops.paths import shown
from ops.simulate.declared import Scaling, of_plan, of_variables
from ops.simulate.overrides import positive
from ops.simulate.replay import Instance
from ops.stage import CAPACITY_FILE, Stage
from ops.terraform import version

ASSUMED_CAPACITY = 20.0  # requests a second of one instance, where nobody measured or said
DEFAULT_TYPE = "ml.m5.large"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Known:
    """An instance, and where each figure is from."""

    instance: Instance
    instance_type: str
    capacity_source: str
    latency_source: str
    price_source: str


def scaling_of(stage: Stage, say: Say) -> Scaling:
    """Return the policy of the stage's saved plan, of a fresh one, or of its variables, whichever can be had first."""
    plain = f"the variables of {shown(stage.variables_file)}"
    try:
        found = _saved(stage, say) or _fresh(stage, say)
    except KennelError as error:
        say(
            f"No plan can be made ({error.rule} {error.received or ''}), and so the variables are read.".replace(
                " )", ")"
            )
        )
        return of_variables(stage.variables_file, plain)
    return found or of_variables(stage.variables_file, plain)


def _saved(stage: Stage, say: Say) -> Scaling | None:
    deployment = Deployment(stage, say)
    if not deployment.plan_file.is_file() or not stage.is_running:
        return None
    version()
    try:
        if deployment.saved() is None:
            return None
    except KennelError:
        say("The saved plan is out of date, and so it is not read.")
        return None
    return of_plan(
        deployment.terraform.show(deployment.plan_file), f"the saved plan of the stage {stage.name}"
    )


def _fresh(stage: Stage, say: Say) -> Scaling | None:
    """A plan made now; nothing is started or stored for it."""
    if not stage.is_running:
        say("The embedded cloud does not run, and so no plan is made.")
        return None
    version()
    if not state_bucket.exists(stage):
        say("The stage has no state yet, and so no plan is made.")
        return None
    found = of_plan(Deployment(stage, say).plan_to_read(), f"a plan of the stage {stage.name}, made now")
    if found is None:
        say("The plan has no endpoint that scales, since there is no model yet.")
    return found


def instance_of(
    stage: Stage,
    instance_type: str | None,
    capacity: str | None,
    unloaded: str | None,
    price: str | None,
) -> Known:
    """Return what one instance can do and costs: as given, as measured, else as assumed."""
    capacity_file = stage.directory / CAPACITY_FILE
    measured = files.read_json(capacity_file) or {}
    kind = instance_type or DEFAULT_TYPE
    if capacity is not None:
        rate, capacity_source = positive("--capacity", capacity), "given"
        measured = {}
    elif measured:
        rate = positive(shown(capacity_file), measured.get("requests_per_second", 0))
        on = measured.get("instance_type", "?")
        capacity_source = f"measured {str(measured.get('measured_at', ''))[:10]} on {on}".replace("  ", " ")
    else:
        rate, capacity_source = ASSUMED_CAPACITY, "assumed; ./inv load --capacity measures it"
    if unloaded is not None:
        latency, latency_source = positive("--unloaded", unloaded) / 1000, "given"
    elif measured.get("latency_ms"):
        latency, latency_source = positive("latency_ms", measured["latency_ms"]) / 1000, "measured"
    else:
        latency, latency_source = 1 / rate, "assumed: 1 / capacity"
    if price is not None:
        hourly, price_source = positive("--price", price), "given"
    else:
        hourly = prices.hourly_usd(kind, stage.region)
        price_source = f"{stage.region}, table of {prices.as_of(stage.region)}"
    server = Settings()
    waiting = min(ESTIMATED_SHARE * server.deadline_seconds, server.max_queue / rate)
    return Known(
        Instance(rate, latency, waiting, hourly), kind, capacity_source, latency_source, price_source
    )
