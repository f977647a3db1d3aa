"""Policies' actions, resources, principals and conditions in the words of people who do not write policies."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ops.review.grants import Condition

VERBS = {
    "s3:getobject": "read",
    "s3:putobject": "write",
    "s3:deleteobject": "delete",
    "s3:listbucket": "list",
    "kms:decrypt": "decrypt with",
    "kms:generatedatakey": "encrypt with",
    "sagemaker:invokeendpoint": "ask",
    "iam:passrole": "hand over",
    "sts:assumerole": "act as",
    "lambda:invokefunction": "call",
    "lambda:invokefunctionurl": "call",
    "logs:putlogevents": "write to",
    "sns:publish": "publish to",
    "ecr:batchgetimage": "pull from",
}
KINDS = {  # of ARNs whose last part is a name
    ("iam", "role"): "the role",
    ("iam", "policy"): "the policy",
    ("sagemaker", "endpoint"): "the endpoint",
    ("sagemaker", "training-job"): "training jobs",
    ("sagemaker", "inference-component"): "the inference component",
    ("ecr", "repository"): "the repository",
    ("ec2", "subnet"): "the subnet",
    ("ec2", "security-group"): "the security group",
    ("kms", "key"): "the key",
    ("lambda", "function"): "the function",
    ("logs", "log-group"): "the log group",
}
ANY = {  # what * stands for, by the beginning of an action
    "iam:passrole": "any role",
    "sts:assumerole": "any role",
    "s3:getobject": "anything in any bucket",
    "s3:putobject": "anything in any bucket",
    "s3:deleteobject": "anything in any bucket",
    "s3:": "any bucket and anything in it",
    "sagemaker:invokeendpoint": "any endpoint",
    "kms:": "any key",
    "lambda:": "any function",
    "logs:": "any log group",
    "sns:": "any topic",
    "secretsmanager:": "any secret",
}
OPERATORS = {
    "StringEquals": "is",
    "StringLike": "is like",
    "ArnLike": "is like",
    "ArnEquals": "is",
    "Bool": "is",
    "NumericLessThan": "is below",
    "IpAddress": "is in",
    "NotIpAddress": "is not in",
    "StringNotEquals": "is not",
    "StringNotLike": "is not like",
    "ArnNotLike": "is not like",
}
CONDITIONS = {  # by key in lower case: what stands before the values; "": the phrase needs none
    "aws:securetransport": {"false": "without TLS", "true": "over TLS"},
    "s3:tlsversion": "with a TLS older than",
    "s3:prefix": "below",
    "aws:sourceaccount": "for the account",
    "aws:sourcearn": "for",
    "aws:principalorgid": "by those of the organization",
    "iam:passedtoservice": "to the service",
    "kms:viaservice": "through",
    "cloudwatch:namespace": "in the namespace",
    "aws:sourcevpce": "through the VPC endpoint",
    "aws:sourcevpc": "from the VPC",
}
PLAIN_OPERATORS = {"StringEquals", "StringLike", "ArnLike", "ArnEquals", "Bool", "NumericLessThan"}


def deed(actions: Iterable[str], resources_: Iterable[str], itself: str = "") -> str:
    """Return an action and what it is done to, such as `read (s3:GetObject) everything in the bucket x`."""
    names = list(actions)
    on = resources(resources_, itself or _any(names))
    said = [action_(one) for one in names]
    if not any(one.startswith("do ") for one in said):
        return f"{listed(said)} {on}"
    if said == ["do everything"]:
        return f"do everything with {on}"
    verbs = [one for one in said if not one.startswith("do ")]
    others = [one.removeprefix("do ") for one in said if one.startswith("do ")]
    return f"{listed([*verbs, f'do {listed(others)}'])} on {on}"


def _any(actions: list[str]) -> str:
    """Return what * stands for as the resource of these actions."""
    found = {
        next((words for part, words in ANY.items() if one.lower().startswith(part)), "") for one in actions
    }
    return (found.pop() if len(found) == 1 else "") or "any resource"


def action_(action: str) -> str:
    """Return one action with a verb before it where there is one."""
    if action.startswith("!"):
        return f"do everything but {action[1:]}"
    if action in {"*", "*:*"}:
        return "do everything"
    if action.endswith(":*"):
        return f"do everything in {action[:-2]} ({action})"
    verb = VERBS.get(action.lower())
    return f"{verb} ({action})" if verb else f"do {action}"


def resources(names: Iterable[str], itself: str = "any resource") -> str:
    """Return resources in words, the folders of one bucket together; `itself` is what * stands for."""
    said: list[str] = []
    folders: dict[str, list[str]] = {}
    for name in names:
        folder = re.fullmatch(r"arn:[a-z*-]+:s3:::([^/*]+)/([^*]+/)\*", name)
        if folder:
            folders.setdefault(folder[1], []).append(folder[2])
            continue
        words = itself if name == "*" else resource(name)
        if words not in said:
            said.append(words)
    said += [f"everything below {listed(below)} in the bucket {bucket}" for bucket, below in folders.items()]
    whole = [words for words in said if f"everything in {words}" not in said]
    return listed(whole[:3]) + (f" and {len(whole) - 3} more" if len(whole) > 3 else "")


def resource(name: str) -> str:
    """Return an ARN or pattern in words."""
    if name == "*":
        return "any resource"
    if name.startswith("!"):
        return f"anything but {name[1:]}"
    bucket = re.fullmatch(r"arn:[a-z*-]+:s3:::([^/]+)(?:/(.*))?", name)
    if bucket:
        return _in_bucket(bucket[1], bucket[2])
    parts = name.split(":", 5)
    if len(parts) < 6:
        return name
    if parts[2] in {"sns", "sqs"}:
        return f"the {'topic' if parts[2] == 'sns' else 'queue'} {parts[5]}"
    kind, _, rest = parts[5].replace(":", "/", 1).partition("/")
    known = KINDS.get((parts[2], kind))
    rest = rest.removesuffix(":*")
    if known is None:
        return name
    if rest == "*":
        return f"any {known.removeprefix('the ')}"
    where = f" of the account {parts[4]}" if parts[2] == "ecr" else ""
    return f"{known} {rest}{where}"


def _in_bucket(bucket: str, key: str | None) -> str:
    if bucket == "*":
        return "everything in any bucket" if key else "any bucket"
    if not key:
        return f"the bucket {bucket}"
    if key == "*":
        return f"everything in the bucket {bucket}"
    if key.endswith("/*") and "*" not in key[:-1]:
        return f"everything below {key[:-1]} in the bucket {bucket}"
    return f"{key} in the bucket {bucket}"


def principal(name: str) -> str:
    """Return a principal in words."""
    kind, _, who = name.partition(":")
    if not name:
        return "it"
    if name.startswith("!"):
        return f"everybody but {name[1:]}"
    if who == "*":
        return "anybody"
    if who == "signed":
        return "whoever signs the request and is allowed to by IAM"
    if kind == "Service":
        return f"the service {who.removesuffix('.amazonaws.com')}"
    if kind in {"Federated", "CanonicalUser"}:
        return f"those whom {who} vouches for"
    account = re.fullmatch(r"(?:arn:[a-z-]+:iam::)?([0-9]{12})(?::root)?", who)
    if account:
        return f"everybody in the account {account[1]} whom it lets"
    inside = re.fullmatch(r"arn:[a-z-]+:(?:iam|sts)::([0-9]{12}):([a-z-]+)/(.+)", who)
    return f"the {inside[2]} {inside[3]} of the account {inside[1]}" if inside else who


def conditions(found: Iterable[Condition]) -> str:
    """Return conditions in words, so that they can follow a deed."""
    return listed([_condition(*one) for one in found])


def _condition(operator: str, key: str, values: frozenset[str]) -> str:
    plain = operator.removeprefix("ForAnyValue:").removesuffix("IfExists")
    known = CONDITIONS.get(key.lower()) if plain in PLAIN_OPERATORS else None
    folder = key.lower() == "s3:prefix"  # "below training/" needs no *
    several = " or ".join(sorted(value.removesuffix("*") if folder else value for value in values))
    if isinstance(known, dict):
        known, several = known.get(several), ""
    if known is None:
        return f"where {key} {OPERATORS.get(plain, operator)} {' or '.join(sorted(values))}"
    return f"{known} {several}".strip() + f" ({key})"


def arn(name: str) -> str:
    """Return a policy's name out of its ARN."""
    return f"the policy {name.rpartition('/')[2]}"


def listed(words: list[str]) -> str:
    """Return a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
