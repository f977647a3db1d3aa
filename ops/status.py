"""What is live in a stage, whether it is what was planned, and what it costs an hour."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops import cost, live, live_cost, prices, state_bucket
from ops.cost import HOURS, Cost
from ops.stage import LOCAL, Stage
from ops.sweep import KINDS, Found, Sweeper
from ops.sweep.sweeper import is_denied, reason

WIDTH = 80  # columns
GROUPED = {"alarm", "alarm of the scaling", "log group"}  # a line for all of them


@dataclass(frozen=True)
class Status:
    """What a stage is like now."""

    stage: str
    region: str
    outputs: dict[str, Any] = field(default_factory=dict)  # of the last apply; none where nothing is deployed
    updated: datetime | None = None  # when Terraform changed anything last
    live: tuple[tuple[str, str], ...] = ()
    wrong: tuple[str, ...] = ()
    costs: tuple[tuple[Found, Cost], ...] = ()
    leftovers: tuple[Found, ...] = ()  # that exist though nothing is deployed
    unseen: dict[str, str] = field(default_factory=dict)
    is_running: bool = True
    is_known: bool = True  # what is deployed: Terraform's state could be read

    @property
    def is_whole(self) -> bool:
        """Whether all that costs could be looked at."""
        return not any(kind in live_cost.PRICED and KINDS[kind].needed for kind in self.unseen)

    @property
    def hourly(self) -> float | None:
        """US dollars an hour of all together; None where something, or its price, is not known."""
        return cost.total(one.hourly for _, one in self.costs) if self.is_whole else None

    def to_dict(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "stage": self.stage,
            "live": [list(line) for line in self.live],
            "wrong": list(self.wrong),
            "updated": self.updated.isoformat() if self.updated else None,
            "costs": [
                {
                    "kind": found.kind, "name": found.identifier, "what": one.what, "detail": one.detail,
                    "hourly_usd": one.hourly, "note": one.note,
                }
                for found, one in self.costs
            ],
            "hourly_usd": self.hourly,
            "prices": {"as_of": prices.as_of(self.region), "source": prices.source(self.region)},
            "leftovers": [{"kind": found.kind, "name": found.identifier} for found in self.leftovers],
            "not_looked_at": self.unseen,
            "outputs": self.outputs,
        }  # fmt: skip

    def text(self) -> list[str]:
        """Return it for a person, 80 columns wide."""
        if not self.is_running:
            return [f"Nothing is deployed in the stage {self.stage}: the embedded cloud is not running."]
        lines = [_pair(name, value) for name, value in self.live]
        if self.updated is not None and self.outputs:
            lines.append(_pair("last apply", f"{self.updated:%Y-%m-%d %H:%M} UTC"))
        if not self.is_known:
            lines.append(f"What is deployed in the stage {self.stage} is not known.")
        elif not self.outputs:
            lines.append(f"Nothing is deployed in the stage {self.stage}.")
        if self.leftovers:
            lines += ["", "And yet there is, of the stage's name or tag:"]
            lines += [_short(f"  {found}") for found in self.leftovers]
            lines.append(f"./inv destroy --stage {self.stage} removes it.")
        if self.costs:
            lines += ["", *cost_lines(self.costs, self.region, whole=self.is_whole)]
            if self.stage == LOCAL:
                lines.append("The embedded cloud costs nothing: these are AWS's prices for the same.")
        lines += [line for kind, why in self.unseen.items() for line in _unseen(kind, why)]
        return lines


def _short(line: str) -> str:
    """A line that fits: what tells one thing from another is at its end."""
    kept = (WIDTH - 1) // 2
    return line if len(line) <= WIDTH else f"{line[:kept]}…{line[-kept:]}"


def _pair(name: str, value: str) -> str:
    return f"{name:14} {value}"


def cost_lines(costs: tuple[tuple[Found, Cost], ...], region: str, *, whole: bool = True) -> list[str]:
    """Return a table of what costs, the dearest first, its sum and where the prices are from.

    `whole`: nothing else is there that costs.
    """
    rows = sorted(_rows(costs), key=lambda row: -(row[2] if row[2] is not None else 1e9))
    lines = [f"{'costs, US dollars':58}{'an hour':>10}{'a month':>12}"]
    for what, detail, hourly in rows:
        told = detail if len(detail) <= 38 else f"{detail[:37]}…"
        lines.append(f"{what:20}{told:38}{_amount(hourly):>10}{_amount(hourly, HOURS):>12}")
    priced = all(hourly is not None for _, _, hourly in rows)
    known = sum(hourly for _, _, hourly in rows if hourly is not None)
    total = known if priced and whole else None
    lines.append(f"{'in all':58}{_amount(total):>10}{_amount(total, HOURS):>12}")
    if total is None:
        lines.append(f"{'  of which known':58}{_amount(known):>10}{_amount(known, HOURS):>12}")
    if not priced:
        lines.append(f"Unknown: not in the price table; python -m ops.prices {region} renews it.")
    as_of = prices.as_of(region)
    lines.append(
        f"Prices of {as_of}, {region}; a month has {HOURS} hours."
        if as_of
        else f"The price table has no prices of {region}."
    )
    lines.append("Not counted: requests, traffic, and what comes into the logs.")
    return lines


def _amount(hourly: float | None, hours: int = 1) -> str:
    return "unknown" if hourly is None else f"{hourly * hours:,.{2 if hours > 1 else 4}f}"


def _rows(costs: tuple[tuple[Found, Cost], ...]) -> list[tuple[str, str, float | None]]:
    """One a thing; of what there are many of, one together."""
    rows: list[tuple[str, str, float | None]] = []
    for found, one in costs:
        if found.kind not in GROUPED:
            note = f"; {one.note}" if one.note else ""
            name = f" {found.identifier}" if found.kind.endswith("job") else ""
            rows.append((one.what, f"{one.detail}{note}{name}", one.hourly))
    for what in ("alarms", "logs"):
        together = [(found, one) for found, one in costs if found.kind in GROUPED and one.what == what]
        if together:
            hourly = cost.total(one.hourly for _, one in together)
            rows.append((what, f"{len(together)} {'alarms' if what == 'alarms' else 'groups'}", hourly))
    return rows


def _unseen(kind: str, why: str) -> list[str]:
    text = f"Not allowed to look at: {kind}" if is_denied(why) else f"Could not look at: {kind}"
    return [f"{text} ({why})"[:WIDTH]]


def look(stage: Stage) -> Status:
    """Look at a stage: quick, without Terraform, and without asking the model anything."""
    if not stage.is_running:
        return Status(stage.name, stage.region, is_running=False)
    sweeper = Sweeper(stage, state_bucket.prefix(stage))
    try:
        outputs, updated = last_apply(stage)
    except (BotoCoreError, ClientError) as error:
        found = live_cost.look(sweeper, stage.region)
        unread = {"Terraform's state": reason(error)}
        return Status(
            stage.name, stage.region, costs=found.costs, unseen=unread | found.unseen, is_known=False
        )
    if not outputs:
        survey = sweeper.survey()
        costs, unseen = live_cost.of(sweeper, survey.found, stage.region)
        return Status(
            stage.name,
            stage.region,
            costs=costs,
            leftovers=tuple(survey.found),
            unseen=survey.unseen | unseen,
        )
    with ThreadPoolExecutor(1) as pool:
        pricing = pool.submit(live_cost.look, sweeper, stage.region)
        report, unseen = _report(stage, outputs)
        found = pricing.result()
    return Status(
        stage.name, stage.region, outputs, updated, tuple(report.lines), tuple(report.wrong),
        found.costs, (), unseen | found.unseen,
    )  # fmt: skip


def _report(stage: Stage, outputs: dict[str, Any]) -> tuple[live.Report, dict[str, str]]:
    """Compare what is live with what was planned, as far as the caller may look."""
    report = live.Report()
    try:
        live.look(stage, outputs, report)
    except (BotoCoreError, ClientError) as error:
        return report, {"what is deployed": reason(error)}
    return report, {}


def last_apply(stage: Stage) -> tuple[dict[str, Any], datetime | None]:
    """Return the outputs of the last apply and when it was; none where there is no state."""
    state, written = stored_state(stage)
    outputs = {name: entry["value"] for name, entry in state.get("outputs", {}).items()}
    return (outputs if state.get("resources") else {}), written


def stored_state(stage: Stage) -> tuple[dict[str, Any], datetime | None]:
    """Return Terraform's state as it is stored, and since when; nothing where there is none."""
    backend = state_bucket.backend(stage)
    try:
        stored = stage.client("s3").get_object(Bucket=backend["bucket"], Key=backend["key"])
        state: dict[str, Any] = json.loads(stored["Body"].read())
    except ClientError as error:
        if live.is_gone(error) or error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
            return {}, None
        raise
    return state, stored["LastModified"]
