"""Whether the photos and the results can be read and written: by the caller, and by the roles of the jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops import state_bucket, status
from ops.declared import value_of
from ops.doctor.finding import Finding
from ops.jobs import rights
from ops.jobs.options import JobOptions
from ops.jobs.rights import Need, RightsError
from ops.live import is_gone
from ops.stage import Stage
from ops.sweep.sweeper import is_denied, reason

POLICY = "./inv plan, and the output data_bucket_policy of Terraform"


def artifacts(stage: Stage) -> Iterator[Finding]:
    """Read the artifact bucket as the caller, and ask IAM for the role of the jobs."""
    bucket = f"{state_bucket.prefix(stage)}-artifacts-{stage.account_id}"
    try:
        stage.client("s3").list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        if is_gone(error):
            yield Finding("artifact bucket", "ok", f"{bucket}: ./inv apply makes it")
            return
        if not is_denied(reason(error)):
            raise
        remedy = "Your own rights need s3:ListBucket and s3:GetObject on it."
        yield Finding("artifact bucket", "error", f"{bucket}: {error.response['Error']['Code']}", remedy)
        return
    outputs = status.last_apply(stage)[0]
    if not outputs.get("roles"):
        yield Finding("artifact bucket", "ok", f"{bucket}: you may read it")
        return
    yield _asked(
        "artifact bucket", "the role of the jobs", lambda: rights.check_role(stage, outputs, JobOptions())
    )


def data(stage: Stage) -> Iterator[Finding]:
    """Probe the data bucket as the caller, and ask IAM for the roles that read photos."""
    declared = value_of("data_bucket", stage.variables_file)
    if declared is None:
        return
    bucket = declared.get("name") or f"{state_bucket.prefix(stage)}-data-{stage.account_id}"
    prefix = declared.get("key_prefix") or ""
    outputs = status.last_apply(stage)[0]
    if (declared.get("mode") or "create") == "create" and not outputs.get("data_bucket"):
        yield Finding("data bucket", "ok", f"{bucket}: ./inv apply makes it")
        return
    key: str | None = None
    for action, resource, probe in _probes(stage, bucket, prefix):
        try:
            key = probe(key) or key
        except ClientError as error:
            if not is_gone(error) and not is_denied(reason(error)):
                raise
            yield _refused(stage, bucket, action, resource, error)
            return
        except BotoCoreError as error:
            yield Finding("data bucket", "error", f"{bucket}: {error}", "Check connection and credentials.")
            return
    if key is None:
        yield Finding(
            "data bucket", "warning", f"{bucket}/{prefix}: empty", "Mind the spelling of key_prefix."
        )
        return
    yield Finding("data bucket", "ok", f"{bucket}: you may list and read it")
    encrypted = stage.client("s3").head_object(Bucket=bucket, Key=key).get("SSEKMSKeyId")
    for actor in ("training", "training_instance", "notebook", "endpoint"):
        role = (outputs.get("roles") or {}).get(actor)
        if role is None or (actor == "endpoint" and not _bulk(stage)):
            continue
        arn = f"arn:{role['arn'].split(':')[1]}:s3:::{bucket}"
        needs = [Need(("s3:ListBucket",), arn, prefix), Need(("s3:GetObject",), f"{arn}/{key}")]
        needs += [Need(("kms:Decrypt",), encrypted)] if encrypted else []
        yield _asked(
            "data bucket", f"the role of {actor}", _check(stage, outputs, actor, needs, f"s3://{bucket}/")
        )


def _check(
    stage: Stage, outputs: dict[str, Any], actor: str, needs: list[Need], uri: str
) -> Callable[[], list[str]]:
    return lambda: rights.check_needs(stage, outputs, actor, needs, uri)


def _bulk(stage: Stage) -> bool:
    return (value_of("endpoint", stage.variables_file) or {}).get("bulk") is not False


def _asked(name: str, who: str, ask: Callable[[], list[str]]) -> Finding:
    try:
        unknown = ask()
    except RightsError as error:
        return Finding(name, "error", f"ours refuses: {error.rule} {error.received}", error.remedy)
    if unknown:
        return Finding(name, "warning", f"{who}: {unknown[0]}", "Allow iam:SimulatePrincipalPolicy.")
    return Finding(name, "ok", f"{who}: its policies let it read and write what it needs")


Probe = tuple[str, str, Callable[[str | None], str | None]]


def _probes(stage: Stage, bucket: str, prefix: str) -> Iterator[Probe]:
    s3 = stage.client("s3")

    def listed(_: str | None) -> str | None:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=10).get("Contents", [])
        return next((entry["Key"] for entry in found if entry["Size"]), None)

    def read(key: str | None) -> str | None:
        if key is not None:
            s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].close()
        return key

    yield "s3:ListBucket", f"arn:aws:s3:::{bucket}", listed
    yield "s3:GetObject", f"arn:aws:s3:::{bucket}/{prefix}*", read


def _refused(stage: Stage, bucket: str, action: str, resource: str, error: ClientError) -> Finding:
    """Name the side whose policy lacks it: ours, where IAM says that we may not, else the bucket's."""
    told = error.response["Error"]
    if is_gone(error):
        remedy = "Mind the spelling of data_bucket.name; a name is unique to all of AWS."
        return Finding("data bucket", "error", f"{bucket}: there is no such bucket", remedy)
    message = told.get("Message", "")
    if "kms:" in message.lower():
        action = "kms:Decrypt"
    side = _side(stage, action, resource, message)
    text = f"{bucket}: {action} is refused"
    if side == "ours":
        remedy = f"Your own rights need {action} on {resource}."
        return Finding("data bucket", "error", f"{text}, by your own policies", remedy)
    if action == "kms:Decrypt":
        remedy = "The bucket's account adds Terraform's output data_key_policy to its key's policy."
        return Finding("data bucket", "error", f"{text}, by their key's policy", remedy)
    whose = (
        "by the bucket's policy, of its account" if side == "theirs" else "by yours or the bucket's policy"
    )
    remedy = (
        f"The bucket's account adds Terraform's output data_bucket_policy to its policy; yours need {action}."
    )
    return Finding("data bucket", "error", f"{text}, {whose}", remedy)


def _side(stage: Stage, action: str, resource: str, message: str) -> str | None:
    """Whose policy refuses; AWS says it within an account, and IAM's simulation says what is ours."""
    if "resource-based policy" in message:
        return "theirs"
    if "identity-based policy" in message or "permissions boundary" in message:
        return "ours"
    try:
        arn = stage.client("sts").get_caller_identity()["Arn"]
        if arn.endswith(":root"):
            return "theirs"
        answer = stage.client("iam").simulate_principal_policy(
            PolicySourceArn=_principal(arn), ActionNames=[action], ResourceArns=[resource.rstrip("*")]
        )
    except (BotoCoreError, ClientError):
        return None
    allowed = all(each["EvalDecision"] == "allowed" for each in answer["EvaluationResults"])
    return "theirs" if allowed else "ours"


def _principal(arn: str) -> str:
    """The role of a session, whose policies IAM knows."""
    if ":assumed-role/" not in arn:
        return arn
    account, role = arn.split(":")[4], arn.split("/")[1]
    return f"arn:{arn.split(':')[1]}:iam::{account}:role/{role}"
