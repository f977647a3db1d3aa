"""What runs may be made of: tasks, the states that they find, the calls that they make, the faults that these meet."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from typing import Any

NOTHING, DEPLOYED, NEW_MODEL, FAILED_APPLY = "nothing", "deployed", "new model", "failed apply"
STATES = (NOTHING, DEPLOYED, NEW_MODEL, FAILED_APPLY)

Call = tuple[str, str]

_STATE_CALLS: list[Call] = [
    ("sts", "GetCallerIdentity"), ("s3", "HeadBucket"), ("s3", "GetBucketPolicy"), ("s3", "GetBucketVersioning"),
    ("s3", "GetObject"), ("s3", "HeadObject"), ("s3", "ListObjectsV2"),
]  # fmt: skip
_WITHOUT_STATE = {
    ("sts", "GetCallerIdentity"), ("s3", "HeadBucket"), ("sagemaker", "ListTrainingJobs"),
    ("sagemaker", "ListTransformJobs"), ("sagemaker", "ListHyperParameterTuningJobs"), ("s3", "PutObject"),
    ("lambda", "GetAccountSettings"), ("s3", "GetBucketPolicy"), ("s3", "GetObject"),
}  # fmt: skip
_REFRESH: list[Call] = [
    ("s3", "GetObjectTagging"), ("s3", "GetBucketEncryption"), ("ec2", "DescribeVpcs"),
    ("ec2", "DescribeSubnets"), ("ec2", "DescribeSecurityGroups"), ("ec2", "DescribeVpcEndpoints"),
    ("ec2", "DescribeInstances"), ("iam", "GetRole"), ("iam", "GetRolePolicy"), ("lambda", "GetFunction"),
    ("lambda", "GetAlias"), ("sagemaker", "DescribeModel"), ("sagemaker", "DescribeEndpoint"),
    ("sagemaker", "DescribeEndpointConfig"), ("sagemaker", "ListTags"), ("cloudwatch", "DescribeAlarms"),
    ("logs", "DescribeLogGroups"), ("application-autoscaling", "DescribeScalableTargets"),
]  # fmt: skip
_PLAN = [*_STATE_CALLS, *_REFRESH, ("s3", "PutObject"), ("s3", "DeleteObject")]
_CREATE: list[Call] = [
    ("s3", "CreateBucket"), ("s3", "PutBucketPolicy"), ("s3", "PutObject"), ("ec2", "CreateVpc"),
    ("ec2", "CreateSubnet"), ("ec2", "CreateSecurityGroup"), ("ec2", "CreateVpcEndpoint"), ("ec2", "CreateRouteTable"),
    ("ec2", "RunInstances"), ("iam", "CreateRole"), ("iam", "PutRolePolicy"), ("iam", "CreateInstanceProfile"),
    ("lambda", "CreateFunction"), ("lambda", "PublishVersion"), ("lambda", "CreateAlias"),
    ("lambda", "PutFunctionConcurrency"), ("logs", "CreateLogGroup"), ("cloudwatch", "PutMetricAlarm"),
    ("sagemaker", "CreateModel"), ("sagemaker", "CreateEndpointConfig"), ("sagemaker", "CreateEndpoint"),
    ("application-autoscaling", "RegisterScalableTarget"), ("application-autoscaling", "PutScalingPolicy"),
]  # fmt: skip
_UPLOAD: list[Call] = [
    ("s3", "PutObject"), ("s3", "CreateMultipartUpload"), ("s3", "UploadPart"), ("s3", "CompleteMultipartUpload"),
]  # fmt: skip
_UPDATE: list[Call] = [
    *_UPLOAD, ("sagemaker", "CreateModel"), ("sagemaker", "CreateEndpointConfig"),
    ("sagemaker", "UpdateEndpoint"), ("sagemaker", "DescribeEndpoint"), ("sagemaker", "DeleteModel"),
    ("sagemaker", "DeleteEndpointConfig"), ("application-autoscaling", "RegisterScalableTarget"),
]  # fmt: skip
_VERIFY: list[Call] = [
    ("lambda", "Invoke"), ("lambda", "GetFunctionConcurrency"), ("sagemaker-runtime", "InvokeEndpoint"),
    ("application-autoscaling", "DescribeScalableTargets"), ("sagemaker", "DescribeEndpoint"),
]  # fmt: skip
_ASK: list[Call] = [("lambda", "Invoke"), ("sagemaker-runtime", "InvokeEndpoint")]
_DELETE: list[Call] = [
    ("sagemaker", "DeleteEndpoint"), ("sagemaker", "DeleteModel"), ("sagemaker", "DeleteEndpointConfig"),
    ("application-autoscaling", "DeregisterScalableTarget"), ("lambda", "DeleteFunction"), ("iam", "DeleteRole"),
    ("iam", "DeleteRolePolicy"), ("iam", "DeleteInstanceProfile"), ("ec2", "DeleteSubnet"),
    ("ec2", "DeleteSecurityGroup"), ("ec2", "DeleteVpcEndpoints"), ("ec2", "TerminateInstances"), ("ec2", "DeleteVpc"),
    ("s3", "DeleteBucket"), ("s3", "DeleteObjects"), ("s3", "ListObjectVersions"), ("logs", "DeleteLogGroup"),
    ("cloudwatch", "DeleteAlarms"), ("sagemaker", "ListEndpoints"), ("sagemaker", "ListTrainingJobs"),
    ("ec2", "DescribeNetworkInterfaces"), ("iam", "ListRoles"), ("lambda", "ListFunctions"), ("s3", "ListBuckets"),
]  # fmt: skip
_S3_DATA: list[Call] = [("s3", "ListObjectsV2"), ("s3", "GetObject")]
_JOB_START: list[Call] = [
    ("s3", "PutObject"), ("s3", "ListObjectsV2"), ("iam", "SimulatePrincipalPolicy"),
]  # fmt: skip
_JOB_FOLLOW: list[Call] = [
    ("sagemaker", "DescribeTrainingJob"), ("logs", "DescribeLogStreams"), ("logs", "GetLogEvents"),
    ("s3", "GetObject"),
]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A task as the runs know it."""

    weight: int  # of 300 runs
    states: tuple[str, ...]
    calls: list[Call]
    changes: bool = False  # what is deployed
    makes_rights: bool = False

    @property
    def by_terraform(self) -> bool:
        return self.changes or ("iam", "GetRole") in self.calls


