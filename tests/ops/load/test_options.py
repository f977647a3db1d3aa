from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml.errors import KennelError
from ops.load import Asked
from ops.load.options import demand
from ops.traffic import Traffic

NUMBERS = ("0", "-1", "nan", "x", "")
NONE: dict[str, Any] = {"rate": None, "users": None, "traffic": None, "seconds": None}


def asked(**flags: Any) -> Asked:
    values = {name: flags.pop(name, None) for name in ("rate", "users", "traffic")}
    usual = {"on": "endpoint", "arrivals": "poisson", "seed": 0, "capacity": False, "p99": None}
    usual |= {"seconds": None, "save_traffic": None, "output": None}
    return Asked.of(values, **(usual | flags))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "Received: none"),
        ({"rate": "1", "users": "1", "seconds": "1"}, "Received: --rate and --users"),
        ({"users": "1", "traffic": "spike", "seconds": "1"}, "--users and --traffic"),
        ({"rate": "1"}, "no --for"),
        *[({"rate": bad, "seconds": "1"}, f"--rate is a number.*\n.*{bad}") for bad in (*NUMBERS, "inf", "1001")],
        *[({"users": bad, "seconds": "1"}, f"--users is a whole.*\n.*{bad}") for bad in (*NUMBERS, "1.5", "501")],
        *[({"rate": "1", "seconds": bad}, f"--for is a number.*\n.*{bad}") for bad in (*NUMBERS, "3601")],
        ({"rate": "1000", "seconds": "3600"}, "at most 1,000,000 requests"),
        ({"rate": "1", "seconds": "1", "arrivals": "random"}, "--arrivals is poisson or constant"),
        ({"traffic": "spike"}, "Add --rate PEAK and --for SECONDS"),
        ({"traffic": "spyke", "rate": "1", "seconds": "1"}, "spyke"),
        ({"traffic": "no/such.csv"}, "The traffic file is there"),
    ],
)  # fmt: skip
def test_a_demand_that_does_not_fit_is_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(KennelError, match=message):
        demand(**(NONE | flags))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"capacity": True, "rate": "5"}, "--capacity finds the rate itself"),
        ({"capacity": True, "on": "lambda"}, "--capacity is of the endpoint"),
        ({"capacity": True, "seconds": "0.5"}, "--for is a number"),
        ({"capacity": True, "p99": "0"}, "--p99 is a number"),
        ({"capacity": True, "output": "x.html"}, "writes capacity.json alone"),
        ({"rate": "1", "seconds": "1", "p99": "100"}, "--p99 is of --capacity"),
        ({"rate": "1", "seconds": "1", "on": "instance"}, "--on is endpoint or lambda"),
        (
            {"rate": "1", "seconds": "1", "output": "no/such/folder/x.html"},
            "--output is a file in an existing folder",
        ),
        ({"rate": "1", "seconds": "1", "save_traffic": "/"}, "--save-traffic is a file"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(KennelError, match=message):
        asked(**flags)


def test_a_pattern_fits_its_hours_into_the_seconds() -> None:
    found = demand(**(NONE | {"traffic": "spike", "rate": "20", "seconds": "60"})).traffic
    assert found is not None
    assert found.seconds == pytest.approx(60)
    assert max(found.rates) == 20
    assert min(found.rates) == 5


def test_a_file_of_traffic_is_followed_and_may_be_made_shorter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    Traffic(60, (1.0, 3.0)).write(path)
    whole = demand(**(NONE | {"traffic": str(path)}))
    assert (whole.seconds, whole.rate) == (120, 2)
    short = demand(**(NONE | {"traffic": str(path), "seconds": "10"}))
    assert short.traffic == Traffic(5, (1.0, 3.0))


def test_a_file_of_too_much_traffic_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    Traffic(60, (1.0, 3000.0)).write(path)
    with pytest.raises(KennelError, match="at most 1,000 requests a second"):
        demand(**(NONE | {"traffic": str(path)}))
    Traffic(3600, (1.0, 3.0)).write(path)
    with pytest.raises(KennelError, match="With --for SECONDS"):
        demand(**(NONE | {"traffic": str(path)}))


def test_a_pattern_or_file_with_what_it_does_not_need_is_refused(tmp_path: Path) -> None:
    Traffic(1, (1.0, 3.0)).write(tmp_path / "t.csv")
    with pytest.raises(KennelError, match="A traffic file has its rates"):
        demand(**(NONE | {"traffic": str(tmp_path / "t.csv"), "rate": "3"}))
