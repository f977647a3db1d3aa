"""Drives every task through faults: each run ends well, or in a clear error and a state from which it comes right.

    python -m bench.faults [--runs 300] [--seed 0] [--only-run 137] [--tasks plan,apply] [--lanes 2] [--record FILE]

A run takes a task, a state that it finds (nothing deployed, deployed, a new model, after a failed apply) and one to
three faults on the calls that the task makes; all of it follows from the seed and the run's number. The task runs as
a person runs it, in a copy of the project with an embedded cloud of its own. Where it ends with an error, the error
names rule, received and remedy, and the same command comes right once the faults are over. No archive, run or upload
is lost or half there, and what a destroy leaves is nothing but data buckets, by an inventory of the cloud.

Each run is a line of JSON in the record; runs that are in it are not played again, so that the same command goes on
after Ctrl-C. Prints a table of tasks and kinds of faults, and exits with 1 if a run failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from bench.faulty import grammar, watch
from bench.faulty.grammar import DEPLOYED, FAILED_APPLY, KINDS, NEW_MODEL, NOTHING, Run
from bench.faulty.play import Result, play
from bench.faulty.project import Broken, Project, make_photos, make_weights, project

Row = dict[str, Any]
_COST = {  # about, of bringing one state into another, in applies
    (NOTHING, NOTHING): 0, (NOTHING, DEPLOYED): 3, (NOTHING, NEW_MODEL): 3, (NOTHING, FAILED_APPLY): 4,
    (DEPLOYED, NOTHING): 2, (DEPLOYED, DEPLOYED): 0, (DEPLOYED, NEW_MODEL): 0, (DEPLOYED, FAILED_APPLY): 1,
    (NEW_MODEL, NOTHING): 2, (NEW_MODEL, DEPLOYED): 0, (NEW_MODEL, NEW_MODEL): 0, (NEW_MODEL, FAILED_APPLY): 1,
    (FAILED_APPLY, NOTHING): 2, (FAILED_APPLY, DEPLOYED): 1, (FAILED_APPLY, NEW_MODEL): 1,
    (FAILED_APPLY, FAILED_APPLY): 0,
}  # fmt: skip


class Record:
    """Lines of JSON, of this seed's runs."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self._lock = threading.Lock()
        lines = path.read_text().splitlines() if path.is_file() else []
        self.rows: list[Row] = [row for row in map(json.loads, lines) if row["seed"] == seed]

    def add(self, row: Row) -> None:
        with self._lock, self.path.open("a") as out:
            self.rows.append(row)
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


class Queue:
    """Runs for lanes: each takes the one that is nearest to the state that it is in."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self._total = len(runs)
        self._lock = threading.Lock()

    def take(self, state: str) -> Run | None:
        with self._lock:
            if not self._runs:
                return None
            best = min(
                self._runs, key=lambda run: (_COST[state, run.state], KINDS[run.task].changes, run.number)
            )
            self._runs.remove(best)
            return best

    def close(self) -> None:
        with self._lock:
            self._runs.clear()

    @property
    def begun(self) -> str:
        return f"{self._total - len(self._runs)}/{self._total}"


def lane(folder: Path, photos: Path, weights: Path, queue: Queue, record: Record, seed: int) -> None:
    with project(folder, photos, weights) as made:
        files, baseline = watch.Files(made.root), watch.inventory(made)
        while (run := queue.take(made.state)) is not None:
            result = Result(run)
            began = time.monotonic()
            try:
                result = play(made, files, baseline, run)
            except Broken as error:
                result.verdict, result.why = "FAILED", [f"not brought into its state: {error}"]
            except Exception:  # of the bench's own: the other runs go on
                result.verdict, result.why = "FAILED", [f"the bench failed: {traceback.format_exc()}"]
            record.add({**result.to_dict(seed), "seconds": round(time.monotonic() - began, 1)})
            _say(result, queue)
            if result.verdict == "FAILED":
                baseline = _repaired(made, baseline)


def _repaired(made: Project, baseline: set[str]) -> set[str]:
    """So that one failure is no other's cause. Return what the cloud holds when it is empty."""
    try:
        made.clear()
        made.state = DEPLOYED
        made.bring(NOTHING)
        if not watch.inventory(made) - baseline:
            return baseline
    except Exception as error:
        print(f"  a new cloud, after {str(error)[:300]}", flush=True)
    made.start_anew()
    return watch.inventory(made)


def _say(result: Result, queue: Queue) -> None:
    run, first = result.run, result.first
    rules = ", ".join(
        f"{rule['kind']} {rule['service']} {rule['operation']}"
        + f" ×{rule.get('count', 1)}" * (rule.get("count", 1) > 1)
        for rule in run.rules
    )
    took = f"{first.seconds:.0f} s" if first else ""
    print(
        f"{queue.begun:>8} {run.number:4} {result.verdict:8} {run.task} ({run.state}) {took}: {rules}",
        flush=True,
    )
    for why in result.why:
        print(f"         {why[:600]}", flush=True)


def table(rows: list[Row]) -> str:
    """Runs by task and by kind of fault; a run counts for each kind that it met."""
    lines = []
    for title, keys in (("task", lambda row: [row["task"]]), ("kind", _kinds)):
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            for key in keys(row):
                counts[key][row["verdict"]] += 1
                counts[key]["met"] += bool(row["dealt"])
        lines.append(f"{title:22} {'ok':>6} {'error, then ok':>15} {'FAILED':>7} {'met a fault':>12}")
        for key, count in sorted(counts.items()):
            lines.append(
                f"{key:22} {count['ok']:6} {count['repaired']:15} {count['FAILED']:7} {count['met']:12}"
            )
        lines.append("")
    return "\n".join(lines)


def _kinds(row: Row) -> list[str]:
    return sorted({key.split()[0] for key in row["dealt"]}) or ["(none met)"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-run", type=int, action="append", help="this one alone, again")
    parser.add_argument("--tasks", help="only runs of these tasks, with commas between them")
    parser.add_argument("--lanes", type=int, default=2, help="projects side by side")
    parser.add_argument("--record", type=Path, default=Path("runs/faults.jsonl"))
    options = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background jobs ignore it, and so would tasks
    again = bool(options.only_run)
    options.record.parent.mkdir(parents=True, exist_ok=True)
    record = Record(options.record, options.seed)
    known = set() if again else {row["run"] for row in record.rows}
    runs = [
        grammar.run(number, task, options.seed)
        for number, task in enumerate(grammar.mix(options.runs, options.seed))
    ]
    wanted = [
        run
        for run in runs
        if run.number not in known
        and (not again or run.number in options.only_run)
        and (options.tasks is None or run.task in options.tasks.split(","))
    ]
    queue = Queue(wanted)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kennel-faults-") as folder:
        photos, weights = make_photos(Path(folder, "photos")), make_weights(Path(folder, "tiny.safetensors"))
        count = min(options.lanes, len(wanted))
        with ThreadPoolExecutor(max(count, 1)) as pool:
            lanes = [
                pool.submit(lane, Path(folder, f"lane-{n}"), photos, weights, queue, record, options.seed)
                for n in range(count)
            ]
            try:
                wait(lanes)
            except KeyboardInterrupt:
                queue.close()
                print("Ending with the runs that have begun.", flush=True)
                wait(lanes)
        for one in lanes:
            one.result()
    rows = list({row["run"]: row for row in record.rows}.values())  # the last of each
    print(f"\n{table(rows)}{len(rows)} runs, seed {options.seed}, {time.monotonic() - began:.0f} s")
    sys.exit(any(row["verdict"] == "FAILED" for row in rows))


if __name__ == "__main__":
    main()
