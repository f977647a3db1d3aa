"""Changes of a deployed stage: what of each a reviewer has to agree to, and words that its review must hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ops.review.facts import Account, Quota
from tests.ops.review.corpus import AMPLE, ENCRYPTED, FIXED, KEYS, REGISTRY, Case, Clients, model


def override(module: str, text: str) -> dict[str, str]:
    """Return a file that overrides what is in the module; "." is the root."""
    return {f"{module}/case_override.tf": text}


def besides(module: str, text: str) -> dict[str, str]:
    """Return a file beside those of the module."""
    return {f"{module}/case.tf": text}


def role_may(action: str, resource: str) -> dict[str, str]:
    """Return a policy more for the function's role."""
    return besides(
        "modules/iam",
        f"""
        resource "aws_iam_role_policy" "more" {{
          name   = "more"
          role   = aws_iam_role.actor["lambda"].name
          policy = jsonencode({{
            Version   = "2012-10-17"
            Statement = [{{ Effect = "Allow", Action = "{action}", Resource = "{resource}" }}]
          }})
        }}
        """,
    )


def with_own_policy(clients: Clients) -> Callable[[], Any]:
    """Give the function's role a policy by hand."""
    iam, names = clients("iam"), {"RoleName": "kennel-local-lambda", "PolicyName": "by-hand"}
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    iam.put_role_policy(**names, PolicyDocument=_document(statement))
    return lambda: iam.delete_role_policy(**names)


def with_shorter_retention(clients: Clients) -> Callable[[], Any]:
    logs, group = clients("logs"), "/aws/lambda/kennel-local-classify"
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    return lambda: logs.put_retention_policy(logGroupName=group, retentionInDays=30)


def with_a_model_of_that_name(clients: Clients) -> Callable[[], Any]:
    sagemaker = clients("sagemaker")
    sagemaker.create_model(
        ModelName="kennel-local-champion",
        ExecutionRoleArn="arn:aws:iam::123456789012:role/kennel-local-endpoint",
        PrimaryContainer={"Image": f"{REGISTRY}/fake:1"},
    )
    return lambda: sagemaker.delete_model(ModelName="kennel-local-champion")


