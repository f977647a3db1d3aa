"""The tags of a resource by its ARN, for conditions on aws:ResourceTag and its like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_NONE: dict[str, str] = {}


def of(resource: str) -> dict[str, str]:
    """Nothing for what has none, or is not there."""
    parts = resource.split(":", 5)
    finder = _FINDERS.get(parts[2]) if len(parts) == 6 else None
    if finder is None:
        return _NONE
    try:
        return finder(resource, parts[3], parts[4], parts[5])
    except Exception:  # each of moto's backends says in its own way that something is not there
        return _NONE


def of_object(resource: str) -> dict[str, str]:
    """Of an object in S3."""
    from moto.s3.models import s3_backends

    bucket, _, key = resource.split(":", 5)[5].partition("/")
    owner = s3_backends.bucket_accounts.get(bucket)
    if not owner:
        return _NONE
    backend: Any = s3_backends[owner[1]][owner[0]]
    stored = backend.buckets[bucket].keys.get(key)
    return _pairs(backend.tagger.list_tags_for_resource(stored.arn)["Tags"]) if stored is not None else _NONE


def _pairs(tags: Any) -> dict[str, str]:
    if isinstance(tags, dict):
        return {
            str(key): value["Value"] if isinstance(value, dict) else str(value) for key, value in tags.items()
        }
    return {str(tag.get("Key") or tag.get("TagKey") or tag.get("key")): _value(tag) for tag in tags or []}


def _value(tag: dict[str, Any]) -> str:
    return str(next((tag[name] for name in ("Value", "TagValue", "value") if name in tag), ""))


def _s3(_arn: str, _region: str, _account: str, path: str) -> dict[str, str]:
    from moto.s3.models import s3_backends

    name = path.partition("/")[0]
    partition, account = s3_backends.bucket_accounts[name]
    backend: Any = s3_backends[account][partition]
    return _pairs(backend.tagger.list_tags_for_resource(backend.buckets[name].arn)["Tags"])


def _ec2(_arn: str, region: str, account: str, path: str) -> dict[str, str]:
    from moto.ec2.models import ec2_backends

    found: Any = ec2_backends[account][region].tags.get(path.partition("/")[2], {})
    return {str(key): str(value) for key, value in found.items()}


def _sagemaker(arn: str, region: str, account: str, _path: str) -> dict[str, str]:
    from moto.sagemaker.models import sagemaker_backends

    backend: Any = sagemaker_backends[account][region]
    return _pairs(backend.list_tags(arn))


def _iam(_arn: str, _region: str, account: str, path: str) -> dict[str, str]:
    from moto.iam.models import iam_backends

    backend: Any = iam_backends[account]["aws"]
    name = path.rpartition("/")[2]
    stored = backend.roles if path.startswith("role/") else backend.users
    return next(_pairs(one.tags) for one in list(stored.values()) if one.name == name)


def _lambda(_arn: str, region: str, account: str, path: str) -> dict[str, str]:
    from moto.awslambda.models import lambda_backends

    function: Any = lambda_backends[account][region].get_function(path.split(":")[1])
    return _pairs(function.tags)


def _logs(_arn: str, region: str, account: str, path: str) -> dict[str, str]:
    from moto.logs.models import logs_backends

    name = path.split(":")[1]
    backend: Any = logs_backends[account][region]
    return _pairs(backend.tagger.get_tag_dict_for_resource(backend.groups[name].arn))


def _kms(_arn: str, region: str, account: str, path: str) -> dict[str, str]:
    from moto.kms.models import kms_backends

    backend: Any = kms_backends[account][region]
    return _pairs(backend.list_resource_tags(path.partition("/")[2])["Tags"])


def _ecr(arn: str, region: str, account: str, _path: str) -> dict[str, str]:
    from moto.ecr.models import ecr_backends

    backend: Any = ecr_backends[account][region]
    return _pairs(backend.tagger.list_tags_for_resource(arn)["Tags"])


def _sns(arn: str, region: str, account: str, _path: str) -> dict[str, str]:
    from moto.sns.models import sns_backends

    topic: Any = sns_backends[account][region].topics[arn]
    return _pairs(topic._tags)


_FINDERS: dict[str, Callable[[str, str, str, str], dict[str, str]]] = {
    "s3": _s3, "ec2": _ec2, "sagemaker": _sagemaker, "iam": _iam, "lambda": _lambda, "logs": _logs, "kms": _kms,
    "ecr": _ecr, "sns": _sns,
}  # fmt: skip
