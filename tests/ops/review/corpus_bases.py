"""Stages as they are before each change, and what a change is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.review.facts import Account, Quota

Clients = Callable[[str], Any]
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
TYPES = ("ml.m5.large", "ml.m5.xlarge", "ml.c5.large")
AMPLE = Account(
    {f"{kind} for endpoint usage": Quota(20, 2) for kind in TYPES},
    concurrency=1000,
    unreserved=950,
    reserved_here=50,
)


def model(letter: str, **metrics: float) -> dict[str, Any]:
    """Return a model as the variable has it; the archive of each letter is another."""
    return {
        "name": f"model-{letter}",
        "archive": f"../{letter}.tar.gz",
        "sha256": letter * 64,
        "metrics": {"accuracy": 0.91, "macro_f1": 0.9} | metrics,
    }


@dataclass(frozen=True)
class Base:
    """A stage as it is before each change."""

    name: str
    variables: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)  # beside Terraform's own; x_override.tf overrides


# The artifact bucket's key, one that could take its place, and one that is for nothing.
KEYS = """
resource "aws_kms_key" "artifacts" {}
resource "aws_kms_key" "other" {}
"""
SPARE = 'resource "aws_kms_key" "spare" {}\n'
ENCRYPTED = """
module "storage" {{
  artifacts = merge(var.artifacts, {{ kms_key_arn = aws_kms_key.{key}.arn }})
}}
"""

COMMON: dict[str, Any] = {
    "stage": "local",
    "model": model("a"),
    "endpoint": {
        "image": f"{REGISTRY}/fake@sha256:{'0' * 64}",
        "instance_type": "ml.m5.large",
        "environment": {"GREETING": "hello"},
        "deployment": {"wait_seconds": 0, "termination_wait_seconds": 0},
    },
    "lambda": {"package": "../lambda.zip", "url": True},
}
SCALED = Base(
    "scaled",
    COMMON
    | {
        "endpoint": COMMON["endpoint"] | {"instance_count": 2},
        "autoscaling": {"min_instances": 2, "max_instances": 4, "scale_in_cooldown_seconds": 300},
        "permissions_boundary_arn": "arn:aws:iam::aws:policy/PowerUserAccess",
        "network": {
            "flow_logs": True,
            "interface_endpoints": ["ssm", "ssmmessages"],
            "amazon_linux_repositories": True,
        },
        "training_instance": {},
        "notebook": {},
        "observability": {"notifications": {"emails": ["ops@example.com"]}},
    },
    {"keys.tf": KEYS + SPARE, "keys_override.tf": ENCRYPTED.format(key="artifacts")},
)
FIXED = Base("fixed", COMMON | {"prefix": "fixed", "autoscaling": None, "network": {"mode": "default"}})


@dataclass(frozen=True)
class Case:
    """A change, and what the review has to say of it."""

    name: str
    words: tuple[str, ...]  # in the review's text
    not_said: tuple[str, ...] = ()
    dangers: frozenset[str] = frozenset()  # the rules that make it need an approval
    base: Base = SCALED
    set: Mapping[str, Any] = field(default_factory=dict)  # variables, laid over the base's
    files: Mapping[str, str] = field(default_factory=dict)  # besides the base's, or in place of them
    arguments: tuple[str, ...] = ()  # of `terraform plan`
    live: int | None = None  # instances that the endpoint was scaled to
    outside: Callable[[Clients], Callable[[], Any]] | None = (
        None  # done past Terraform; returns what undoes it
    )
    account: Account = AMPLE
    first: bool = False  # there is nothing yet


def override(module: str, text: str) -> dict[str, str]:
    """Return a file that overrides what is in the module; "." is the root."""
    return {f"{module}/case_override.tf": text}


def besides(module: str, text: str) -> dict[str, str]:
    """Return a file beside those of the module."""
    return {f"{module}/case.tf": text}
