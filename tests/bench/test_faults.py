from __future__ import annotations

from collections import Counter

from bench import faults
from bench.faulty import grammar
from bench.faulty.grammar import KINDS
from bench.faulty.play import complaints
from bench.faulty.project import Outcome
from localcloud.faults.rules import KINDS as FAULTS
from localcloud.faults.rules import Rule


def runs() -> list[grammar.Run]:
    return [grammar.run(number, task, 0) for number, task in enumerate(grammar.mix(300, 0))]


def test_the_same_seed_makes_the_same_runs() -> None:
    assert runs() == runs()
    assert grammar.run(7, "plan", 1).rules != grammar.run(7, "plan", 2).rules


def test_every_task_has_its_share_of_the_runs() -> None:
    counts = Counter(run.task for run in runs())
    assert counts.total() == 300
    assert counts.keys() == KINDS.keys()
    assert min(counts.values()) >= 7


def test_runs_meet_all_kinds_of_faults_by_rules_that_the_cloud_takes() -> None:
    rules = [Rule.read(rule) for run in runs() for rule in run.rules]
    assert {rule.kind for rule in rules} == {*FAULTS}


def test_a_task_finds_only_states_that_it_makes_sense_in() -> None:
    assert all(run.state in KINDS[run.task].states for run in runs())


def test_an_error_is_clear_where_it_names_rule_received_and_remedy() -> None:
    clear = Outcome(1, "", "\nerror: A rule.\nReceived: this\nRemedy: that\n", 1.0)
    assert complaints("plan", clear) == []
    assert complaints("plan", Outcome(1, "", "error: A rule.", 1.0)) == ["no clear error"]
    assert complaints("plan", Outcome(0, "", "Traceback (most recent call last)", 1.0)) == ["a traceback"]
    assert complaints("plan", Outcome(0, "ASIAQWERTYUIOPASDFGH", "", 1.0)) == ["a secret: ASIAQWERTYUI…"]
    assert complaints("plan", Outcome(None, "", "", 600.0)) == ["it did not end in time"]
    assert complaints("status", Outcome(1, "the endpoint is gone", "", 1.0)) == []


def test_the_table_counts_a_run_by_its_task_and_by_each_kind_that_it_met() -> None:
    rows = [
        {"task": "plan", "verdict": "ok", "dealt": {"cut s3 GetObject": 1, "cut s3 HeadBucket": 2}},
        {"task": "plan", "verdict": "FAILED", "dealt": {"throttle s3 GetObject": 1}},
        {"task": "status", "verdict": "repaired", "dealt": {}},
    ]
    lines = [line.split() for line in faults.table(rows).splitlines()]
    assert ["plan", "1", "0", "1", "2"] in lines
    assert ["cut", "1", "0", "0", "1"] in lines
    assert ["(none", "met)", "0", "1", "0", "0"] in lines
