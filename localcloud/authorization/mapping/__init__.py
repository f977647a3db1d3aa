"""Calls as actions on resources: what a caller must be allowed for a call to be made."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping import ec2, generic, iam, kms, lambdas, logs, s3, sagemaker, services
from localcloud.authorization.mapping.generic import Unmapped
from localcloud.authorization.mapping.sagemaker import invocation

__all__ = ["Unmapped", "asks_of", "invocation"]

_SPECIAL: dict[str, Callable[[Call], list[Ask]]] = {
    "ec2": ec2.asks,
    "iam": iam.asks,
    "kms": kms.asks,
    "lambda": lambdas.asks,
    "logs": logs.asks,
    "s3": s3.asks,
    "sagemaker": sagemaker.asks,
    "sts": iam.sts_asks,
}


def asks_of(call: Call) -> list[Ask]:
    """All of them must be allowed.

    Raises:
        Unmapped: the cloud does not know which action the operation is.
    """
    special = (
        _SPECIAL.get(call.prefix) or services.SPECIAL.get(f"{call.prefix}:{call.operation}") or generic.asks
    )
    return special(call)
