from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import KennelError
from ops.settings import Settings


def test_an_argument_comes_before_the_environment_and_that_before_the_default() -> None:
    assert Settings.read({}).stage == "local"
    assert Settings.read({"KENNEL_STAGE": "dev"}).stage == "dev"
    assert Settings.read({"KENNEL_STAGE": "dev"}, stage="prod").stage == "prod"


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("KENNEL_STAGE", "staging", "A stage is one of local, dev, prod."),
        ("KENNEL_STAGE", "Local", "A stage is one of local, dev, prod."),
        ("KENNEL_PROVIDER_MIRROR", "/nowhere/at/all", "KENNEL_PROVIDER_MIRROR is an existing directory."),
        (
            "KENNEL_CLOUD_LIFETIME",
            "1h",
            "KENNEL_CLOUD_LIFETIME is a whole number of seconds from 60 to 604800.",
        ),
        (
            "KENNEL_CLOUD_LIFETIME",
            "59",
            "KENNEL_CLOUD_LIFETIME is a whole number of seconds from 60 to 604800.",
        ),
        (
            "KENNEL_CLOUD_LIFETIME",
            "-1",
            "KENNEL_CLOUD_LIFETIME is a whole number of seconds from 60 to 604800.",
        ),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_with_the_rule(variable: str, value: str, rule: str) -> None:
    with pytest.raises(KennelError) as caught:
        Settings.read({variable: value})
    assert caught.value.rule == rule
    assert caught.value.received is not None
    assert str(caught.value.received) == value
    assert caught.value.remedy


def test_a_mirror_that_is_set_is_taken(tmp_path: Path) -> None:
    assert Settings.read({"KENNEL_PROVIDER_MIRROR": str(tmp_path)}).provider_mirror == tmp_path
