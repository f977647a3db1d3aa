"""Changes that need an approval, with the rules that say so and words that their reviews must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ops.review.facts import Account, Quota
from tests.ops.review.corpus_bases import (
    AMPLE,
    ENCRYPTED,
    FIXED,
    KEYS,
    REGISTRY,
    Case,
    Clients,
    besides,
    model,
    override,
)


def role_may(action: str, resource: str, actor: str) -> dict[str, str]:
    """Return a policy more for an actor's role."""
    return besides(
        "modules/iam",
        f"""
        resource "aws_iam_role_policy" "more" {{
          name   = "more"
          role   = aws_iam_role.actor["{actor}"].name
          policy = jsonencode({{
            Version   = "2012-10-17"
            Statement = [{{ Effect = "Allow", Action = "{action}", Resource = "{resource}" }}]
          }})
        }}
        """,
    )


def with_a_model_of_that_name(clients: Clients) -> Callable[[], Any]:
    sagemaker = clients("sagemaker")
    sagemaker.create_model(
        ModelName="kennel-local-champion",
        ExecutionRoleArn="arn:aws:iam::123456789012:role/kennel-local-endpoint",
        PrimaryContainer={"Image": f"{REGISTRY}/fake:1"},
    )
    return lambda: sagemaker.delete_model(ModelName="kennel-local-champion")


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
        "the function's URL asks nobody who they are",
        words=("Anybody may now also call",),
        dangers=rules("rights-public"),
        files=override(
            "modules/lambda",
            'resource "aws_lambda_function_url" "live" {\n  authorization_type = "NONE"\n}\n',
        ),
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
        "the artifact bucket is guarded less in every way",
        words=("destroyed while full", "restrict_public_buckets", "Suspended", "after 1 day instead of 30"),
        dangers=rules("force-destroy-on", "public-access-allowed", "versioning-off", "objects-expire-sooner"),
        set={"artifacts": {"force_destroy": True, "noncurrent_days": 1}},
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
        "archives get another key, roles lose the old one, and a third goes",
        words=("holds objects encrypted with the key", "scheduled for deletion"),
        dangers=rules("key-changed", "key-destroyed"),
        files={"keys.tf": KEYS, "keys_override.tf": ENCRYPTED.format(key="other")},
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
        words=("kept for 7 days instead of 30 days",),
        dangers=rules("retention-shortened"),
        set={"lambda": {"log_retention_days": 7}},
    ),
    Case(
        "the network gets other addresses under what runs in it",
        words=("are replaced under the notebook",),
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
        "the training instance can be reached by everybody, and tells its credentials",
        words=("Port 22 is open to every address", "without a token"),
        dangers=rules("network-opened", "metadata-v1"),
        files={
            **besides(
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
            **override(
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
        },
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
        files=role_may("s3:*", "*", "lambda"),
    ),
    Case(
        "the endpoint may read the whole bucket",
        words=("everything in the bucket kennel-local-artifacts-123456789012", "not only everything below"),
        dangers=rules("rights-wildcard"),
        files=role_may("s3:GetObject", "${var.artifacts.bucket_arn}/*", "endpoint"),
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
        dangers=rules(
            "rollback-alarms-removed", "endpoint-replaced"
        ),  # the provider cannot take them away in place
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
