"""The policies of resources: who owns a resource, and whom its policy lets in."""

from __future__ import annotations

import json
from typing import Any

from localcloud.authorization import documents
from localcloud.authorization.documents import Statement

# Services whose resources' policies must let even their own account in.
SELF_CONTAINED = ("kms",)


def owner(resource: str) -> str:
    """The account of the resource; "" where it says none."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return ""
    if parts[2] == "s3" and not parts[4]:
        from moto.s3.models import s3_backends

        found = s3_backends.bucket_accounts.get(parts[5].partition("/")[0])
        return found[1] if found else ""
    return parts[4] if parts[4] != "aws" else ""


def statements_of(resource: str, action: str) -> tuple[Statement, ...] | None:
    """None where the resource has no policy."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return None
    finder = _FINDERS.get(parts[2])
    document = finder(parts[3], parts[4], parts[5], action) if finder else None
    if not document:
        return None
    text = document if isinstance(document, str) else json.dumps(document)
    name = parts[5].partition("/")[0] if parts[2] == "s3" else parts[5]
    return documents.statements(f"policy of {parts[2]} {name}", text)


def _s3(_region: str, _account: str, path: str, _action: str) -> str | None:
    from moto.s3.models import s3_backends

    name = path.partition("/")[0]
    found = s3_backends.bucket_accounts.get(name)
    if not found:
        return None
    bucket = s3_backends[found[1]][found[0]].buckets.get(name)
    return bucket.policy.decode() if bucket is not None and bucket.policy else None


def _iam(_region: str, account: str, path: str, action: str) -> str | None:
    """A role's trust policy, which is about taking it on and nothing else."""
    if not action.lower().startswith("sts:") or not path.startswith("role/"):
        return None
    role = documents.role_of(f"arn:aws:iam::{account}:{path}")
    return role.assume_role_policy_document if role is not None else None


def _kms(region: str, account: str, path: str, _action: str) -> str | None:
    from moto.kms.models import kms_backends

    key = kms_backends[account][region].keys.get(path.removeprefix("key/"))
    return key.policy if key is not None else None


def _lambda(region: str, account: str, path: str, _action: str) -> str | None:
    from moto.awslambda.models import lambda_backends

    name = path.removeprefix("function:")
    try:
        function: Any = lambda_backends[account][region].get_function(name.partition(":")[0])
    except Exception:
        return None
    policy = function.policy
    return policy.get_policy() if policy is not None and policy.statements else None


def _ecr(region: str, account: str, path: str, _action: str) -> str | None:
    from moto.ecr.models import ecr_backends

    repository = ecr_backends[account][region].repositories.get(path.removeprefix("repository/"))
    return repository.policy if repository is not None else None


def _sns(region: str, account: str, path: str, _action: str) -> str | None:
    from moto.sns.models import sns_backends

    topic = sns_backends[account][region].topics.get(f"arn:aws:sns:{region}:{account}:{path}")
    return topic.policy if topic is not None else None


def _sqs(region: str, account: str, path: str, _action: str) -> str | None:
    from moto.sqs.models import sqs_backends

    queue = sqs_backends[account][region].queues.get(path)
    return queue.policy if queue is not None else None


_FINDERS = {"s3": _s3, "iam": _iam, "kms": _kms, "lambda": _lambda, "ecr": _ecr, "sns": _sns, "sqs": _sqs}
