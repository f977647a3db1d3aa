"""Which call meets which fault: rules, and the count of what they have dealt out."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from localcloud import operations
from localcloud.errors import CloudError
from localcloud.operations import Call

CODES = {
    "error": ("InternalFailure", "ServiceUnavailable"),
    "capacity": ("InsufficientInstanceCapacity", "ResourceLimitExceeded"),
}
SECONDS = {"timeout": 5.0, "iam-delay": 10.0}  # by default
KINDS = ("throttle", "error", "timeout", "cut", "denied", "capacity", "iam-delay")
MAX_SECONDS = 300.0
_WITH_INSTANCES = {
    "sagemaker": (
        "CreateEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "CreateTrainingJob",
        "CreateHyperParameterTuningJob", "CreateTransformJob",
    ),
    "ec2": ("RunInstances", "StartInstances"),
}  # fmt: skip
_MAKES_RIGHTS = (
    "CreateRole", "UpdateAssumeRolePolicy", "PutRolePolicy", "AttachRolePolicy", "CreateInstanceProfile",
    "AddRoleToInstanceProfile",
)  # fmt: skip
_LOGGED = 1000  # the latest faults


@dataclass(frozen=True)
class Rule:
    """`count` calls, or each with a probability, after the first `after`; patterns have * and ?."""

    service: str
    operation: str
    kind: str
    count: int | None = None  # None: 1, or with a probability no limit
    after: int = 0
    probability: float | None = None
    seed: int = 0
    seconds: float | None = None  # that a call gets no answer, or that rights are not there
    code: str | None = None
    about: str = ""  # must occur in the path or the body

    @classmethod
    def read(cls, document: object) -> Rule:
        """Raises CloudError where a rule is broken."""
        names = [field.name for field in fields(cls)]
        if not isinstance(document, Mapping):
            raise CloudError("A fault is an object.", document, f"Its fields: {', '.join(names)}.")
        if unknown := sorted({*document} - {*names}):
            raise CloudError(
                "A fault has no such field.", ", ".join(unknown), f"Its fields: {', '.join(names)}."
            )
        if missing := [name for name in ("service", "operation", "kind") if not document.get(name)]:
            raise CloudError("A fault names service, operation and kind.", f"no {', no '.join(missing)}")
        return cls(**document)

    def __post_init__(self) -> None:
        self._check_kind()
        self._check_call()
        self._check_numbers()

    @property
    def limit(self) -> int | None:
        """How many faults it deals out at most."""
        return 1 if self.count is None and self.probability is None else self.count

    @property
    def duration(self) -> float:
        return SECONDS.get(self.kind, 0.0) if self.seconds is None else float(self.seconds)

    @property
    def error_code(self) -> str:
        return self.code or CODES.get(self.kind, ("",))[0]

    def to_dict(self) -> dict[str, Any]:
        """What was said of it."""
        default = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in vars(self).items() if value != default[name]}

    def fits(self, call: Call) -> bool:
        return (
            fnmatchcase(call.service, self.service)
            and fnmatchcase(call.operation, self.operation)
            and (not self.about or call.concerns(self.about))
        )

    def _check_kind(self) -> None:
        if self.kind not in KINDS:
            raise CloudError(f"A fault's kind is one of {', '.join(KINDS)}.", self.kind)
        codes = CODES.get(self.kind, ())
        if self.code is not None and self.code not in codes:
            rule = (
                f"The code of {self.kind} is {' or '.join(codes)}." if codes else f"{self.kind} has no code."
            )
            raise CloudError(rule, self.code)
        if self.seconds is not None and self.kind not in SECONDS:
            raise CloudError(f"Only {' and '.join(SECONDS)} take seconds.", f"{self.kind}, {self.seconds}")

    def _check_call(self) -> None:
        for name in ("service", "operation", "about"):
            if not isinstance(getattr(self, name), str):
                raise CloudError(f"A fault's {name} is a text.", getattr(self, name))
        if self.service != "*" and self.service not in operations.services():
            raise CloudError(
                "A fault's service is * or the name of a boto3 client that this cloud answers.",
                self.service,
                "Such as s3, iam or sagemaker.",
            )
        if self.kind == "capacity":
            known = _WITH_INSTANCES.get(self.service, ())
            told = "; ".join(f"{name}: {', '.join(names)}" for name, names in _WITH_INSTANCES.items())
            rule = f"Capacity lacks where instances are asked for. {told}."
        elif self.kind == "iam-delay":
            known = _MAKES_RIGHTS if self.service == "iam" else ()
            rule = f"Rights are late where iam makes them: {', '.join(_MAKES_RIGHTS)}."
        elif self.service == "*":
            known, rule = (
                (self.operation,) if self.operation == "*" else (),
                "All services take the operation *.",
            )
        else:
            model = operations.service_model(self.service)
            known = tuple(model.operation_names) if model else ()
            rule = f"{self.service} has an operation of the name."
        if not any(fnmatchcase(name, self.operation) for name in known):
            raise CloudError(rule, f"{self.service} {self.operation}")

    def _check_numbers(self) -> None:
        for name, lowest in (("count", 1), ("after", 0), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < lowest):
                raise CloudError(f"A fault's {name} is a whole number from {lowest}.", value)
        if self.probability is not None and not (
            type(self.probability) in (int, float) and 0 < self.probability <= 1
        ):
            raise CloudError("A fault's probability is above 0 and at most 1.", self.probability)
        if self.seed and self.probability is None:
            raise CloudError("A seed goes with a probability.", self.seed)
        if self.seconds is not None and not (
            type(self.seconds) in (int, float) and 0 < self.seconds <= MAX_SECONDS
        ):
            raise CloudError(f"A fault's seconds are above 0 and at most {MAX_SECONDS:g}.", self.seconds)


def parsed(text: str) -> object:
    """A rule, or a list of them, as a person types it. Raises CloudError."""
    try:
        return json.loads(text)
    except ValueError as error:
        example = '{"service": "s3", "operation": "PutObject", "kind": "throttle", "count": 2}'
        raise CloudError("Faults are written as JSON.", f"{text}: {error}", f"Such as {example}") from error


class _Entry:
    def __init__(self, number: int, rule: Rule) -> None:
        self.number, self.rule = number, rule
        self.seen = self.dealt = 0
        self._random = random.Random(rule.seed)  # noqa: S311 - no secret

    @property
    def over(self) -> bool:
        return self.rule.limit is not None and self.dealt >= self.rule.limit

    def meets(self, call: Call) -> bool:
        if self.over or not self.rule.fits(call):
            return False
        self.seen += 1
        if self.seen <= self.rule.after:
            return False
        probability = self.rule.probability
        if probability is not None and self._random.random() >= probability:
            return False
        self.dealt += 1
        return True


class Faults:
    """Thread-safe. A call meets the first rule that wants it."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._log: deque[dict[str, Any]] = deque(maxlen=_LOGGED)
        self._counts: Counter[str] = Counter()
        self._number = 0
        self._lock = threading.Lock()

    @property
    def active(self) -> bool:
        return bool(self._entries)

    def add(self, rules: list[Rule]) -> list[int]:
        """Return their numbers."""
        with self._lock:
            first = self._number + 1
            for rule in rules:
                self._number += 1
                self._entries = [*self._entries, _Entry(self._number, rule)]
            return list(range(first, self._number + 1))

    def clear(self) -> None:
        """Forget the rules, and what they have dealt out."""
        with self._lock:
            self._entries = []
            self._log.clear()
            self._counts.clear()

    def deal(self, call: Call) -> Rule | None:
        with self._lock:
            for entry in self._entries:
                if entry.meets(call):
                    self._note(call, entry.rule.kind, entry.number)
                    return entry.rule
        return None

    def note(self, call: Call, kind: str) -> None:
        """Count a refusal that a fault of another call has led to."""
        with self._lock:
            self._note(call, kind, None)

    def describe(self) -> dict[str, Any]:
        with self._lock:
            rules = [
                {"id": entry.number, **entry.rule.to_dict(), "seen": entry.seen, "dealt": entry.dealt}
                for entry in self._entries
            ]
            return {"rules": rules, "counts": dict(self._counts), "dealt": list(self._log)}

    def _note(self, call: Call, kind: str, number: int | None) -> None:
        self._counts[f"{kind} {call.service} {call.operation}"] += 1
        self._log.append(
            {
                "at": round(time.time(), 3),
                "kind": kind,
                "service": call.service,
                "operation": call.operation,
                "path": call.path,
                "rule": number,
            }
        )
