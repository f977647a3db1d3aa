from __future__ import annotations

import gc

from moto.logs.models import LogEvent, logs_backends

from localcloud import gaps, logs
from localcloud.metrics import Metrics

ACCOUNT, REGION = "210987654321", "us-east-1"


def test_a_stream_keeps_its_newest_events_and_nothing_keeps_the_others() -> None:
    gaps.forget_instances(LogEvent)  # moto's mock_aws, which other tests use, has moto keep them again
    gc.collect()
    before = sum(type(one) is LogEvent for one in gc.get_objects())
    stream = logs.Stream(ACCOUNT, REGION, "/g", "s", returns=True)
    for number in range(60):
        stream.write([f"{number} " + "x" * 100_000])
    events = logs_backends[ACCOUNT][REGION].groups["/g"].streams["s"].events
    assert events[-1].message.startswith("59 ")
    assert len(events) == 41  # 4 MiB
    gc.collect()
    assert sum(type(one) is LogEvent for one in gc.get_objects()) - before == 41


def test_a_deleted_stream_returns_only_where_it_is_meant_to() -> None:
    backend = logs_backends[ACCOUNT][REGION]
    for returns in (True, False):
        stream = logs.Stream(ACCOUNT, REGION, "/deleted", "s", returns=returns)
        stream.write(["one"])
        backend.delete_log_group("/deleted")
        stream.write(["two"])
        assert ("/deleted" in backend.groups) == returns
        backend.groups.pop("/deleted", None)


def test_the_oldest_streams_of_a_group_make_room() -> None:
    for number in range(210):
        logs.Stream(ACCOUNT, REGION, "/many", str(number), returns=True).write(["x"])
    streams = logs_backends[ACCOUNT][REGION].groups["/many"].streams
    assert (len(streams), "9" in streams, "209" in streams) == (200, False, True)


def test_values_of_a_minute_are_one_statistic_set() -> None:
    now = 1_700_000_000.0
    for value in (3.0, 1.0, 2.0):
        Metrics.record(ACCOUNT, REGION, "N", {"D": "d"}, {"M": (value, "Count")}, at=now)
    metric = ("N", "M", (("D", "d"),))
    ((_, found),) = Metrics.points(ACCOUNT, REGION, metric, None, now - 60, now + 60)
    assert (found.count, found.total, found.low, found.high) == (3, 6, 1, 3)