KINDS: dict[str, Kind] = {
    "up": Kind(8, (NOTHING, DEPLOYED), [*_PLAN, *_CREATE, *_UPDATE, *_VERIFY], changes=True, makes_rights=True),
    "train": Kind(12, (DEPLOYED,), _S3_DATA),
    "train --on sagemaker": Kind(
        10, (DEPLOYED,), [*_STATE_CALLS, *_JOB_START, ("sagemaker", "CreateTrainingJob"), *_JOB_FOLLOW]
    ),
    "train --on ec2": Kind(
        8, (DEPLOYED,),
        [*_STATE_CALLS, *_JOB_START, ("ssm", "SendCommand"), ("ssm", "GetCommandInvocation"), ("ssm", "ListCommands"),
         ("ec2", "DescribeInstances"), ("ec2", "StartInstances"), ("ec2", "StopInstances"),
         ("ssm", "DescribeInstanceInformation"), ("logs", "GetLogEvents"), ("s3", "GetObject")],
    ),
    "tune": Kind(8, (DEPLOYED,), _S3_DATA),
    "tune --on sagemaker": Kind(
        8, (DEPLOYED,),
        [*_STATE_CALLS, *_JOB_START, ("sagemaker", "CreateHyperParameterTuningJob"),
         ("sagemaker", "DescribeHyperParameterTuningJob"), ("sagemaker", "ListTrainingJobsForHyperParameterTuningJob"),
         ("s3", "GetObject")],
    ),
    "jobs": Kind(
        14, (DEPLOYED, NOTHING),
        [*_STATE_CALLS, ("sagemaker", "ListTrainingJobs"), ("sagemaker", "ListHyperParameterTuningJobs"),
         ("sagemaker", "ListTransformJobs"), ("ssm", "ListCommands"), ("ec2", "DescribeInstances")],
    ),
    "jobs --attach": Kind(12, (DEPLOYED,), [*_STATE_CALLS, ("ssm", "ListCommands"), *_JOB_FOLLOW]),
    "jobs --stop": Kind(
        8, (DEPLOYED,), [*_STATE_CALLS, ("ssm", "ListCommands"), ("sagemaker", "StopTrainingJob")]
    ),
    "evaluate": Kind(10, (DEPLOYED,), _S3_DATA),
    "plan": Kind(24, STATES, _PLAN),
    "apply": Kind(
        26, (NOTHING, NEW_MODEL, FAILED_APPLY), [*_PLAN, *_CREATE, *_UPDATE, *_VERIFY], changes=True, makes_rights=True
    ),
    "rollback": Kind(12, (DEPLOYED,), [*_PLAN, *_UPDATE, *_VERIFY], changes=True),
    "predict": Kind(22, (DEPLOYED, FAILED_APPLY), [*_STATE_CALLS, *_ASK]),
    "predict folder": Kind(16, (DEPLOYED,), [*_STATE_CALLS, *_ASK, *_ASK]),
    "predict --bulk": Kind(
        10, (DEPLOYED,),
        [*_STATE_CALLS, *_JOB_START, ("sagemaker", "CreateTransformJob"), ("sagemaker", "DescribeTransformJob"),
         ("s3", "GetObject"), ("sagemaker", "DescribeEndpoint")],
    ),
    "load": Kind(10, (DEPLOYED,), [*_STATE_CALLS, *_ASK, ("sagemaker", "DescribeEndpoint")]),
    "console": Kind(
        10, (DEPLOYED,),
        [*_STATE_CALLS, ("sagemaker", "DescribeEndpoint"), ("sagemaker", "ListEndpoints"),
         ("cloudwatch", "GetMetricData"), ("lambda", "GetFunction"), ("sagemaker", "ListTrainingJobs"),
         ("application-autoscaling", "DescribeScalingActivities")],
    ),
    "simulate": Kind(10, (DEPLOYED, NOTHING), [*_STATE_CALLS, *_REFRESH]),
    "image": Kind(8, (DEPLOYED,), [("ecr", "DescribeImages"), ("sts", "GetCallerIdentity")]),
    "status": Kind(
        24, (NOTHING, DEPLOYED, FAILED_APPLY),
        [*_STATE_CALLS, ("sagemaker", "DescribeEndpoint"), ("lambda", "GetFunction"),
         ("lambda", "GetFunctionConcurrency"), ("application-autoscaling", "DescribeScalableTargets")],
    ),
    "doctor": Kind(
        16, (NOTHING, DEPLOYED),
        [*_STATE_CALLS, ("lambda", "GetAccountSettings"), ("service-quotas", "ListServiceQuotas"), ("iam", "GetRole")],
    ),
    "destroy": Kind(
        14, (DEPLOYED, FAILED_APPLY, NOTHING), [*_STATE_CALLS, *_REFRESH, *_DELETE, *_DELETE], changes=True
    ),
}  # fmt: skip