def _document(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def rules(*names: str) -> frozenset[str]:
    return frozenset(names)


DANGEROUS = [
    Case(
        "an update forgets the instances that were scaled out",
        words=("3 instances serve now", "starts with 1"),
        dangers=rules("count-reset"),
        base=FIXED,
        set={"model": model("b")},
        live=3,
    ),
    Case(
        "another instance type for an endpoint that scales",
        words=("ml.m5.xlarge", "nothing scales meanwhile"),
        dangers=rules("scaled-type-changed"),
        set={"endpoint": {"instance_type": "ml.m5.xlarge"}},
    ),
    Case(
        "the endpoint gets another name",
        words=("renamed from fixed-local to classifier",),
        dangers=rules("endpoint-replaced", "logs-destroyed"),
        base=FIXED,
        files=override(".", 'locals {\n  endpoint_name = "classifier"\n}\n'),
    ),
    Case(
        "the model is taken away and the endpoint with it",
        words=("endpoint fixed-local is destroyed", "Nobody is answered"),
        dangers=rules("endpoint-destroyed", "logs-destroyed"),
        base=FIXED,
        set={"model": None},
    ),
    Case(
        "the model gets a name that is taken",
        words=("kennel-local-champion is taken",),
        dangers=rules("name-reused"),
        set={"model": model("b")},
        files=override(
            "modules/endpoint",
            'resource "aws_sagemaker_model" "this" {\n  name = "kennel-local-champion"\n}\n',
        ),
        outside=with_a_model_of_that_name,
    ),
    Case(
        "the configuration goes before the endpoint has moved",
        words=("goes while the endpoint still uses it",),
        dangers=rules("in-use-goes-first"),
        set={"model": model("b")},
        files=override(
            "modules/endpoint",
            """
            resource "aws_sagemaker_endpoint_configuration" "this" {
              lifecycle {
                create_before_destroy = false
              }
            }
            """,
        ),
    ),
    Case(
        "the quota has no room for the new fleet beside the old",
        words=("more than the quota of 3",),
        dangers=rules("quota-short"),
        set={"model": model("b")},
        account=Account({"ml.m5.large for endpoint usage": Quota(3, 2)}),
    ),
    Case(
        "the function reserves what others need",
        words=("120 are unreserved", "100"),
        dangers=rules("concurrency-short"),
        set={"lambda": {"reserved_concurrency": 100}},
        account=Account(AMPLE.quotas, concurrency=170, unreserved=120, reserved_here=50),
    ),
    Case(
        "the function is switched off",
        words=("may run 0 times at once",),
        dangers=rules("concurrency-zero"),
        files=override(
            "modules/lambda",
            'resource "aws_lambda_function" "this" {\n  reserved_concurrent_executions = 0\n}\n',
        ),
    ),
    Case(
        "the function's URL asks nobody who they are",
        words=("anybody may now also call",),
        dangers=rules("rights-public"),
        files=override(
            "modules/lambda",
            'resource "aws_lambda_function_url" "live" {\n  authorization_type = "NONE"\n}\n',
        ),
    ),
    Case(
        "the alias that callers use is renamed",
        words=("alias live is replaced",),
        dangers=rules("callers-cut-off"),
        base=FIXED,
        files=override(".", 'locals {\n  alias_name = "current"\n}\n'),
    ),
    Case(
        "the artifact bucket is renamed",
        words=("fixed-local-artifacts-123456789012 is replaced by an empty one",),
        dangers=rules("bucket-destroyed"),
        base=FIXED,
        files=override(
            "modules/storage", 'resource "aws_s3_bucket" "artifacts" {\n  bucket = "fixed-local-renamed"\n}\n'
        ),
    ),
    Case(
        "the artifact bucket may be destroyed while full, shows itself, and forgets versions",
        words=("destroyed while full", "restrict_public_buckets", "Suspended"),
        dangers=rules("force-destroy-on", "public-access-allowed", "versioning-off"),
        set={"artifacts": {"force_destroy": True}},
        files=override(
            "modules/private_bucket",
            """
            resource "aws_s3_bucket_public_access_block" "this" {
              block_public_policy     = false
              restrict_public_buckets = false
            }
            resource "aws_s3_bucket_versioning" "this" {
              versioning_configuration {
                status = "Suspended"
              }
            }
            """,
        ),
    ),
    Case(
        "the bucket takes requests without TLS",
        words=("no longer refuses requests without TLS",),
        dangers=rules("tls-not-required"),
        files=override(
            "modules/private_bucket",
            """
            data "aws_iam_policy_document" "this" {
              statement {
                sid       = "DenyOldTLS"
                effect    = "Deny"
                actions   = ["s3:*"]
                resources = [var.bucket.arn, "${var.bucket.arn}/*"]
                principals {
                  type        = "*"
                  identifiers = ["*"]
                }
                condition {
                  test     = "NumericLessThan"
                  variable = "s3:TlsVersion"
                  values   = ["1.2"]
                }
              }
            }
            """,
        ),
    ),
    Case(
        "archives get another key, and roles lose the old one",
        words=("holds objects encrypted with the key",),
        dangers=rules("key-changed"),
        files={"keys_override.tf": ENCRYPTED.format(key="other")},
    ),
    Case(
        "a key is scheduled for deletion",
        words=("scheduled for deletion",),
        dangers=rules("key-destroyed"),
        files={"keys.tf": KEYS},
    ),
    Case(
        "a key is forgotten, not destroyed",
        words=("Terraform forgets it",),
        dangers=rules("forgotten"),
        files={
            "keys.tf": KEYS
            + "removed {\n  from = aws_kms_key.spare\n  lifecycle {\n    destroy = false\n  }\n}\n"
        },
    ),
    Case(
        "logs are kept for a week only",
        words=("kept for 7 days; now for 30 days",),
        dangers=rules("retention-shortened"),
        set={"lambda": {"log_retention_days": 7}},
    ),
    Case(
        "old versions of archives expire sooner",
        words=("deleted after 1 days; now after 30",),
        dangers=rules("objects-expire-sooner"),
        set={"artifacts": {"noncurrent_days": 1}},
    ),
    Case(
        "the archive that serves is not kept",
        words=("serves on until the update has ended",),
        dangers=rules("archive-in-use-destroyed"),
        set={"model": model("b"), "retained_models": []},
    ),
    Case(
        "the training instance gets another Python",
        words=("with its disk",),
        dangers=rules("training-disk-lost"),
        set={"training_instance": {"python": "3.13"}},
    ),
    Case(
        "the network gets other addresses under what runs in it",
        words=("is replaced under",),
        dangers=rules("network-replaced", "training-disk-lost", "notebook-lost"),
        set={"network": {"cidr": "10.99.0.0/16"}},
    ),
    Case(
        "the network opens to the internet",
        words=("gets a public address", "way out to the internet"),
        dangers=rules("public-addresses", "rights-wildcard", "training-disk-lost"),
        set={"network": {"internet": "public"}},
    ),
    Case(
        "ssh is open to everybody",
        words=("Port 22 is open to every address",),
        dangers=rules("network-opened"),
        files=besides(
            "modules/network",
            """
            resource "aws_vpc_security_group_ingress_rule" "ssh" {
              security_group_id = aws_security_group.workload.id
              ip_protocol       = "tcp"
              from_port         = 22
              to_port           = 22
              cidr_ipv4         = "0.0.0.0/0"
            }
            """,
        ),
    ),
    Case(
        "the instance gives its credentials to whoever asks",
        words=("without a token",),
        dangers=rules("metadata-v1"),
        files=override(
            "modules/training_instance",
            """
            resource "aws_instance" "this" {
              metadata_options {
                http_endpoint = "enabled"
                http_tokens   = "optional"
              }
            }
            """,
        ),
    ),
    Case(
        "the roles lose their boundary",
        words=("not be held within the policy PowerUserAccess any more",),
        dangers=rules("boundary-removed"),
        set={"permissions_boundary_arn": None},
    ),
    Case(
        "the function's role may do everything in S3",
        words=("the role kennel-local-lambda", "do everything in s3"),
        dangers=rules("rights-everything"),
        files=role_may("s3:*", "*"),
    ),
    Case(
        "the function's role may hand over any role",
        words=("hand over (iam:PassRole)",),
        dangers=rules("rights-escalation"),
        files=role_may("iam:PassRole", "*"),
    ),
    Case(
        "the endpoint may read the whole bucket",
        words=("everything in the bucket kennel-local-artifacts-123456789012", "not only everything below"),
        dangers=rules("rights-wildcard"),
        files={
            **override(".", 'module "iam" {\n  artifacts = merge(local.more, { models_prefix = "" })\n}\n'),
            "case.tf": """
            locals {
              more = {
                bucket_arn        = module.storage.artifact_bucket.arn
                kms_key_arn       = module.storage.artifact_bucket.kms_key_arn
                captures_prefix   = module.storage.folders.captures.prefix
                scratch_prefix    = module.storage.folders.scratch.prefix
                wheelhouse_prefix = module.storage.folders.wheelhouse.prefix
              }
            }
            """,
        },
    ),
    Case(
        "another account may call the function",
        words=("999988887777", "call (lambda:InvokeFunction)"),
        dangers=rules("rights-other-account"),
        files=besides(
            "modules/lambda",
            """
            resource "aws_lambda_permission" "partner" {
              function_name = aws_lambda_function.this.function_name
              action        = "lambda:InvokeFunction"
              principal     = "999988887777"
            }
            """,
        ),
    ),
    Case(
        "the roles' trust loses its conditions",
        words=("aws:SourceAccount",),
        dangers=rules("rights-condition-removed"),
        files=override(
            "modules/iam",
            """
            data "aws_iam_policy_document" "trust" {
              statement {
                sid     = "LetTheServiceIn"
                actions = ["sts:AssumeRole"]
                principals {
                  type        = "Service"
                  identifiers = ["${each.value.service}.amazonaws.com"]
                }
              }
            }
            """,
        ),
    ),
    Case(
        "an update that no alarm undoes",
        words=("nothing undoes an update any more",),
        dangers=rules("rollback-alarms-removed"),
        set={"model": model("b"), "endpoint": {"deployment": {"rollback_on_alarms": False}}},
    ),
    Case(
        "scaling is taken away",
        words=("Nothing scales endpoint/kennel-local/variant/primary any more",),
        dangers=rules("scaling-removed"),
        set={"autoscaling": None},
    ),
    Case(
        "scaling may not keep the instances that serve",
        words=("4 instances serve now; at most 3 may",),
        dangers=rules("max-below-live"),
        set={"autoscaling": {"max_instances": 3}},
        live=4,
    ),
    Case(
        "scaling may run up ten times the bill",
        words=("At most 40 instances instead of 4",),
        dangers=rules("max-leaps"),
        set={"autoscaling": {"max_instances": 40}},
    ),
    Case(
        "a worse model",
        words=("falls from 91.0% to 84.0%",),
        dangers=rules("model-worse"),
        base=FIXED,
        set={"model": model("b", accuracy=0.84)},
    ),
    Case(
        "what is swept up is not found any more",
        words=("kennel:stage of this and of",),
        dangers=rules("stage-tag-changed"),
        base=FIXED,
        files=override(".", 'locals {\n  tags = { "kennel:stage" = "mine" }\n}\n'),
    ),
    Case(
        "everything is destroyed",
        words=("resources are destroyed, among them the endpoint fixed-local",),
        dangers=rules("everything-destroyed"),
        base=FIXED,
        arguments=("-destroy",),
    ),
]

HARMLESS = [
    Case("a first deployment", words=("create",), set={"prefix": "fresh"}, first=True),
    Case("a better model", words=("model-a", "model-b", "93.0%"), set={"model": model("b", accuracy=0.93)}),
    Case(
        "a better model where nothing scales",
        words=("model-b",),
        base=FIXED,
        set={"model": model("b", accuracy=0.93)},
    ),
    Case(
        "a better model while four instances serve",
        words=("4",),
        set={"model": model("b", accuracy=0.93)},
        live=4,
    ),
    Case(
        "another way of moving traffic",
        words=("50",),
        set={
            "model": model("b"),
            "endpoint": {"deployment": {"routing": "CANARY", "canary_percent": 50, "wait_seconds": 60}},
        },
    ),
    Case(
        "another instance type where nothing scales",
        words=("ml.c5.large",),
        base=FIXED,
        set={"endpoint": {"instance_type": "ml.c5.large"}},
    ),
    Case("one more instance", words=("2",), base=FIXED, set={"endpoint": {"instance_count": 2}}),
    Case(
        "a setting more for the container",
        words=("LOG_STYLE",),
        base=FIXED,
        set={"endpoint": {"environment": {"LOG_STYLE": "json"}}},
    ),
    Case(
        "another image by digest",
        words=("image",),
        base=FIXED,
        set={"endpoint": {"image": f"{REGISTRY}/fake@sha256:{'1' * 64}"}},
    ),
    Case(
        "scaling where there was none", words=("scal",), base=FIXED, set={"autoscaling": {"max_instances": 3}}
    ),
    Case("another scaling target", words=("200", "4 min"), set={"autoscaling": {"target": 200}}),
    Case("a higher scaling limit", words=("6",), set={"autoscaling": {"max_instances": 6}}),
    Case(
        "a schedule for the morning",
        words=("morning",),
        set={
            "autoscaling": {
                "scheduled": {"morning": {"schedule": "cron(0 8 ? * MON-FRI *)", "min_instances": 3}}
            }
        },
    ),
    Case("a tag more", words=("tag",), set={"tags": {"team": "vision"}}),
    Case("logs that are kept longer", words=("90",), set={"lambda": {"log_retention_days": 90}}),
    Case(
        "somebody more who hears of alarms",
        words=("subscription",),
        set={"observability": {"notifications": {"emails": ["ops@example.com", "me@example.com"]}}},
    ),
    Case(
        "an alarm more", words=("memory",), set={"observability": {"endpoint_alarms": {"memory_percent": 85}}}
    ),
    Case(
        "a stricter alarm",
        words=("threshold",),
        set={"observability": {"endpoint_alarms": {"server_errors": 3}}},
    ),
    Case("more memory for the function", words=("1024",), set={"lambda": {"memory_mb": 1024}}),
    Case("traces of the function", words=("xray",), set={"lambda": {"tracing": True}}),
    Case("warm starts", words=("provisioned",), set={"lambda": {"provisioned_concurrency": 2}}),
    Case("requests are recorded", words=("10 % of the requests",), set={"endpoint": {"capture_percent": 10}}),
    Case("a repository for images", words=("serving",), set={"image_repositories": ["serving"]}),
    Case(
        "a larger training instance",
        words=("m5.xlarge",),
        set={"training_instance": {"instance_type": "m5.xlarge"}},
    ),
    Case("a larger disk for the notebook", words=("20",), set={"notebook": {"volume_gb": 20}}),
    Case(
        "photos in another account's bucket",
        words=("read", "photos-of-partner"),
        set={"data_bucket": {"mode": "external", "name": "photos-of-partner", "account_id": "210987654321"}},
    ),
    Case(
        "a retention changed by hand is put back",
        words=("retention 30 → 7", "puts it back"),
        outside=with_shorter_retention,
    ),
    Case(
        "a policy added by hand is told",
        words=("by-hand",),
        set={"tags": {"team": "vision"}},
        outside=with_own_policy,
    ),
]
