"""What a review is judged by, and what the judges find: plain values, so that the judges need no cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ops.artifacts import Model
from ops.fleet import Fleet
from ops.update import Update

Severity = Literal["danger", "warning", "note"]
PolicySeverity = Literal["critical", "high", "medium", "low"]


@dataclass(frozen=True)
class Quota:
    """A limit of the account, by AWS's name of it, such as "ml.m5.large for endpoint usage"."""

    limit: float
    used: float | None = None  # None: it could not be read


@dataclass(frozen=True)
class Account:
    """What could be read of the account's limits; what could not is absent, or None."""

    quotas: Mapping[str, Quota] = field(default_factory=dict)
    concurrency: int | None = None  # of all functions
    unreserved: int | None = None  # of it, by any function, ours counted as it is now
    reserved_here: int = 0  # what our function reserves now


@dataclass(frozen=True)
class Facts:
    """All that judgement needs."""

    stage: str
    region: str
    plan: dict[str, Any]  # `terraform show -json`, redacted: equal hidden values are equal
    fleet: Fleet | None = None  # the live endpoint
    deployed: Model | None = None
    model: Model | None = None
    update: Update | None = None  # of the endpoint
    account: Account = field(default_factory=Account)
    state_version: str = ""  # of the Terraform that wrote the state last; empty: there is none
    live_configs: frozenset[str] = frozenset()  # names of endpoint configurations in the account
    live_models: frozenset[str] = frozenset()  # names of SageMaker models in the account


@dataclass(frozen=True)
class Danger:
    """Something about the plan that a reviewer has to know; `danger` needs an approval."""

    rule: str  # such as count-reset
    severity: Severity
    address: str
    text: str  # what happens
    why: str  # what is bad about it
    remedy: str


@dataclass(frozen=True)
class RightsChange:
    """What somebody may do after the apply and may not do now, or the other way round."""

    address: str
    who: str  # such as "the role kennel-dev-lambda"
    kind: Literal["widens", "narrows", "changes"]
    text: str  # such as "may now also invoke any endpoint (sagemaker:InvokeEndpoint on *)"


@dataclass(frozen=True)
class Drift:
    """Something that was changed outside Terraform since the last apply."""

    address: str
    kind: Literal["changed", "gone"]
    text: str  # in words, with values before → after


@dataclass(frozen=True)
class Metric:
    """One line of the comparison of two models."""

    name: str
    before: str | None
    after: str | None
    better: bool | None = None  # None: neither, or not comparable


@dataclass(frozen=True)
class ModelPair:
    """The deployed model beside the one to deploy."""

    before: str | None  # its name; None: none is deployed
    after: str | None  # None: none is any more
    metrics: tuple[Metric, ...] = ()
    notes: tuple[str, ...] = ()  # such as "measured on different test photos"


@dataclass(frozen=True)
class BillLine:
    """One thing that costs, US dollars a month."""

    name: str
    before: float | None  # None: not known
    after: float | None
    worst: float | None  # at maximal capacity
    note: str = ""  # how it is computed


@dataclass(frozen=True)
class Bill:
    """What the stage costs, US dollars a month, as far as it is known before anybody asks anything of it."""

    before: float | None
    after: float | None
    worst: float | None
    lines: tuple[BillLine, ...] = ()
    as_of: str = ""  # the prices' date
    source: str = ""
    notes: tuple[str, ...] = ()  # such as what is not counted


@dataclass(frozen=True)
class Excuse:
    """Why a policy finding is accepted, and until when."""

    reason: str
    until: str  # a date
    by: str = ""


@dataclass(frozen=True)
class Finding:
    """What a policy check has against something in the plan."""

    id: str  # such as CKV_AWS_111
    severity: PolicySeverity
    address: str
    text: str
    remedy: str
    source: str  # such as "checkov 3.2.0", or "kennel"
    exception: Excuse | None = None
    changed: bool = True  # the plan changes what it is about
