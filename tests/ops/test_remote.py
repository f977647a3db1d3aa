from __future__ import annotations

from typing import Any

import pytest

from ml.errors import KennelError
from ops.remote import place


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
