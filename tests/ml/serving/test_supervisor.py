from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.ml.serving.conftest import RunningServer, Start, server_process
from tests.ml.serving.samples import encode, photo
from tests.waiting import wait_for

JPEG = encode(photo(), "JPEG")
IMAGE = {"content-type": "image/jpeg"}
PATIENCE = 120  # seconds, for a busy machine


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ask(server: RunningServer) -> httpx.Response:
    return httpx.post(f"{server.url}/invocations", content=JPEG, headers=IMAGE, timeout=PATIENCE)


def samples(server: RunningServer) -> dict[str, float]:
    """What Prometheus reads: name and labels, to the value."""
    response = httpx.get(f"{server.url}/metrics", timeout=PATIENCE)
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        sample.name
        + "".join(f"[{key}={value}]" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_a_killed_worker_is_replaced_and_who_waits_is_answered(start_server: Start, model_dir: Path) -> None:
    with start_server(model_dir) as server:
        assert ask(server).status_code == 200
        (first,) = server.workers()
        os.kill(first, signal.SIGKILL)
        # Connections wait in the socket, which outlives the worker.
        wait_for(lambda: not alive(first), "the worker is gone", PATIENCE)
        assert ask(server).status_code == 200
        wait_for(lambda: len(server.workers()) == 2, "the second worker has told that it is ready", PATIENCE)
        (death,) = server.events("worker died")
        assert (death["pid"], death["exit_code"]) == (first, -signal.SIGKILL)
        found = samples(server)
    assert found["kennel_worker_restarts_total[reason=died]"] == 1
    # The counters go on where the first worker left them.
    assert found["kennel_requests_total[status=200]"] == 2


def test_a_worker_that_gives_no_sign_of_life_is_replaced(start_server: Start, model_dir: Path) -> None:
    with start_server(model_dir, KENNEL_HANG_SECONDS="5") as server:
        os.kill(server.workers()[0], signal.SIGSTOP)
        assert ask(server).status_code == 200
        (death,) = server.events("worker hung")
        assert death["exit_code"] == -signal.SIGKILL
        assert samples(server)["kennel_worker_restarts_total[reason=hung]"] == 1


def test_the_metrics_are_those_of_all_workers_and_tell_what_happened(
    start_server: Start, model_dir: Path
) -> None:
    with start_server(model_dir, KENNEL_WORKERS="2", KENNEL_MAX_BODY_BYTES="100000") as server:
        wait_for(lambda: len(server.workers()) == 2, "two workers are ready", PATIENCE)
        for _ in range(20):  # a connection each: they reach both
            assert ask(server).status_code == 200
        refused = httpx.post(f"{server.url}/invocations", content=bytes(100_001), headers=IMAGE)
        assert refused.status_code == 413
        wait_for(lambda: samples(server)["kennel_workers"] == 2, "both have told of themselves", PATIENCE)
        found = samples(server)
    assert found["kennel_requests_total[status=200]"] == 20
    assert found["kennel_requests_total[status=413]"] == 1
    assert found["kennel_refused_total[reason=body_too_large]"] == 1
    for stage in ("queue", "decode", "inference"):
        assert found[f"kennel_{stage}_seconds_count"] == 20
        assert found[f"kennel_{stage}_seconds_bucket[le=+Inf]"] == 20
        assert 0 < found[f"kennel_{stage}_seconds_sum"] < PATIENCE
    assert found["kennel_request_seconds_count"] == 21
    assert found["kennel_batch_images_sum"] == found["kennel_batch_images_count"] == 20
    assert found["kennel_in_flight"] == found["kennel_queue_length"] == 0
    assert found["kennel_estimated_wait_seconds"] == 0
    (info,) = (name for name in found if name.startswith("kennel_model_info"))
    assert "[classes=3]" in info
    assert "[engine=openvino]" in info
    assert "[precision=f32]" in info


def test_workers_end_with_a_supervisor_that_is_killed(model_dir: Path) -> None:
    with server_process(model_dir) as process:
        assert process.stdout is not None
        server = RunningServer(process, 0)
        while not server.workers():
            server.lines.append(process.stdout.readline())
        process.kill()
        wait_for(lambda: not alive(server.workers()[0]), "the worker is gone", PATIENCE)


def test_a_worker_that_is_killed_while_it_loads_is_tried_three_times(own_model_dir: Path) -> None:
    engine = own_model_dir / "code" / "serving" / "engine.py"
    killed = "import os\nos.kill(os.getpid(), 9)\n"
    text = engine.read_text(encoding="utf-8")
    engine.write_text(text.replace("FILES: Final", f"{killed}FILES: Final"), encoding="utf-8")
    with server_process(own_model_dir) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert out.count("worker died") == 3
    assert err == (
        "A worker loads the model.\nReceived: it was ended by signal 9 while it did, 3 times\n"
        "Remedy: Choose an instance with more memory, or a smaller model.\n"
    )


def test_a_port_that_is_taken_is_named(model_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with server_process(model_dir, SAGEMAKER_BIND_TO_PORT=str(port)) as process:
            _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert f"name an address that is free: 127.0.0.1, port {port}: Address already in use.\n" in err


def test_requests_that_wait_at_sigterm_are_answered_before_the_end(
    start_server: Start, model_dir: Path
) -> None:
    large = encode(photo((4000, 4000)), "JPEG")
    head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: {len(large)}\r\n\r\n"
    with start_server(model_dir) as server:
        connections = [socket.create_connection(("127.0.0.1", server.port), PATIENCE) for _ in range(6)]
        for connection in connections:
            connection.sendall(head.encode() + large)
        wait_for(
            lambda: samples(server)["kennel_in_flight"] == 6, "all are being worked on, or wait", PATIENCE
        )
        server.process.send_signal(signal.SIGTERM)
        for connection in connections:
            with connection:
                answer = b"".join(iter(lambda: connection.recv(65536), b""))  # noqa: B023 - used in its round
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer.lower()
