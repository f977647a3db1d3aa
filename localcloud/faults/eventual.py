"""IAM's eventual consistency: for a while, a role, its policy or its profile is not there for those who ask."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from urllib.parse import parse_qs

from localcloud.config import ACCOUNT_ID
from localcloud.faults.words import Refusal
from localcloud.operations import Call

_PROFILES = ("CreateInstanceProfile", "AddRoleToInstanceProfile")
_POLICIES = ("PutRolePolicy", "AttachRolePolicy")


@dataclass(frozen=True)
class _Late:
    kind: str  # "role", its "trust" or its "policy", or "profile"
    name: str
    until: float  # monotonic


class Eventual:
    def __init__(self) -> None:
        self._late: tuple[_Late, ...] = ()
        self._lock = threading.Lock()

    @property
    def active(self) -> bool:
        return bool(self._late)

    def delay(self, call: Call, seconds: float) -> None:
        """What the call has made comes into being after so many seconds."""
        form = parse_qs(call.body.decode(errors="replace"))
        kind = "policy" if call.operation in _POLICIES else "role"
        kind = "trust" if call.operation == "UpdateAssumeRolePolicy" else kind
        kind = "profile" if call.operation in _PROFILES else kind
        name = form.get("InstanceProfileName" if kind == "profile" else "RoleName", [""])[0]
        with self._lock:
            self._late = (*self._late, _Late(kind, name, time.monotonic() + seconds))

    def clear(self) -> None:
        with self._lock:
            self._late = ()

    def refusal(self, call: Call) -> Refusal | None:
        """What AWS answers to a call that needs what is late."""
        now = time.monotonic()
        with self._lock:
            self._late = tuple(late for late in self._late if late.until > now)
        for late in self._late:
            found = _REFUSALS[late.kind](late.name, call)
            if found is not None:
                return found
        return None


def _role(name: str, call: Call) -> Refusal | None:
    if call.service == "iam":
        is_read = call.operation.startswith(("Get", "List")) and _field(call, "RoleName") == name
        return (
            Refusal(404, "NoSuchEntity", f"The role with name {name} cannot be found.") if is_read else None
        )
    if not _names(call, name):
        return None
    arn = f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"
    return {
        "sts": Refusal(
            403,
            "AccessDenied",
            f"User: arn:aws:iam::{ACCOUNT_ID}:root is not authorized to perform: sts:AssumeRole on resource: {arn}",
        ),
        "lambda": Refusal(
            400,
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        "sagemaker": Refusal(
            400,
            "ValidationException",
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role.",
        ),
        "s3": Refusal(400, "MalformedPolicy", "Invalid principal in policy"),
        "ec2": Refusal(400, "InvalidParameterValue", "Unable to assume given IAM role"),
    }.get(call.service)


def _trust(role: str, call: Call) -> Refusal | None:
    """The role is there to be read, and does not yet let in whom it will."""
    return None if call.service == "iam" else _role(role, call)


def _policy(role: str, call: Call) -> Refusal | None:
    if call.service == "lambda" and b"SubnetIds" in call.body and _names(call, role):
        message = (
            "The provided execution role does not have permissions to call CreateNetworkInterface on EC2"
        )
        return Refusal(400, "InvalidParameterValueException", message)
    if call.service == "sagemaker" and call.operation == "CreateModel" and _names(call, role):
        arn = f"arn:aws:iam::{ACCOUNT_ID}:role/{role}"
        message = (
            f'Could not access model data. Please ensure that the role "{arn}" exists and that its trust '
            'relationship policy allows the action "sts:AssumeRole" for the service principal '
            '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions.'
        )
        return Refusal(400, "ValidationException", message)
    return None


def _profile(name: str, call: Call) -> Refusal | None:
    if call.operation == "GetInstanceProfile" and _field(call, "InstanceProfileName") == name:
        return Refusal(404, "NoSuchEntity", f"Instance Profile {name} cannot be found.")
    if call.service == "ec2" and _field(call, "IamInstanceProfile.Name") == name:
        message = (
            f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile"
        )
        return Refusal(400, "InvalidParameterValue", f"{message} name")
    return None


_REFUSALS = {"role": _role, "trust": _trust, "policy": _policy, "profile": _profile}


def _field(call: Call, name: str) -> str:
    return parse_qs(call.body.decode(errors="replace")).get(name, [""])[0]


def _names(call: Call, role: str) -> bool:
    """Whether the role is passed in the call, not one whose name begins alike."""
    pattern = rb"role(/|%2F)" + re.escape(role).encode() + rb"(?![\w+=,.@-])"
    return re.search(pattern, call.body) is not None
