"""The bucket with a stage's Terraform state: made by terraform/bootstrap when it is not there."""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops.declared import value_of
from ops.paths import TERRAFORM
from ops.stage import Stage
from ops.terraform import Terraform

KEY = "kennel/terraform.tfstate"


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
    local_state: Mapping[str, str] = {"path": str(stage.directory / "bootstrap.tfstate")}
    bootstrap = Terraform(stage, directory=TERRAFORM / "bootstrap", backend=local_state)
    bootstrap.init()
    variables = {
        "prefix": str(value_of("prefix", stage.variables_file)), "stage": stage.name, "region": stage.region,
    }  # fmt: skip
    bootstrap.apply_directly([f"-var={key}={value}" for key, value in variables.items()], lambda _: None)
    return True


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
        raise KennelError(
            "The state bucket is yours to read and write.",
            f"{name(stage)}: {error.response['Error']['Code']}",
            "Use credentials of the account that owns it, or another prefix in the stage's tfvars.",
        ) from error