# Calls of an apply that finds nothing, and of one that finds an endpoint.
_FIRST = {*_CREATE} - {*_UPLOAD, *_UPDATE}
_LATER = {
    ("sagemaker", "UpdateEndpoint"),
    ("sagemaker", "DeleteModel"),
    ("sagemaker", "DeleteEndpointConfig"),
}

_KINDS = {"throttle": 26, "error": 22, "timeout": 14, "cut": 22, "denied": 10}
_INSTANCES = {
    ("sagemaker", "CreateEndpoint"), ("sagemaker", "UpdateEndpoint"), ("sagemaker", "CreateTrainingJob"),
    ("sagemaker", "CreateHyperParameterTuningJob"), ("sagemaker", "CreateTransformJob"), ("ec2", "RunInstances"),
    ("ec2", "StartInstances"),
}  # fmt: skip
_RIGHTS = (("iam", "CreateRole"), ("iam", "PutRolePolicy"), ("iam", "CreateInstanceProfile"))


@dataclass(frozen=True)
class Run:
    number: int
    task: str
    state: str
    rules: list[dict[str, Any]] = field(default_factory=list)


def mix(runs: int, seed: int) -> list[str]:
    """The tasks of so many runs, each as often as its weight says, in an order of the seed's."""
    total = sum(kind.weight for kind in KINDS.values())
    names = list(KINDS)
    counts = {name: kind.weight * runs // total for name, kind in KINDS.items()}
    rest = sorted(names, key=lambda name: -(KINDS[name].weight * runs / total % 1))
    for name in rest[: runs - sum(counts.values())]:
        counts[name] += 1
    tasks = [name for name in names for _ in range(counts[name])]
    random.Random(seed).shuffle(tasks)  # noqa: S311 - no secret
    return tasks


def run(number: int, task: str, seed: int, state: str | None = None) -> Run:
    """The run of the number: the same for the same seed. The state is drawn where none is given."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311
    kind = KINDS[task]
    drawn = rng.choice(kind.states)
    state = drawn if state is None else state
    kind = dataclasses.replace(kind, calls=[call for call in kind.calls if _is_made(call, kind, state)])
    rules = [_rule(rng, kind, state) for _ in range(rng.choice((1, 1, 2, 3)))]
    return Run(number, task, state, rules)


def _is_made(call: Call, kind: Kind, state: str) -> bool:
    if state == NOTHING:  # without a state, hardly anything is asked for
        return call not in _LATER if kind.changes else call in _WITHOUT_STATE
    return state == FAILED_APPLY or call not in _FIRST


def _rule(rng: random.Random, kind: Kind, state: str) -> dict[str, Any]:
    if kind.makes_rights and state == NOTHING and rng.random() < 0.5:
        service, operation = rng.choice(_RIGHTS)
        return {
            "service": service, "operation": operation, "kind": "iam-delay", "count": rng.choice((1, 2, 20)),
            "seconds": rng.choice((2, 5, 10)),
        }  # fmt: skip
    short = [call for call in kind.calls if call in _INSTANCES]
    if short and rng.random() < 0.2:
        service, operation = rng.choice(short)
        rule = {
            "service": service,
            "operation": operation,
            "kind": "capacity",
            "count": rng.choice((1, 1, 2)),
        }
        return rule | ({"code": "ResourceLimitExceeded"} if rng.random() < 0.4 else {})
    service, operation = rng.choice(kind.calls)
    (what,) = rng.choices(list(_KINDS), list(_KINDS.values()))
    rule = {"service": service, "operation": operation, "kind": what}
    if what == "timeout":
        return rule | {"seconds": rng.choice((1, 2, 3)), "count": rng.choice((1, 1, 2))}
    if what == "error" and rng.random() < 0.5:
        rule["code"] = "ServiceUnavailable"
    how = rng.random()
    # Longer than boto3 tries. Terraform's provider would try for minutes, except after a refusal.
    if how < 0.2 and (what == "denied" or not kind.by_terraform):
        return rule | {"count": 12}
    if how < 0.4:
        return rule | {
            "probability": rng.choice((0.2, 0.5)),
            "seed": rng.randrange(1, 1000),
            "count": 3 if kind.by_terraform else 6,
        }
    return rule | {"count": rng.choice((1, 1, 2, 3)), "after": rng.choice((0, 0, 1, 3))}
