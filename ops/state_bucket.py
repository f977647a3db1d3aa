"""The bucket with a stage's Terraform state: made by terraform/bootstrap when it is not there."""

from __future__ import annotations

from pathlib import Path

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import files, outage
from ops.declared import value_of
from ops.paths import TERRAFORM
from ops.stage import Stage
from ops.terraform import Terraform

KEY = "kennel/terraform.tfstate"
RECORD_KEY = "kennel/bootstrap.tfstate"


def backend(stage: Stage) -> dict[str, str]:
    """Return the backend's settings; path style, which S3 and the embedded cloud both answer."""
    return {
        "bucket": name(stage),
        "key": KEY,
        "region": stage.region,
        "encrypt": "true",
        "use_lockfile": "true",
        "use_path_style": "true",
    }


def name(stage: Stage) -> str:
    return f"{prefix(stage)}-terraform-state-{stage.account_id}"


def prefix(stage: Stage) -> str:
    """Return what every name of the stage begins with, as the root module's local.prefix."""
    return f"{value_of('prefix', stage.variables_file)}-{stage.name}"


def ensure(stage: Stage) -> bool:
    """Make the bucket when it is missing; return whether it was made.

    Raises:
        KennelError: the bucket belongs to somebody else.
    """
    if exists(stage):
        return False
    # These alone: roles of a pipeline that bootstrap has made, too, are for ci.setup to change.
    targets = ["-target=aws_s3_bucket.state", "-target=module.state_bucket"]
    terraform = bootstrap(stage)
    terraform.untaint("aws_s3_bucket.state")
    terraform.apply_directly([*variables(stage), *targets], lambda _: None)
    keep_record(stage)
    return True


def bootstrap(stage: Stage) -> Terraform:
    """Return terraform/bootstrap, made ready, with its record of what it has made in the stage."""
    record = _latest_record(stage)
    made = Terraform(stage, directory=TERRAFORM / "bootstrap", backend={"path": str(record)})
    made.init()
    return made


def variables(stage: Stage) -> list[str]:
    """Return bootstrap's arguments, those that the stage's own file gives."""
    named = {"prefix": value_of("prefix", stage.variables_file), "stage": stage.name, "region": stage.region}
    return [f"-var={name}={value}" for name, value in named.items()]


def keep_record(stage: Stage) -> None:
    """Keep bootstrap's state beside that of the stage: it was a file of this machine while there was no bucket."""
    stage.client("s3").upload_file(str(_record(stage)), name(stage), RECORD_KEY)


def made_more(stage: Stage) -> bool:
    """Whether bootstrap has made more than the bucket: the roles of a pipeline."""
    try:
        record = _latest_record(stage)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return True  # who asks is one of those roles: others may read what they may remove
        raise
    state = files.read_json(record) or {}
    return any(resource["type"] == "aws_iam_role" for resource in state.get("resources", []))


def _record(stage: Stage) -> Path:
    return stage.directory / "bootstrap.tfstate"


def _latest_record(stage: Stage) -> Path:
    """Return this machine's record, or the stored one where another machine has stored a later one."""
    record = _record(stage)
    record.parent.mkdir(parents=True, exist_ok=True)
    stored = record.with_suffix(".fetched")
    try:
        stage.client("s3").download_file(name(stage), RECORD_KEY, str(stored))
    except ClientError as error:
        stored.unlink(missing_ok=True)
        gone = error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        if not gone:  # but for no bucket yet, or one of an earlier version
            raise
        return record
    ours, theirs = files.read_json(record) or {}, files.read_json(stored) or {}
    if ours.get("lineage") == theirs.get("lineage") and ours.get("serial", 0) > theirs.get("serial", 0):
        stored.unlink()  # ours could not be stored yet
    else:
        stored.replace(record)
    return record


def exists(stage: Stage) -> bool:
    """Whether the bucket is there and finished: its policy is the last thing that bootstrap makes of it.

    Raises:
        KennelError: it belongs to somebody else.
    """
    try:
        s3 = stage.client("s3")
        s3.head_bucket(Bucket=name(stage))
        s3.get_bucket_policy(Bucket=name(stage))
        return bool(s3.get_bucket_versioning(Bucket=name(stage)).get("Status") == "Enabled")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # no bucket, or no policy
            return False
        if outage.is_passing(error):
            raise outage.told(error) from error
        raise KennelError(
            "The state bucket is yours to read and write.",
            f"{name(stage)}: {error.response['Error']['Code']}",
            "Use credentials of the account that owns it, or another prefix in the stage's tfvars.",
        ) from error
