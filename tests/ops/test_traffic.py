from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import KennelError
from ops.traffic import Traffic

HEADER = "seconds,requests_per_second\n"


def test_traffic_that_is_written_is_read_again(tmp_path: Path) -> None:
    traffic = Traffic(0.5, (0.0, 12.25, 3.0))
    traffic.write(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == f"{HEADER}0,0\n0.5,12.25\n1,3\n"
    assert Traffic.read(tmp_path / "t.csv") == traffic


def test_long_traffic_keeps_its_times(tmp_path: Path) -> None:
    traffic = Traffic(0.5, (1.0,) * 200_000)
    traffic.write(tmp_path / "t.csv")
    assert Traffic.read(tmp_path / "t.csv") == traffic


def test_a_file_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"0,1\r\n10,2\r\n\r\n")
    assert Traffic.read(tmp_path / "t.csv") == Traffic(10, (1.0, 2.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: The header is seconds,requests_per_second\.\nReceived: an empty file"),
        ("time,rate\n0,1\n1,1\n", r"line 1: The header is .*\nReceived: time,rate"),
        (HEADER, r"line 2: There is a row for each step\."),
        (f"{HEADER}0,1\n1,x\n", r"line 3: requests_per_second is a number from 0\.\nReceived: x"),
        (f"{HEADER}0,1\n1,-2\n", r"line 3: requests_per_second is a number from 0\.\nReceived: -2"),
        (f"{HEADER}0,1\n1,nan\n", r"line 3: .*\nReceived: nan"),
        (f"{HEADER}0,1\n1,inf\n", r"line 3: .*\nReceived: inf"),
        (f"{HEADER}0,1\n1,\n", r"line 3: .*\nReceived: nothing"),
        (f"{HEADER}0,1\n\n1,2\n", r"line 3: A row has two columns\.\nReceived: an empty line"),
        (f"{HEADER}0,1\n1,2,3\n", r"line 3: A row has two columns\.\nReceived: 1,2,3"),
        (f"{HEADER}1,1\n2,1\n", r"line 2: The first row is that of second 0\.\nReceived: 1"),
        (f"{HEADER}0,1\n1,1\n3,1\n", r"line 4: All steps are as long as the first, 1 s\.\nReceived: 3 where 2 is due"),
        (f"{HEADER}0,1\n0,1\n", r"line 2: All steps are as long as the first"),
        (f"{HEADER}0,1\n0.01,1\n", r"A step of traffic lasts 0\.1 s or more"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_traffic_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(KennelError, match=message):
        Traffic.read(tmp_path / "t.csv")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KennelError, match=r"The traffic file is there\."):
        Traffic.read(tmp_path / "t.csv")
    with pytest.raises(KennelError, match=r"Traffic is read from a CSV file\."):
        Traffic.read(tmp_path)


@given(
    st.lists(st.floats(0, 1e4), min_size=1, max_size=60),
    st.sampled_from([0.5, 1.0, 7.0, 10.0, 60.0]),
    st.sampled_from([1.0, 10.0, 25.0]),
)
def test_other_steps_hold_the_same_requests(rates: list[float], interval: float, other: float) -> None:
    traffic = Traffic(interval, tuple(rates))
    found = traffic.resampled(other)
    last = traffic.seconds - (len(found.rates) - 1) * found.interval
    requests = found.interval * sum(found.rates[:-1]) + last * found.rates[-1]
    assert requests == pytest.approx(traffic.requests, rel=1e-6, abs=1e-6)
