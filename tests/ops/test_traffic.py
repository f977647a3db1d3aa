from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import KennelError
from ops.traffic import Traffic


def test_traffic_that_is_written_is_read_again(tmp_path: Path) -> None:
    traffic = Traffic(0.5, (0.0, 12.25, 3.0))
    traffic.write(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "seconds,requests_per_second\n0,0\n0.5,12.25\n1,3\n"
    assert Traffic.read(tmp_path / "t.csv") == traffic


def test_long_traffic_keeps_its_times(tmp_path: Path) -> None:
    traffic = Traffic(0.5, (1.0,) * 200_000)
    traffic.write(tmp_path / "t.csv")
    assert Traffic.read(tmp_path / "t.csv") == traffic


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The first line of a traffic file is seconds,requests_per_second."),
        ("time,rate\n0,1\n1,1\n", "time,rate"),
        ("seconds,requests_per_second\n0,1\n", "two rows or more"),
        ("seconds,requests_per_second\n0,1\n1,x\n", "line 3: 1,x"),
        ("seconds,requests_per_second\n0,1\n1,-2\n", "line 3: 1,-2"),
        ("seconds,requests_per_second\n0,1\n1,nan\n", "line 3: 1,nan"),
        ("seconds,requests_per_second\n0,1\n1,2,3\n", "line 3: 1,2,3"),
        ("seconds,requests_per_second\n1,1\n2,1\n", "line 2: 1"),
        ("seconds,requests_per_second\n0,1\n1,1\n3,1\n", "line 4: 3"),
    ],
)
def test_a_file_that_is_no_traffic_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(KennelError, match=message):
        Traffic.read(tmp_path / "t.csv")
