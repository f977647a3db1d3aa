"""Changes that need no approval, with words that their reviews must hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.ops.review.corpus_bases import FIXED, REGISTRY, Case, Clients, model


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


def _document(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


HARMLESS = [
    Case("a first deployment", words=("create",), set={"prefix": "fresh"}, first=True),
    Case("a better model", words=("model-a", "model-b", "93.0%"), set={"model": model("b", accuracy=0.93)}),
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
    Case("another scaling target", words=("200", "about 10 min"), set={"autoscaling": {"target": 200}}),
    Case(
        "a schedule for the morning",
        words=("morning",),
        set={
            "autoscaling": {
                "scheduled": {"morning": {"schedule": "cron(0 8 ? * MON-FRI *)", "min_instances": 3}}
            }
        },
    ),
    Case(
        "a tag more",
        words=("tag",),
        not_said=("Who may do what", "WARNING"),
        set={"tags": {"team": "vision"}},
    ),
    Case("logs that are kept longer", words=("90",), set={"lambda": {"log_retention_days": 90}}),
    Case(
        "somebody more who hears of alarms",
        words=("subscription",),
        set={"observability": {"notifications": {"emails": ["ops@example.com", "me@example.com"]}}},
    ),
    Case(
        "a stricter alarm",
        words=("threshold",),
        set={"observability": {"endpoint_alarms": {"server_errors": 3}}},
    ),
    Case("traces of the function", words=("xray",), set={"lambda": {"tracing": True}}),
    Case("warm starts", words=("provisioned",), set={"lambda": {"provisioned_concurrency": 2}}),
    Case("requests are recorded", words=("10 % of the requests",), set={"endpoint": {"capture_percent": 10}}),
    Case(
        "a larger training instance",
        words=("m5.xlarge",),
        set={"training_instance": {"instance_type": "m5.xlarge"}},
    ),
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
