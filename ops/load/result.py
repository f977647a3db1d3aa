"""What a load came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ops.load.answers import THROTTLED
from ops.load.driver import Measured, Sample
from ops.load.latency import Latency
from ops.load.options import IN_FLIGHT, Demand
from ops.load.target import Instances, Target
from ops.traffic import Traffic

CUT_OFF = "cut off"  # in flight when the load was interrupted
LATE = 0.010  # seconds; no program is on time to the millisecond
LATE_SHARE = 0.1  # of the corrected p99; where more of it is the client's own delay, it tells of the client
BUSY = 0.9  # of a processor: more than this and the client is the limit
POINTS = 120  # of a curve over time, at most


@dataclass(frozen=True)
class Moment:
    """A piece of the load's time, by when requests were due."""

    second: float  # its middle
    due: float  # requests/s
    good: float  # good answers/s, by when they came
    faults: dict[str, float]  # failures/s by kind
    median: float | None  # ms, of good answers
    p99: float | None


@dataclass(frozen=True)
class Result:
    """One load, with all that its report shows."""

    stage: str
    target: Target
    demand: Demand
    measured: Measured
    before: Instances | None
    after: Instances | None

    @cached_property
    def answered(self) -> list[Sample]:
        return [sample for sample in self.measured.samples if sample.fault != CUT_OFF]

    @cached_property
    def good(self) -> list[Sample]:
        return [sample for sample in self.measured.samples if not sample.fault]

    @cached_property
    def faults(self) -> Counter[str]:
        """Failures by kind, the most frequent first."""
        found = Counter(sample.fault for sample in self.answered if sample.fault)
        return Counter(dict(found.most_common()))

    @property
    def throttled(self) -> int:
        return sum(count for kind, count in self.faults.items() if kind.startswith(THROTTLED))

    @property
    def seconds(self) -> float:
        """In which requests were begun; never 0."""
        found = self.measured.seconds or max((s.sent for s in self.measured.samples), default=0.0)
        return max(min(found, self.demand.seconds), 1e-3)

    @property
    def failure_share(self) -> float:
        """Of what was due and has been answered or given up."""
        due = len(self.answered) + self.measured.unsent
        return (due - len(self.good)) / due if due else 0.0

    @cached_property
    def corrected(self) -> Latency | None:
        """Of good answers, from when the request was due: what a caller waits that knows nothing of the others."""
        if self.demand.traffic is None:
            return None
        return Latency.of(sample.done - sample.intended for sample in self.good)

    @cached_property
    def service(self) -> Latency | None:
        """Of good answers, from when the request was sent."""
        return Latency.of(sample.done - sample.sent for sample in self.good)

    @cached_property
    def of_faults(self) -> dict[str, Latency]:
        found = {
            kind: Latency.of(s.done - s.intended for s in self.answered if s.fault == kind)
            for kind in self.faults
        }
        return {kind: latency for kind, latency in found.items() if latency is not None}

    @property
    def lateness(self) -> float:
        """Seconds; 99 of 100 requests were begun by the client no later than this after they were due."""
        if self.demand.traffic is None or not self.measured.samples:
            return 0.0
        return _p99(sample.woke - sample.intended for sample in self.measured.samples)

    @property
    def held(self) -> int:
        """Requests that waited since as many as may be were in flight."""
        return sum(sample.sent - sample.woke > LATE for sample in self.measured.samples)

    @property
    def client_share(self) -> float:
        """Of a processor that the sending program used."""
        return self.measured.cpu_seconds / self.seconds

    @property
    def kept_up(self) -> bool:
        """Whether the client was no limit: it had processor left, and the corrected p99 is not of its own delay."""
        if self.client_share > BUSY:
            return False
        samples = self.good or self.answered
        if not samples:
            return True
        corrected = _p99(sample.done - sample.intended for sample in samples)
        own = corrected - _p99(sample.done - sample.woke for sample in samples)
        return own <= max(LATE, LATE_SHARE * corrected)

    @property
    def notes(self) -> list[str]:
        """What a reader has to know to judge the figures."""
        notes = []
        if self.measured.interrupted:
            notes.append(f"Interrupted after {self.seconds:.1f} s of {self.demand.seconds:g}.")
        if self.measured.given_up:
            notes.append(f"Given up after {self.seconds:.1f} s: {self.measured.given_up}.")
        if not self.kept_up:
            notes.append(
                f"The client did not keep up: it used {self.client_share:.0%} of a processor, and began one request "
                f"in a hundred more than {self.lateness * 1000:.0f} ms late. The corrected latencies hold its delay, "
                "too: ask for less, or send from another machine."
            )
        if self.held or self.measured.unsent:
            notes.append(
                f"{self.held + self.measured.unsent:,} requests had to wait, as {IN_FLIGHT} were in flight"
                + (f"; {self.measured.unsent:,} of them were never sent." if self.measured.unsent else ".")
            )
        shown = self.corrected or self.service
        if shown is not None and shown.few:
            names = ", ".join(f"p{name}" for name in shown.few)
            notes.append(
                f"Of {shown.count:,} answers fewer than 10 lie beyond {names}: chance makes much of "
                f"{'it' if len(shown.few) == 1 else 'them'}."
            )
        if self.demand.users is not None:
            notes.append(
                "Closed loop: while an answer is slow, its user asks nothing, and what others would have waited is "
                "not seen. --rate shows that."
            )
        if self.stage == "local":
            notes.append(
                "Client, embedded cloud and model servers share this machine's processors: the figures are theirs "
                "together."
            )
        return notes

    def over_time(self) -> list[Moment]:
        """Equal pieces of the time, a second or longer each."""
        width = max(1.0, self.seconds / POINTS) if self.seconds >= 10 else self.seconds / 10
        pieces = max(1, round(self.seconds / width))
        width = self.seconds / pieces
        due: list[list[Sample]] = [[] for _ in range(pieces)]
        came: list[int] = [0] * pieces
        for sample in self.measured.samples:
            due[min(pieces - 1, int(sample.intended / width))].append(sample)
            if not sample.fault and sample.done < self.seconds:
                came[min(pieces - 1, int(sample.done / width))] += 1
        moments = []
        for index, samples in enumerate(due):
            times = sorted(s.done - self._from(s) for s in samples if not s.fault)
            kinds = Counter(s.fault for s in samples if s.fault and s.fault != CUT_OFF)
            moments.append(
                Moment(
                    (index + 0.5) * width,
                    len(samples) / width,
                    came[index] / width,
                    {kind: count / width for kind, count in kinds.items()},
                    times[len(times) // 2] * 1000 if times else None,
                    _p99(times) * 1000 if times else None,
                )
            )
        return moments

    def _from(self, sample: Sample) -> float:
        return sample.sent if self.demand.traffic is None else sample.intended

    def traffic(self) -> Traffic:
        """The requests as they were due, counted in each second."""
        counts = [0] * max(2, -int(-self.seconds // 1))
        for sample in self.measured.samples:
            counts[min(len(counts) - 1, int(sample.intended))] += 1
        return Traffic(1.0, tuple(float(count) for count in counts))

    def to_dict(self) -> dict[str, Any]:
        measured, corrected, service = self.measured, self.corrected, self.service
        return {
            "stage": self.stage,
            "on": self.target.on,
            "name": self.target.name,
            "began": round(measured.began, 3),
            "seconds": round(self.seconds, 3),
            "asked": {
                "seconds": self.demand.seconds,
                "requests_per_second": self.demand.rate,
                "users": self.demand.users,
                "arrivals": self.demand.spacing if self.demand.traffic else None,
                "seed": self.demand.seed,
            },
            "requests": len(measured.samples),
            "requests_per_second": round(len(measured.samples) / self.seconds, 3),
            "good": len(self.good),
            "good_per_second": round(len(self.good) / self.seconds, 3),
            "faults": dict(self.faults),
            "throttled": self.throttled,
            "unsent": measured.unsent,
            "failure_share": round(self.failure_share, 6),
            "latency_ms": {
                "corrected": corrected.to_dict() if corrected else None,
                "service": service.to_dict() if service else None,
                "faults": {kind: latency.to_dict() for kind, latency in self.of_faults.items()},
            },
            "client": {
                "late_ms_p99": round(self.lateness * 1000, 3),
                "held": self.held,
                "processor_share": round(self.client_share, 4),
                "memory_bytes": measured.memory_bytes,
            },
            "instances": {
                "before": self.before.count if self.before else None,
                "after": self.after.count if self.after else None,
                "type": self.before.type if self.before else None,
            },
            "interrupted": measured.interrupted,
            "notes": self.notes,
        }


def _p99(seconds: Iterable[float]) -> float:
    """Of one value or more: what 99 of 100 are no larger than."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def merged_faults(moments: Sequence[Moment]) -> list[str]:
    """The kinds of failures in these moments, the most frequent first."""
    total: Counter[str] = Counter()
    for moment in moments:
        total.update({kind: round(rate * 1000) for kind, rate in moment.faults.items()})
    return [kind for kind, _ in total.most_common()]
