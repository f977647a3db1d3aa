"""A stage: a tfvars file, the model that goes with it, and the environment that its programs run in.

This is the one place that knows of the embedded cloud's existence. Everything else sees a stage's environment:
Terraform, boto3 and the functions all honour AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud import control
from ml.errors import KennelError
from ops import files, outage
from ops.declared import value_of
from ops.jobs.entrypoint import ENTRYPOINT
from ops.paths import CLOUD, TERRAFORM, WORK
from ops.settings import Settings

if TYPE_CHECKING:
    import boto3

LOCAL = "local"
CAPACITY_FILE = "capacity.json"  # in the directory of a stage: what `load --capacity` measured
_MAKING = threading.Lock()  # boto3 makes sessions and clients in one thread at a time


@dataclass(frozen=True)
class Credentials:
    """Those of a role's session, for when a stage is worked on in its name."""

    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    session_token: str = dataclasses.field(repr=False)

    @property
    def variables(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }


@dataclass(frozen=True)
class Stage:
    """One deployment of the whole: `local` on the embedded cloud, `dev` and `prod` in an AWS account."""

    name: str
    settings: Settings
    credentials: Credentials | None = None  # in place of the person's own

    @classmethod
    def of(cls, name: str | None) -> Stage:
        """Return the named stage, or the one that the environment chooses."""
        settings = Settings.read(stage=name)
        return cls(settings.stage, settings)

    def seen_by(self, credentials: Credentials) -> Stage:
        """Return the stage as a role's session sees it."""
        return dataclasses.replace(self, credentials=credentials)

    @property
    def directory(self) -> Path:
        """Terraform's data, saved plans and journals of this stage."""
        return WORK / "stages" / self.name

    @property
    def variables_file(self) -> Path:
        return TERRAFORM / "stages" / f"{self.name}.tfvars"

    @property
    def model_file(self) -> Path:
        """What `train` leaves for Terraform: the variable `model`."""
        return TERRAFORM / "stages" / f"{self.name}.model.tfvars.json"

    @property
    def region(self) -> str:
        """The region that Terraform works in; everything else follows it."""
        return str(value_of("region", self.variables_file))

    @property
    def is_running(self) -> bool:
        """Whether there is a cloud to talk to; always true of AWS."""
        return self.name != LOCAL or control.status(CLOUD) is not None

    def start(self, scaling_speed: float | None = None) -> control.CloudInfo | None:
        """Start the embedded cloud where the stage needs it and it is not running.

        Raises:
            CloudError: it runs at another speed.
        """
        if self.name != LOCAL:
            return None
        images = CLOUD / "images.json"
        files.write_json(images, local_images())
        return control.start(
            CLOUD, images=images, lifetime=self.settings.cloud_lifetime, scaling_speed=scaling_speed
        )

    @property
    def identity(self) -> str:
        """Tells this stage's cloud from another: the account, or the embedded cloud's process."""
        if self.name == LOCAL:
            cloud = control.status(CLOUD)
            return f"embedded cloud {cloud.pid} at {cloud.endpoint_url}" if cloud else "none"
        return f"account {self.account_id}"

    @cached_property
    def account_id(self) -> str:
        """The account that the credentials belong to.

        Raises:
            KennelError: there are no credentials, or AWS refuses them.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except (BotoCoreError, ClientError) as error:
            if outage.is_passing(error):
                raise outage.told(error) from error
            raise KennelError(
                f"The stage {self.name} needs AWS credentials that are accepted.",
                error,
                "Sign in (aws sso login, or AWS_PROFILE), or work on --stage local.",
            ) from error

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment for every program of this stage.

        Raises:
            KennelError: the stage is `local` and the embedded cloud is not running.
        """
        own = self.credentials.variables if self.credentials else {}
        if self.name != LOCAL:
            if os.environ.get("AWS_ENDPOINT_URL"):
                raise KennelError(
                    f"The stage {self.name} is an AWS account, and AWS_ENDPOINT_URL leads elsewhere.",
                    os.environ["AWS_ENDPOINT_URL"],
                    "unset AWS_ENDPOINT_URL, or work on --stage local.",
                )
            return os.environ | {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region} | own
        cloud = control.status(CLOUD)
        if cloud is None:
            raise KennelError(
                "The embedded cloud is not running.", None, "./inv cloud.start, or ./inv up for everything."
            )
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return inherited | cloud_variables(cloud) | own

    @cached_property
    def session(self) -> boto3.Session:
        """A boto3 session that talks to this stage's cloud."""
        import boto3  # here, since most tasks need no AWS at all and its import takes a while

        if self.name != LOCAL and self.credentials is None:
            return boto3.Session(region_name=self.region)
        env = self.environment
        return boto3.Session(
            env["AWS_ACCESS_KEY_ID"],
            env["AWS_SECRET_ACCESS_KEY"],
            env.get("AWS_SESSION_TOKEN"),
            region_name=self.region,
        )

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client for the service in this stage's cloud; `options` are boto3's."""
        from ml import aws  # as above

        with _MAKING:
            endpoint = self.environment.get("AWS_ENDPOINT_URL")
            return aws.client(service, self.session, endpoint_url=endpoint, **options)


def cloud_variables(cloud: control.CloudInfo) -> dict[str, str]:
    """What `./inv cloud.env` prints: enough for Terraform, boto3, the AWS CLI and the SageMaker SDK."""
    return {
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": cloud.region,
        "AWS_DEFAULT_REGION": cloud.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def local_images() -> dict[str, dict[str, Any]]:
    """The container images that the embedded cloud knows: what `docker run IMAGE serve|train` would start."""
    return {
        "kennel-serving": {
            "serve": [sys.executable, "-m", "serving"],
            "env": {"KENNEL_HOST": "127.0.0.1"},
        },
        "kennel-training": {  # jobs bring the code along
            "train": ENTRYPOINT,
            "python": sys.executable,
        },
    }
