from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ml.errors import KennelError
from ops.console import app, jobs, server
from ops.console.guard import Access
from tests.console_cloud import FakeCloud, Refused, bulk_jobs, says_no

ACCESS = Access(8484, "secret")


@pytest.fixture
def client(cloud: FakeCloud) -> Iterator[TestClient]:
    with TestClient(app.make(cloud, ACCESS), base_url="http://127.0.0.1:8484") as found:
        found.cookies.set(ACCESS.cookie, ACCESS.token)
        found.headers["Origin"] = "http://127.0.0.1:8484"
        yield found


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(jobs, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(jobs, "WORK", tmp_path / "work")
    folder = tmp_path / "runs" / "20261123T010203-000001"
    folder.mkdir(parents=True)
    row = {"epoch": 1, "train_loss": 0.8, "valid_loss": float("nan"), "valid_accuracy": 0.9, "other": 1}
    (folder / "metrics.json").write_text(json.dumps({"evaluation": {"accuracy": 0.93}, "history": [row]}))
    (folder / "config.json").write_text(json.dumps({"backbone": "timm/resnet50"}))
    (folder / "report.html").write_text("<script>parent.document</script>")
    (folder / "job.json").write_text(json.dumps({"name": "kennel-dev-261123"}))
    return tmp_path / "runs"


def data(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def error(client: TestClient, path: str) -> dict[str, str]:
    answer = client.get(path)
    assert answer.status_code == 502
    return dict(answer.json()["error"])


def test_the_endpoint_is_described_with_its_model_and_type(client: TestClient) -> None:
    found = data(client, "/api/endpoint")
    assert (found["status"], found["types"], found["rolled_back"]) == ("InService", ["ml.c7i.large"], False)
    assert found["model"]["metrics"]["accuracy"] == 0.955
    assert found["variants"] == [{"name": "primary", "current": 2, "desired": 2, "weight": 1.0}]


def test_a_rollback_that_ended_in_service_is_told(client: TestClient, cloud: FakeCloud) -> None:
    cloud.outputs["endpoint_config_name"] = "kennel-dev-3"
    assert data(client, "/api/endpoint")["rolled_back"] is True


def test_an_endpoint_that_is_gone_is_no_error(client: TestClient, cloud: FakeCloud) -> None:
    cloud.says["DescribeEndpoint"] = Refused("ValidationException", "Could not find endpoint kennel-dev")
    assert data(client, "/api/endpoint")["status"] == "Gone"


def test_all_metrics_are_read_by_one_request_whatever_the_number_of_tabs(
    client: TestClient, cloud: FakeCloud
) -> None:
    for _ in range(3):
        found = data(client, "/api/traffic?minutes=30")
    (request,) = cloud.asked("GetMetricData")
    assert found["usd_per_hour"] == pytest.approx(len(request["MetricDataQueries"]) * 240 * 0.01 / 1000)
    assert 0.4 * 31 < found["series"]["latency_p99"][-1][1] < 31  # ms, of AWS's microseconds


def test_sums_of_longer_periods_are_still_per_minute(client: TestClient, cloud: FakeCloud) -> None:
    minute = data(client, "/api/traffic?minutes=30")["series"]["invocations"][-1][1]
    day = data(client, "/api/traffic?minutes=1440")["series"]["invocations"][-1][1]
    assert cloud.asked("GetMetricData")[1]["MetricDataQueries"][0]["MetricStat"]["Period"] == 300
    assert day == pytest.approx(minute / 5)


def test_a_window_that_the_page_does_not_offer_is_refused(client: TestClient) -> None:
    assert client.get("/api/traffic?minutes=1000000").status_code == 422


def test_activities_tell_where_from_only_where_it_is_known(client: TestClient) -> None:
    found = data(client, "/api/scaling")["activities"]
    assert [(each["from"], each["to"]) for each in found] == [(3, 2), (3, None), (1, 3), (None, 1)]
    assert [each["why"] for each in found][::3] == ["metric below target", "minimum set to 1"]


def test_scaling_without_the_right_to_see_activities_still_shows_the_policy(
    client: TestClient, cloud: FakeCloud
) -> None:
    cloud.says["DescribeScalingActivities"] = Refused("AccessDeniedException")
    found = data(client, "/api/scaling")
    assert found["activities"] is None
    assert found["policies"][0]["target"] == 100


def test_alarms_that_sound_come_first(client: TestClient) -> None:
    found = data(client, "/api/alarms")
    assert [each["state"] for each in found] == ["ALARM", "OK", "OK"]
    assert found[0]["rule"] == "InvocationsPerInstance > 100, 3 of 3 × 60 s"


def test_throttling_says_that_waiting_helps(client: TestClient, cloud: FakeCloud) -> None:
    cloud.says["DescribeAlarms"] = Refused("ThrottlingException", "Rate exceeded")
    assert error(client, "/api/alarms") == {
        "rule": "AWS is throttling this account's requests.",
        "received": "ThrottlingException",
        "remedy": "The page tries again by itself.",
    }


def test_a_missing_right_is_named(client: TestClient, cloud: FakeCloud) -> None:
    cloud.says["ListTrainingJobs"] = Refused("AccessDeniedException", "User: x is not authorized")
    assert error(client, "/api/jobs")["rule"] == "Your credentials may not call ListTrainingJobs."


def test_only_the_stages_jobs_are_listed(client: TestClient) -> None:
    assert [job["name"] for job in data(client, "/api/jobs")] == ["kennel-dev-261123", "kennel-dev-tune"]
    assert "of this stage" in error(client, "/api/curves/training/not-ours")["rule"]


def test_a_bulk_job_is_listed_among_the_others_with_its_end(client: TestClient, cloud: FakeCloud) -> None:
    cloud.says["ListTransformJobs"] = bulk_jobs()
    listed = data(client, "/api/jobs")
    assert [job["kind"] for job in listed] == ["training", "bulk", "tuning"]
    assert listed[1]["ended"] - listed[1]["began"] == pytest.approx(300, abs=1)


def test_a_tuning_jobs_trials_carry_the_best_so_far(client: TestClient) -> None:
    found = data(client, "/api/curves/tuning/kennel-dev-tune")
    assert [trial["best"] for trial in found["points"]] == [0.9, 0.5, 0.5, 0.4]


@pytest.mark.usefixtures("runs")
def test_a_job_whose_run_is_here_is_shown_by_epoch(client: TestClient, cloud: FakeCloud) -> None:
    found = data(client, "/api/curves/training/kennel-dev-261123")
    assert (found["by"], found["report"]) == ("epoch", "/runs/20261123T010203-000001")
    assert cloud.asked("GetMetricData") == []


def test_any_other_job_is_shown_by_cloudwatch(client: TestClient, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(jobs, "RUNS", tmp_path)
    found = data(client, "/api/curves/training/kennel-dev-261123")
    assert found["by"] == "minute"
    assert {"train_loss", "valid_loss", "train_accuracy", "valid_accuracy"} < set(found["points"][0])


@pytest.mark.usefixtures("runs")
def test_a_run_shows_its_numbers_and_leaves_out_what_is_none(client: TestClient) -> None:
    (run,) = data(client, "/api/runs")["runs"]
    assert (run["backbone"], run["accuracy"]) == ("timm/resnet50", 0.93)
    assert run["points"] == [{"epoch": 1, "train_loss": 0.8, "valid_accuracy": 0.9}]


def test_a_report_is_shut_away_from_the_page(runs: Path, cloud: FakeCloud, monkeypatch: Any) -> None:
    monkeypatch.setattr(app, "RUNS", runs)
    with TestClient(app.make(cloud, ACCESS), base_url="http://127.0.0.1:8484") as client:
        client.cookies.set(ACCESS.cookie, ACCESS.token)
        answer = client.get("/runs/20261123T010203-000001")
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts;")
        for name in ("%2e%2e", "..%2fetc", "absent", ".hidden"):
            assert client.get(f"/runs/{name}").status_code == 404


def test_a_photo_goes_to_the_function_as_predict_sends_it(client: TestClient, cloud: FakeCloud) -> None:
    found = client.post("/api/predict", content=b"\xff\xd8 photo").json()["data"]
    (request,) = cloud.asked("Invoke")
    assert (request["Qualifier"], request["LogType"]) == ("live", "Tail")
    assert base64.b64decode(json.loads(request["Payload"])["image"]) == b"\xff\xd8 photo"
    assert found["milliseconds"]["endpoint"] == 19.8
    assert (found["variant"], found["cold_start"]) == ("primary", False)


@pytest.mark.parametrize(
    ("body", "kind", "rule"),
    [
        (b"", "image/jpeg", "A photo to ask about."),
        (b"{}", "application/json", "A URL begins with https:// or http://."),
        (b'{"url": "file:///etc/passwd"}', "application/json", "A URL begins with https:// or http://."),
        (b"[", "application/json; charset=utf-8", "A URL begins with https:// or http://."),
    ],
)
def test_what_is_no_question_is_refused_here(
    client: TestClient, cloud: FakeCloud, body: bytes, kind: str, rule: str
) -> None:
    answer = client.post("/api/predict", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert answer.json()["error"]["rule"] == rule
    assert cloud.asked("Invoke") == []


def test_a_photo_beyond_all_measure_is_not_read_to_its_end(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MAX_PHOTO_BYTES", 1000)
    answer = client.post("/api/predict", content=b"x" * 1001)
    assert answer.status_code == 422
    assert "A photo has at most" in answer.json()["error"]["rule"]


def test_a_refusal_of_the_function_is_shown_in_its_words(client: TestClient, cloud: FakeCloud) -> None:
    cloud.says["Invoke"] = says_no("The image is truncated.")
    answer = client.post("/api/predict", content=b"photo")
    assert answer.status_code == 502
    assert answer.json()["error"]["rule"] == "The image is truncated."


def test_a_stage_without_anything_is_no_error(client: TestClient, cloud: FakeCloud) -> None:
    cloud.outputs = {}
    assert data(client, "/api/endpoint") is None
    assert data(client, "/api/scaling") is None
    assert data(client, "/api/function") is None
    assert data(client, "/api/traffic")["series"] == {}
    assert cloud.asked("GetMetricData") == []


def test_a_taken_port_is_told_when_it_was_asked_for(cloud: FakeCloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(KennelError, match="--port is free"):
        server.Page(cloud, other.getsockname()[1])


@pytest.mark.parametrize("seconds", [0, -1, 10**9])
def test_a_page_is_open_for_a_limited_time(seconds: int) -> None:
    with pytest.raises(KennelError, match="--for is a number of seconds from 1 to 604800"):
        server.lifetime(seconds)
    assert server.lifetime(None) == 8 * 3600


def test_it_ends_by_itself(cloud: FakeCloud) -> None:
    server.Page(cloud, 0).run(0.05)  # returns
