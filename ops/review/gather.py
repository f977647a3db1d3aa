"""Reads what a plan is judged by; what may not be read of the cloud is left out, never an error."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import hcl2
from botocore.exceptions import BotoCoreError, ClientError

from ops.artifacts import Model
from ops.doctor import quotas
from ops.fleet import CONFIGURATION, Fleet
from ops.paths import ROOT, TERRAFORM, shown
from ops.review.facts import Account, Facts, Quota
from ops.review.review import Header
from ops.stage import LOCAL, Stage
from ops.update import Update

TIMEOUT = 20  # seconds for git

Value = TypeVar("Value")


def facts(
    stage: Stage,
    plan: dict[str, Any],
    fleet: Fleet | None,
    models: tuple[Model | None, Model | None],
    update: Update | None,
    state_version: str,
) -> Facts:
    """Return what the judges need; `models` are the deployed one and the stage's, `plan` is without secrets."""
    touched = {
        (entry["type"], entry["name"])
        for entry in plan.get("resource_changes", [])
        if set(entry["change"]["actions"]) & {"create", "update"}
    }
    sagemaker = stage.client("sagemaker") if touched else None
    scales = any(kind == CONFIGURATION or kind.startswith("aws_appautoscaling") for kind, _ in touched)
    return Facts(
        stage.name,
        stage.region,
        plan,
        fleet,
        *models,
        update,
        account=_account(
            stage, instances=scales, functions=any(kind == "aws_lambda_function" for kind, _ in touched)
        ),
        state_version=state_version,
        live_configs=_names(sagemaker, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
        live_models=_names(sagemaker, "list_models", "Models", "ModelName"),
    )


def header(stage: Stage, plan: dict[str, Any], plan_file: Path, scanner: str) -> Header:
    """Return what was planned, by whom, and with what."""
    commit, dirty = _commit()
    caller = _may(lambda: stage.client("sts").get_caller_identity()) or {}
    return Header(
        stage=stage.name,
        region=stage.region,
        account="the embedded cloud"
        if stage.name == LOCAL
        else f"account {caller.get('Account', 'unknown')}",
        commit=commit,
        dirty=dirty,
        terraform=plan.get("terraform_version", ""),
        provider=_provider_version(),
        kennel=_version(),
        scanner=scanner,
        plan_sha256=hashlib.sha256(plan_file.read_bytes()).hexdigest() if plan_file.is_file() else "",
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        made_by=caller.get("Arn", ""),
        command=f"./inv apply --stage {stage.name}, by whoever has {shown(plan_file)} and may change the account",
    )


def _may(ask: Callable[[], Value]) -> Value | None:
    """Return an answer of the cloud, or None where it is not given."""
    try:
        return ask()
    except (ClientError, BotoCoreError):
        return None


def _names(client: Any, operation: str, listed: str, name: str) -> frozenset[str]:
    if client is None:
        return frozenset()
    pages = _may(lambda: list(client.get_paginator(operation).paginate()))
    return frozenset(each[name] for page in pages or [] for each in page[listed])


def _account(stage: Stage, *, instances: bool, functions: bool) -> Account:
    limits = (
        (_may(lambda: stage.client("lambda").get_account_settings()["AccountLimit"]) or {})
        if functions
        else {}
    )
    return Account(
        _quotas(stage) if instances else {},
        limits.get("ConcurrentExecutions"),
        limits.get("UnreservedConcurrentExecutions"),
        _reserved_here(stage) if functions else 0,
    )


def _reserved_here(stage: Stage) -> int:
    from ops.declared import value_of

    function = f"{value_of('prefix', stage.variables_file)}-{stage.name}-classify"
    client = stage.client("lambda")
    found = _may(lambda: client.get_function_concurrency(FunctionName=function)) or {}
    return int(found.get("ReservedConcurrentExecutions", 0))


def _quotas(stage: Stage) -> dict[str, Quota]:
    """Return SageMaker's quotas for endpoints, with what is used of them."""
    found = quotas.read(stage, "sagemaker") or {}
    used = quotas.in_use(stage) if found else None
    return {
        name: Quota(limit, None if used is None else used[name.split(" ")[0]])
        for name, limit in found.items()
        if name.endswith(" for endpoint usage")
    }


def _commit() -> tuple[str, bool]:
    """Return the commit, and whether there are changes beside it; empty outside a repository."""
    head, status = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    return (head or "").strip(), bool(status)


def _git(*arguments: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _provider_version() -> str:
    file = TERRAFORM / ".terraform.lock.hcl"
    if not file.is_file():
        return ""
    for block in hcl2.loads(file.read_text()).get("provider", []):
        for name, entry in block.items():
            if name.strip('"').endswith("/aws"):
                return str(entry["version"]).strip('"')
    return ""
