"""A stage with everything that has a role: all optional parts, keys of KMS, and the photos in another account."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localcloud import control
from ml import artifact
from ops import artifacts
from ops.deploy import Deployment
from ops.paths import CLOUD, TERRAFORM
from ops.stage import Stage
from tests.clients import clients, person
from tests.ml.serving.conftest import write_run
from tests.ml.serving.samples import encode, photo

ACCOUNT = "123456789012"
OTHER = "210987654321"
PREFIX = "kennel-local"
PHOTOS = "their-photos"
FOLDER = "dogImages/"
QUEUE = "failed-calls"
_SPEED = 15.0  # of metrics, which an instance else says of itself every half minute
VARIABLES = """
stage = "local"
endpoint = {{
  image           = "{account}.dkr.ecr.us-east-1.amazonaws.com/kennel-serving:local"
  in_vpc          = true
  capture_percent = 100
  deployment      = {{ wait_seconds = 0, termination_wait_seconds = 0 }}
}}
autoscaling = null
training    = {{ image = "{account}.dkr.ecr.us-east-1.amazonaws.com/kennel-training:local" }}
lambda = {{
  in_vpc       = true
  tracing      = true
  asynchronous = {{ on_failure_arn = "{queue}", retries = 0 }}
}}
training_instance = {{}}
notebook          = {{ idle_stop_minutes = 60 }}
network = {{
  interface_endpoints       = ["ecr.api", "ecr.dkr", "logs", "sagemaker.api", "sagemaker.runtime", "ssm", "ssmmessages"]
  amazon_linux_repositories = true
  flow_logs                 = true
}}
artifacts = {{
  force_destroy   = true
  lifecycle_rules = false
  kms_key_arn     = "{key}"
}}
data_bucket = {{
  mode        = "external"
  name        = "{photos}"
  account_id  = "{other}"
  key_prefix  = "{folder}"
  kms_key_arn = "{their_key}"
}}
"""


class World:
    """The stage `local` of the project that this process runs in."""

    def __init__(self, cloud: control.CloudInfo) -> None:
        self.cloud = cloud
        self.client = clients(cloud)
        self.person = person(cloud, self.client)
        self.theirs = clients(cloud, key=f"local-{OTHER}")
        self.stage = Stage.of("local")
        self.outputs: dict[str, Any] = {}
        self.notebook: Callable[[str], Any] | None = None  # as a person in it
        self.planner: Stage | None = None  # as a pipeline sees it
        self.reader: Callable[[str], Any] | None = None  # the same as clients
        self.statements: dict[str, dict[str, dict[str, Any]]] = {}  # by policy and name, while none is out

    @classmethod
    def found(cls) -> World:
        """One that is there already."""
        cloud = control.status(CLOUD)
        assert cloud is not None
        world = cls(cloud)
        deployment = Deployment(world.stage, print)
        world.outputs = deployment.terraform.outputs()
        world.let_in()
        return world

    @classmethod
    def deployed(cls, work: Path) -> World:
        stage = Stage.of("local")
        cloud = stage.start(_SPEED)
        assert cloud is not None
        world = cls(cloud)
        world._deploy(work)
        return world

    def _deploy(self, work: Path) -> None:
        self.client("sqs").create_queue(QueueName=QUEUE)
        key = self.client("kms").create_key()["KeyMetadata"]["Arn"]
        their_key = self.theirs("kms").create_key()["KeyMetadata"]["Arn"]
        self._upload(their_key)
        text = VARIABLES.format(
            account=ACCOUNT, other=OTHER, key=key, their_key=their_key, photos=PHOTOS, folder=FOLDER,
            queue=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{QUEUE}",
        )  # fmt: skip
        (TERRAFORM / "stages" / "local.tfvars").write_text(text)
        work.mkdir(parents=True)
        write_run(work / "run")
        archive, _ = artifact.build(work / "run")
        packed = work / "model.tar.gz"
        shutil.copy(archive, packed)
        with artifact.unpacked(archive) as folder:
            sha256 = artifact.repack(folder, packed)
        artifacts.release(self.stage, packed, sha256, {"accuracy": 0.9})
        deployment = Deployment(self.stage, print)
        deployment.prepare()
        deployment.apply(deployment.plan(force=True), [])
        self.outputs = deployment.terraform.outputs()
        self._leave()
        self.let_in()

    def _leave(self) -> None:
        """What people and earlier jobs have left in the artifact bucket."""
        for key in ("training/photos/1.png", "wheelhouse/kennel-1.0.whl"):
            self.client("s3").put_object(
                Bucket=self.outputs["artifact_bucket"], Key=key, Body=encode(photo())
            )

    def scratch(self, below: str) -> str:
        return f"{self.outputs['artifact_locations']['scratch']}{below}"

    def decisions(self, *, clear: bool = False) -> list[dict[str, Any]]:
        return control.decisions(CLOUD, clear=clear)

    def assume(self, actor: str) -> dict[str, str]:
        """Credentials of the actor's role for this process, which its trust policy is opened for and shut again."""
        iam, role = self.client("iam"), self.outputs["roles"][actor]
        before = iam.get_role(RoleName=role["name"])["Role"]["AssumeRolePolicyDocument"]
        root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        mine = {"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole"}
        opened = {**before, "Statement": [*before["Statement"], mine]}
        iam.update_assume_role_policy(RoleName=role["name"], PolicyDocument=json.dumps(opened))
        try:
            answer = self.person("sts").assume_role(RoleArn=role["arn"], RoleSessionName="person")[
                "Credentials"
            ]
        finally:
            iam.update_assume_role_policy(RoleName=role["name"], PolicyDocument=json.dumps(before))
        names = {"key": "AccessKeyId", "secret": "SecretAccessKey", "token": "SessionToken"}
        return {name: answer[field] for name, field in names.items()}

    def _upload(self, key: str) -> None:
        s3 = self.theirs("s3")
        s3.create_bucket(Bucket=PHOTOS)
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        s3.put_bucket_encryption(
            Bucket=PHOTOS,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
        )
        for place in ("cat", "dog"):
            s3.put_object(Bucket=PHOTOS, Key=f"{FOLDER}train/{place}/1.png", Body=encode(photo()))
        s3.put_object(Bucket=PHOTOS, Key="private/1.png", Body=b"not for them")

    def let_in(self) -> None:
        """What the owners of the photos do: Terraform's outputs into the policies of their bucket and key."""
        self.bucket_policy = json.loads(self.outputs["data_bucket_policy"])
        self.theirs("s3").put_bucket_policy(Bucket=PHOTOS, Policy=json.dumps(self.bucket_policy))
        kms = self.theirs("kms")
        self.key_id = kms.list_keys()["Keys"][0]["KeyId"]
        own = json.loads(kms.get_key_policy(KeyId=self.key_id, PolicyName="default")["Policy"])
        more = json.loads(self.outputs["data_key_policy"])
        self.key_policy = {**own, "Statement": [*own["Statement"][:1], *more["Statement"]]}
        kms.put_key_policy(KeyId=self.key_id, PolicyName="default", Policy=json.dumps(self.key_policy))
