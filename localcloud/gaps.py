"""The one place where moto's answers are replaced by ours.

Each service module below offers `install(config)`. It puts subclasses of moto's backend and response classes
in their place through moto's own tables: `BackendDict.backend` and `urls.url_paths`. What a subclass does not
override stays moto's.
"""

from __future__ import annotations

from collections import deque
from importlib import import_module
from types import ModuleType
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend

from localcloud.config import Config

_SERVICES = (
    "authorization.pinned",
    "authorization.sts",
    "sagemaker",
    "cloudformation",
    "functions",
    "cloudwatch",
    "autoscaling",
    "ec2",
    "flow_logs",
    "iam",
    "s3",
    "ssm",
    "quotas",
)


def install(config: Config) -> None:
    for service in _SERVICES:
        import_module(f"localcloud.{service}").install(config)


def replace_responses(urls: ModuleType, new: type[Any]) -> None:
    """Let `new`, a subclass of the response class in moto's `<service>/urls.py`, answer in its stead."""
    for path, handler in urls.url_paths.items():
        old = getattr(handler, "__self__", None)
        old = old if isinstance(old, type) else type(old)
        if issubclass(new, old):
            urls.url_paths[path] = getattr(new, handler.__name__)


def replace_backend(backends: BackendDict[Any], new: type[BaseBackend], urls: ModuleType) -> None:
    """Let accounts and regions of a moto `BackendDict` be instances of `new`.

    moto looks for a service's URLs beside the module of its backend class; `new` lives elsewhere.
    """
    new._url_module = urls  # type: ignore[method-assign, assignment]
    backends.backend = new


def forget_instances(*models: type) -> None:
    """moto keeps each instance ever made of a model, for its dashboard, which is switched off."""
    for model in models:
        model.instances_tracked = deque(maxlen=0)  # type: ignore[attr-defined]
