"""Services acting in a role's name: what the role may not do, they do not do for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from moto.ec2.models import ec2_backends
from moto.s3.models import FakeBucket, FakeKey

from localcloud import authorization
from localcloud.authorization import Denied, Source, Unreachable
from localcloud.authorization.services import assumed


@dataclass(frozen=True)
class Actor:
    """What a service runs for a customer: a training job, the instances of an endpoint, a function."""

    role: str  # ARN
    account_id: str
    region: str
    service: str  # such as sagemaker.amazonaws.com
    arn: str = ""  # what the service uses the role for: aws:SourceArn
    subnets: tuple[str, ...] = ()  # of the VPC that it is attached to
    groups: tuple[str, ...] = ()

    @cached_property
    def source(self) -> Source | None:
        """Where its calls to S3, and what it runs itself, come from; None: not from a VPC of the customer's."""
        if not self.subnets:
            return None
        vpc = ec2_backends[self.account_id][self.region].get_subnet(self.subnets[0]).vpc_id
        return Source(vpc, self.subnets, self.service, self.region)

    @property
    def outside(self) -> Actor:
        """The same for what the service does before there is anything in the VPC."""
        return replace(self, subnets=(), groups=())

    @property
    def doer(self) -> str:
        """What the record of decisions calls it, such as "sagemaker training-job"."""
        kind = self.arn.split(":", 5)[5].partition("/")[0].partition(":")[0] if self.arn else ""
        return f"{self.service.partition('.')[0]} {kind}".strip()

    @property
    def _session(self) -> str:
        return "SageMaker" if self.service.startswith("sagemaker") else self.service.partition(".")[0]

    def assumable(self) -> bool:
        """Whether the role is there and lets the service in."""
        try:
            assumed(self.role, self.service, self._session, self.arn)
        except Denied:
            return False
        return True

    def credentials(self, session: str, seconds: int = 3600) -> dict[str, str]:
        """As environment variables. Raises Denied where the role does not let the service in."""
        return authorization.issue(
            self.role, self.service, session, source=self.source, seconds=seconds, source_arn=self.arn
        )

    def check(self, action: str, resource: str = "*", **context: str) -> None:
        """Raises Denied. `context`: condition keys, `__` for their colon. Only to S3 the way leads through the VPC."""
        keys = {name.replace("__", ":"): [value] for name, value in context.items()}
        source = self.source if action.startswith("s3:") else None
        try:
            authorization.check(
                self.role, action, resource, keys, source=source, session_name=self._session, by=self.doer
            )
        except Unreachable as error:
            raise Denied(str(error)) from error

    def may(self, action: str, resource: str = "*", **context: str) -> bool:
        try:
            self.check(action, resource, **context)
        except Denied:
            return False
        return True

    # S3, with the keys that objects are encrypted with

    def check_list(self, bucket: str, prefix: str) -> None:
        self.check("s3:ListBucket", f"arn:aws:s3:::{bucket}", s3__prefix=prefix)

    def check_read(self, key: FakeKey) -> None:
        self.check("s3:GetObject", f"arn:aws:s3:::{key.bucket_name}/{key.name}")
        if key.encryption == "aws:kms":
            self._check_key("kms:Decrypt", key.kms_key_id)

    def check_write(self, bucket: FakeBucket, name: str) -> None:
        self.check("s3:PutObject", f"arn:aws:s3:::{bucket.name}/{name}")
        key = encryption_key(bucket)
        if key is not None:
            self._check_key("kms:GenerateDataKey", key)

    def _check_key(self, action: str, key: str | None) -> None:
        """AWS's own key for S3 is every caller's of the account."""
        if key and ":key/" in key:
            self.check(action, key, kms__ViaService=f"s3.{key.split(':')[3]}.amazonaws.com")

    # The registry

    def check_pull(self, image: str) -> str | None:
        """The action of ECR that a pull fails at; None where it does not."""
        registry, _, path = image.partition("/")
        parts = registry.split(".")
        if parts[1:3] != ["dkr", "ecr"]:
            return None
        account, region = parts[0], parts[3]
        repository = path.partition("@")[0].partition(":")[0]
        arn = f"arn:aws:ecr:{region}:{account}:repository/{repository}"
        if not self.may("ecr:GetAuthorizationToken"):
            return "GetAuthorizationToken"
        pulling = ("BatchGetImage", "BatchCheckLayerAvailability", "GetDownloadUrlForLayer")
        return next((action for action in pulling if not self.may(f"ecr:{action}", arn)), None)


def encryption_key(bucket: FakeBucket) -> str | None:
    """The KMS key of a bucket's default encryption; None: S3's own."""
    rule: dict[str, Any] = (bucket.encryption or {}).get("Rule", {})
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    key = default.get("KMSMasterKeyID")
    return str(key) if default.get("SSEAlgorithm") == "aws:kms" and key else None
