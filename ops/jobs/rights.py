"""Who may read the photos and write the results: asked of S3 as the caller, and of IAM for the role of the jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml.errors import KennelError
from ops.jobs.options import JobOptions
from ops.jobs.source import location, sizes, split_uri
from ops.stage import Stage

_TERRAFORM = "terraform output -raw data_bucket_policy"


class RightsError(KennelError):
    """Somebody may not do what a job needs."""


@dataclass(frozen=True)
class Need:
    """Actions on a resource; `prefix` is what a listing asks for."""

    actions: tuple[str, ...]
    resource: str
    prefix: str | None = None


def readable_keys(stage: Stage, outputs: Mapping[str, Any], uri: str) -> list[str]:
    """Return the keys of what is not empty below the address, as `readable` does."""
    return [key for key, size in readable(stage, outputs, uri).items() if size]


def readable(stage: Stage, outputs: Mapping[str, Any], uri: str) -> dict[str, int]:
    """Return sizes in bytes by key of what is below the address, in the order of S3; at least one that is not empty,
    and which the caller can read. Folders' own objects are left out.

    Raises:
        RightsError: the caller may not list or read, there is nothing, or the bucket is elsewhere.
    """
    bucket, prefix = split_uri(uri)
    client = stage.client("s3")
    try:
        region = client.head_bucket(Bucket=bucket).get("BucketRegion") or stage.region
        found = {key: size for key, size in sizes(client, bucket, prefix).items() if not key.endswith("/")}
        keys = [key for key, size in found.items() if size]
        if keys:
            client.head_object(Bucket=bucket, Key=keys[0])
    except ClientError as error:
        raise _denied(outputs, uri, error) from error
    except BotoCoreError as error:
        raise RightsError("The bucket can be reached.", error, "Check connection and credentials.") from error
    if not keys:
        raise RightsError("There are photos below the address.", uri, "Mind spelling and case.")
    if region != stage.region:
        raise RightsError(
            "SageMaker reads from buckets of its own region.",
            f"{bucket} is in {region}, the stage in {stage.region}",
            "Copy the photos to a bucket there, or deploy the stage in the bucket's region.",
        )
    return found


def check_role(
    stage: Stage,
    outputs: Mapping[str, Any],
    options: JobOptions,
    data: str | None = None,
    key: str | None = None,
) -> list[str]:
    """Ask IAM what the role of the jobs may do; return what could not be found out.

    Raises:
        RightsError: the role may not do what a job needs.
    """
    role = str(outputs["roles"]["training"]["arn"])
    return check_needs(stage, outputs, "training", _needs(stage, outputs, options, role, data, key), data)


def check_needs(
    stage: Stage, outputs: Mapping[str, Any], actor: str, needs: Iterable[Need], data: str | None
) -> list[str]:
    """Ask IAM whether the actor's role has its needs; return what could not be found out. `data`: where photos are.

    Raises:
        RightsError: it may not do what a job needs.
    """
    role = str(outputs["roles"][actor]["arn"])
    client = stage.client("iam")
    try:
        for need in needs:
            for action in _refused(client, role, need):
                raise _lacking(outputs, action, need, role, data)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchEntity":
            raise RightsError("The role of the jobs exists.", role, "./inv apply makes it.") from error
        return [
            f"Whether {role} may read and write could not be asked of IAM ({code}): iam:SimulatePrincipalPolicy."
        ]
    return []


def _needs(
    stage: Stage,
    outputs: Mapping[str, Any],
    options: JobOptions,
    role: str,
    data: str | None,
    key: str | None,
) -> Iterator[Need]:
    arn = f"arn:{role.split(':')[1]}:s3:::"
    s3 = stage.client("s3")
    bucket, scratch = location(outputs)
    yield Need(("s3:GetObject", "s3:PutObject"), f"{arn}{bucket}/{scratch}jobs/x")
    yield Need(("s3:ListBucket",), f"{arn}{bucket}", scratch)
    if kms_key := _bucket_key(s3, bucket):
        yield Need(("kms:Decrypt", "kms:GenerateDataKey"), kms_key)
    if options.checkpoints not in (None, "none"):
        there, prefix = split_uri(str(options.checkpoints))
        yield Need(("s3:GetObject", "s3:PutObject"), f"{arn}{there}/{prefix.rstrip('/')}/x")
        yield Need(("s3:ListBucket",), f"{arn}{there}", prefix)
    if data is not None and key is not None:
        there, prefix = split_uri(data)
        yield Need(("s3:GetObject",), f"{arn}{there}/{key}")
        yield Need(("s3:ListBucket",), f"{arn}{there}", prefix)
        kms_key = s3.head_object(Bucket=there, Key=key).get("SSEKMSKeyId")
        if kms_key:
            yield Need(("kms:Decrypt",), kms_key)


def key_needs(stage: Stage, bucket: str, photo: str, output: str) -> Iterator[Need]:
    """What photos and results under keys of KMS need besides."""
    s3 = stage.client("s3")
    if kms_key := s3.head_object(Bucket=bucket, Key=photo).get("SSEKMSKeyId"):
        yield Need(("kms:Decrypt",), kms_key)
    if kms_key := _bucket_key(s3, output):
        yield Need(("kms:Decrypt", "kms:GenerateDataKey"), kms_key)


def _refused(client: Any, role: str, need: Need) -> list[str]:
    context = []
    if need.prefix is not None:
        context = [
            {"ContextKeyName": "s3:prefix", "ContextKeyValues": [need.prefix], "ContextKeyType": "string"}
        ]
    answer = client.simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=list(need.actions),
        ResourceArns=[need.resource],
        ContextEntries=context,
    )
    results = answer["EvaluationResults"]
    return [entry["EvalActionName"] for entry in results if entry["EvalDecision"] != "allowed"]


def _bucket_key(client: Any, bucket: str) -> str | None:
    """The KMS key by which the bucket encrypts, where it is one of its own and the caller may know."""
    try:
        answer = client.get_bucket_encryption(Bucket=bucket)
    except ClientError:
        return None
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    key = rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") if rules else None
    return key if key and key.startswith("arn:") else None


def _denied(outputs: Mapping[str, Any], uri: str, error: ClientError) -> RightsError:
    code = str(error.response["Error"]["Code"])
    if code in ("404", "NoSuchBucket", "NotFound"):
        return RightsError("The bucket exists.", uri, "Mind the spelling; a name is unique to all of AWS.")
    theirs = (
        f" The bucket's account adds `{_TERRAFORM}` to its policy."
        if outputs.get("data_bucket_policy")
        else ""
    )
    return RightsError(
        "You can list and read the photos: they are checked before a job is paid for.",
        f"{uri}: {error}",
        f"Your own rights need s3:ListBucket, s3:GetObject, and kms:Decrypt where they are encrypted.{theirs}",
    )


def _lacking(outputs: Mapping[str, Any], action: str, need: Need, role: str, data: str | None) -> RightsError:
    is_data = data is not None and split_uri(data)[0] in need.resource
    if not is_data and not action.startswith("kms"):
        remedy = (
            "./inv apply gives it what it needs in the artifact bucket; another location is yours to allow."
        )
    elif outputs.get("data_bucket_policy"):
        remedy = (
            "Name the bucket, and its key, as data_bucket in the stage's tfvars and apply; "
            f"the bucket's account adds `{_TERRAFORM}` to its policy."
        )
    else:
        remedy = "Name the bucket, and its key, as data_bucket in the stage's tfvars and apply."
    where = f"{need.resource}, prefix {need.prefix}" if need.prefix else need.resource
    return RightsError(f"The role of the jobs may {action}.", f"{role} may not: {where}", remedy)
