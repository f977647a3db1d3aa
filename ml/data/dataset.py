"""What a data set is, and the one report of all that is wrong with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ml.errors import KennelError

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_SHOWN = 8  # names shown of a long list


@dataclass(frozen=True, order=True)
class Sample:
    """One photo; the order is by class, then content, so that renaming a file changes nothing."""

    label: int
    sha256: str  # of the file's bytes
    path: Path


@dataclass(frozen=True)
class Dataset:
    classes: tuple[str, ...]  # folder names, sorted; label = index
    train: tuple[Sample, ...]
    valid: tuple[Sample, ...]
    test: tuple[Sample, ...]
    digest: str  # over split, class and content of every photo; no path is in it
    test_digest: str  # the same, over the test split alone
    notes: tuple[str, ...] = ()  # what was decided or left out on the way, for people

    @classmethod
    def build(
        cls, classes: Sequence[str], splits: Mapping[Split, Iterable[Sample]], notes: Sequence[str] = ()
    ) -> Dataset:
        ordered = {split: tuple(sorted(splits[split])) for split in SPLITS}
        return cls(
            classes=tuple(classes),
            **ordered,
            digest=_digest(classes, ordered),
            test_digest=_digest(classes, {"test": ordered["test"]}),
            notes=tuple(notes),
        )

    def split(self, name: Split) -> tuple[Sample, ...]:
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]

    @property
    def counts(self) -> dict[str, int]:
        return {split: len(self.split(split)) for split in SPLITS}

    def class_counts(self, name: Split) -> tuple[int, ...]:
        """Photos a class, in the order of the labels."""
        found = Counter(sample.label for sample in self.split(name))
        return tuple(found[label] for label in range(len(self.classes)))


def _digest(classes: Sequence[str], splits: Mapping[Split, Sequence[Sample]]) -> str:
    lines = [f"class\0{name}\n" for name in classes]
    lines += [f"{split}\0{sample.label}\0{sample.sha256}\n" for split in splits for sample in splits[split]]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Finding:
    """One rule that the data breaks, and where."""

    code: str  # stable name of the rule: "empty-class", "unreadable", ...
    message: str
    items: tuple[str, ...] = ()  # the files or classes it is about, all of them
    remedy: str = ""

    def __str__(self) -> str:
        lines = [self.message]
        lines += [f"    {item}" for item in self.items[:_SHOWN]]
        if len(self.items) > _SHOWN:
            lines.append(f"    and {len(self.items) - _SHOWN:,} more")
        if self.remedy:
            lines.append(f"    → {self.remedy}")
        return "\n".join(lines)


class DatasetError(KennelError):
    """Everything that is wrong with a data set, in one report."""

    def __init__(self, source: str, findings: Sequence[Finding]) -> None:
        self.source = source
        self.findings = tuple(findings)
        count = f"{len(findings)} problems were" if len(findings) != 1 else "a problem was"
        report = "\n".join(f"  - {finding}" for finding in findings)
        super().__init__(f"Data is checked before anything slow starts, and {count} found:\n{report}", source)

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(finding.code for finding in self.findings)
