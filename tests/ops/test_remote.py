from __future__ import annotations

from typing import Any

import pytest

from ml.errors import KennelError
from ops import remote
from ops.jobs.follow import Detached
from ops.remote import place
from ops.stage import Stage


def test_without_a_word_training_is_here_and_in_one_process() -> None:
    where = place("local", {"spot": False, "name": None})
    assert where.is_here
    assert where.processes == 1


def test_what_is_said_of_a_job_becomes_its_options() -> None:
    given = {"instances": "2", "spot": True, "instance_type": "ml.m5.xlarge", "max_runtime": 3600}
    where = place("sagemaker", given, processes="4")
    assert not where.is_here
    options = where.options
    assert (options.instances, options.spot, options.instance_type) == (2, True, "ml.m5.xlarge")
    assert (options.max_runtime, options.processes) == (3600, 4)


@pytest.mark.parametrize(
    ("on", "given", "more", "rule"),
    [
        ("gcp", {}, {}, "--on is one of local, sagemaker, ec2."),
        ("local", {"spot": True}, {}, "What is said of a job has a meaning where it runs"),
        ("ec2", {"instances": 2}, {}, "What is said of a job has a meaning where it runs"),
        ("sagemaker", {"instances": "two"}, {}, "--instances is a whole number."),
        ("sagemaker", {}, {"resume": True}, "--resume is for this machine"),
        ("sagemaker", {}, {"processes": "many"}, "--processes is a whole number."),
        ("sagemaker", {"spot": True, "checkpoints": "none"}, {}, "Spot training needs checkpoints"),
        ("sagemaker", {"instance_type": "g4dn.xlarge"}, {}, "A training instance type is ml.family.size."),
        ("sagemaker", {"max_wait": 3600}, {}, "Only spot training waits for capacity."),
    ],
)
def test_what_makes_no_sense_is_told_with_its_remedy(
    on: str, given: dict[str, Any], more: dict[str, Any], rule: str
) -> None:
    with pytest.raises(KennelError) as caught:
        place(on, given, **more)
    assert caught.value.rule.startswith(rule)
    assert caught.value.remedy


@pytest.mark.parametrize(("trials", "parallel"), [(0, 2), (-1, 2), (4, 0)])
def test_numbers_of_trials_begin_with_one(trials: int, parallel: int) -> None:
    with pytest.raises(KennelError, match="is a whole number from 1"):
        remote.tune(
            Stage.of("local"), place("sagemaker", {}), {}, None, lambda _: None,
            trials=trials, parallel=parallel, search=None, space=None,
        )  # fmt: skip


def test_ctrl_c_while_results_are_fetched_says_how_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(remote, "_outputs", lambda *_: {"prefix": "kennel-dev"})
    monkeypatch.setattr(remote.sagemaker, "start_training", lambda *_: "kennel-dev-1")
    monkeypatch.setattr(remote.follow, "follow", lambda *_: {})
    monkeypatch.setattr(remote.results, "collect", interrupted)
    with pytest.raises(Detached, match="--attach kennel-dev-1 --stage dev comes back"):
        remote.train(Stage.of("dev"), place("sagemaker", {}), {}, None, lambda _: None)


def test_a_further_job_has_a_name_of_its_own() -> None:
    where = place("sagemaker", {"name": "kennel-dev-mine", "instances": 2})
    assert (where.for_another.options.name, where.for_another.options.instances) == (None, 2)
