"""The function's environment, read here and nowhere else (credentials aside: they are read at every call)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from guarded_fetch import FetchPolicy
from lambda_errors import SettingsError

MAX_REQUEST_BYTES = 6 * 1024 * 1024  # SageMaker's limit for a real-time request
ENDPOINT_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")
RUNTIME_URL = re.compile(r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True)
class Settings:
    runtime_url: str  # of the SageMaker runtime: scheme, host, port
    region: str
    default_endpoint: str | None
    allowed_endpoints: frozenset[str]
    component: str | None = None  # the inference component to ask, of endpoints that have such
    aliases: Mapping[str, str] = field(default_factory=dict)  # names that old callers send → allowed names
    fetch: FetchPolicy = field(default_factory=FetchPolicy)
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """An empty variable counts as unset, because Terraform cannot leave one out by condition alone."""
        env = {name: value.strip() for name, value in environment.items() if value.strip()}
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
        if region is None:
            raise SettingsError("AWS_REGION must be set.")
        default = env.get("ENDPOINT_NAME")
        names = [name.strip() for name in env.get("ALLOWED_ENDPOINTS", "").split(",") if name.strip()]
        allowed = frozenset(names if default is None else [*names, default])
        for name in allowed:
            if not ENDPOINT_NAME.fullmatch(name):
                raise SettingsError(
                    "ENDPOINT_NAME and ALLOWED_ENDPOINTS take endpoint names (letters, digits, hyphens, "
                    f"at most 63 characters); received {name!r}."
                )
        if not allowed:
            raise SettingsError(
                "Set ENDPOINT_NAME or ALLOWED_ENDPOINTS: no endpoint may be called otherwise."
            )
        component = env.get("KENNEL_INFERENCE_COMPONENT")
        if component is not None and not ENDPOINT_NAME.fullmatch(component):
            raise SettingsError(
                "KENNEL_INFERENCE_COMPONENT takes the name of an inference component (letters, digits, hyphens, at "
                f"most 63 characters); received {component!r}."
            )
        level = env.get("LOG_LEVEL", "INFO").upper()
        if level not in LOG_LEVELS:
            raise SettingsError(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}; received {level!r}.")
        return cls(
            runtime_url=_runtime_url(env, region),
            region=region,
            default_endpoint=default,
            allowed_endpoints=allowed,
            component=component,
            aliases=_aliases(env.get("ENDPOINT_ALIASES", "{}"), allowed),
            fetch=_fetch_policy(env),
            log_level=level,
        )


def _runtime_url(env: Mapping[str, str], region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    name = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"
    if name not in env:
        name = "AWS_ENDPOINT_URL"
    url = env.get(name, f"https://runtime.sagemaker.{region}.{suffix}").rstrip("/")
    if not RUNTIME_URL.fullmatch(url):
        raise SettingsError(f"{name} must be http(s)://host or http(s)://host:port; received {url!r}.")
    return url


def _aliases(text: str, allowed: frozenset[str]) -> dict[str, str]:
    try:
        aliases = json.loads(text)
    except ValueError:
        aliases = None
    if not isinstance(aliases, dict) or not all(isinstance(name, str) for name in aliases.values()):
        raise SettingsError('ENDPOINT_ALIASES must be a JSON object like {"old-name": "endpoint-name"}.')
    strangers = sorted(set(aliases.values()) - allowed)
    if strangers:
        raise SettingsError(
            f"ENDPOINT_ALIASES may only lead to allowed endpoints ({', '.join(sorted(allowed))}); "
            f"received {', '.join(strangers)}."
        )
    return aliases


def _fetch_policy(env: Mapping[str, str]) -> FetchPolicy:
    stage = env.get("STAGE", "")
    policy = FetchPolicy(
        allow_http=_flag(env, "FETCH_ALLOW_HTTP"),
        allow_loopback=_flag(env, "FETCH_ALLOW_LOOPBACK"),
        max_bytes=int(_number(env, "FETCH_MAX_BYTES", FetchPolicy.max_bytes, 1, MAX_REQUEST_BYTES)),
        total_seconds=_number(env, "FETCH_TIMEOUT_SECONDS", FetchPolicy.total_seconds, 0.001, 900),
    )
    if (policy.allow_http or policy.allow_loopback) and stage != "local":
        raise SettingsError(
            f"Only the stage local may set FETCH_ALLOW_HTTP or FETCH_ALLOW_LOOPBACK; STAGE is {stage!r}."
        )
    return policy


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "false")
    if value not in ("true", "false"):
        raise SettingsError(f"{name} must be true or false; received {value!r}.")
    return value == "true"


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = env.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text) or not low <= float(text) <= high:
        raise SettingsError(f"{name} must be a number from {low} to {high}; received {text!r}.")
    return float(text)
