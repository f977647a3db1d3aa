from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.ml.serving.conftest import RunningServer, Start, server_process
from tests.ml.serving.samples import encode, photo

JPEG = encode(photo(), "JPEG")
IMAGE = {"content-type": "image/jpeg"}
LIMIT = 6 * 1024 * 1024
TIMEOUT = 60  # seconds, for a busy machine


def error_of(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"type", "message"}
    return response.status_code, body["error"]["type"]


def connect(server: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)


def post_head(length: int) -> bytes:
    lines = [
        "POST /invocations HTTP/1.1",
        "Host: kennel",
        "Content-Type: image/jpeg",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def test_ping_is_200_once_the_model_is_loaded(client: httpx.Client) -> None:
    assert client.get("/ping").status_code == 200


def test_batch_transform_is_told_how_to_ask(client: httpx.Client) -> None:
    parameters = client.get("/execution-parameters").json()
    assert 1 <= parameters.pop("MaxConcurrentTransforms") <= 100 // 6
    assert parameters == {"BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 6}


@pytest.mark.parametrize("body", [b"no image", b"", JPEG[:400]])
def test_what_is_wrong_with_a_photo_is_an_answer_where_that_is_wished(
    client: httpx.Client, body: bytes
) -> None:
    wish = {"content-type": "application/x-image", "accept": "application/json;verbose=1;errors=1"}
    status, told = error_of(client.post("/invocations", content=body, headers=wish))
    assert status == 200
    plain, code = error_of(client.post("/invocations", content=body, headers={**wish, "accept": "*/*"}))
    assert (plain >= 400, code) == (True, told)


def test_image_bytes_are_answered_with_one_row_of_scores(client: httpx.Client) -> None:
    response = client.post("/invocations", content=JPEG, headers=IMAGE)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert [len(row) for row in response.json()] == [3]


def test_a_verbose_answer_names_the_class_of_the_golden_image(client: httpx.Client, model_dir: Path) -> None:
    manifest = json.loads((model_dir / "manifest.json").read_text())
    response = client.post(
        "/invocations",
        content=(model_dir / "golden.png").read_bytes(),
        headers={"content-type": "application/x-image", "accept": "application/json;verbose=1;top=2"},
    )
    (answer,) = response.json()["predictions"]
    assert answer["name"] == manifest["classes"][manifest["golden"]["label"]]
    assert answer["probability"] == pytest.approx(manifest["golden"]["probability"], abs=1e-3)
    assert len(answer["top"]) == 2


def test_a_base64_image_gets_the_answer_that_the_bytes_get(client: httpx.Client) -> None:
    text = base64.b64encode(JPEG).decode()
    answers = [
        client.post("/invocations", content=JPEG, headers=IMAGE).json(),
        client.post("/invocations", json={"image": text}).json(),
    ]
    assert answers[0] == answers[1]


def test_answers_to_concurrent_clients_are_not_mixed_up(server: RunningServer) -> None:
    photos = [encode(photo(seed=seed), "JPEG") for seed in range(4)]

    def ask(number: int) -> object:
        return httpx.post(
            f"{server.url}/invocations", content=photos[number % 4], headers=IMAGE, timeout=TIMEOUT
        ).json()

    expected = [ask(number) for number in range(4)]
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(ask, range(40)))
    assert answers == 10 * expected


@pytest.mark.parametrize(
    ("headers", "content", "expected"),
    [
        ({"content-type": "image/gif"}, JPEG, (415, "unsupported_content_type")),
        ({}, JPEG, (415, "unsupported_content_type")),
        ({**IMAGE, "content-encoding": "gzip"}, JPEG, (415, "unsupported_content_encoding")),
        ({**IMAGE, "accept": "text/html"}, JPEG, (406, "not_acceptable")),
        ({"content-type": "image/png"}, JPEG, (415, "content_type_mismatch")),
        (IMAGE, b"", (400, "empty_image")),
        (IMAGE, JPEG[:-50], (400, "broken_image")),
        ({"content-type": "application/json"}, b"{", (400, "invalid_json")),
        (
            {"content-type": "application/json"},
            b'{"url": "https://example.com/a.jpg"}',
            (403, "urls_not_allowed"),
        ),
        (IMAGE, bytes(LIMIT + 1), (413, "body_too_large")),
    ],
)
def test_a_bad_request_is_a_4xx_with_a_json_error(
    client: httpx.Client, headers: dict[str, str], content: bytes, expected: tuple[int, str]
) -> None:
    response = client.post("/invocations", content=content, headers=headers)
    assert error_of(response) == expected
    assert client.get("/ping").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("GET", "/invocations", 405), ("POST", "/ping", 405)]
)
def test_other_routes_are_refused_in_json(client: httpx.Client, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert error_of(response) == (status, "no_such_route")
    assert "there are GET /ping, POST /invocations, " in response.json()["error"]["message"]


def test_a_chunked_body_is_counted_while_it_streams(client: httpx.Client) -> None:
    chunks = (bytes(65536) for _ in range(LIMIT // 65536 + 1))
    assert error_of(client.post("/invocations", content=chunks, headers=IMAGE)) == (413, "body_too_large")


def test_a_chunked_body_within_the_limit_is_answered(client: httpx.Client) -> None:
    chunks = (JPEG[start : start + 100] for start in range(0, len(JPEG), 100))
    assert client.post("/invocations", content=chunks, headers=IMAGE).status_code == 200


def test_the_request_id_of_the_caller_is_kept(client: httpx.Client) -> None:
    assert client.get("/ping", headers={"x-request-id": "abc-1.2_3"}).headers["x-request-id"] == "abc-1.2_3"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, '"}'])
def test_a_request_id_that_could_spoil_the_log_is_replaced(client: httpx.Client, given: str) -> None:
    assert len(client.get("/ping", headers={"x-request-id": given}).headers["x-request-id"]) == 32


def test_each_request_leaves_one_log_line_without_payload(
    client: httpx.Client, server: RunningServer
) -> None:
    secret = b"SECRETPAYLOAD"
    client.post("/invocations", content=secret, headers={**IMAGE, "x-request-id": "logged"})
    deadline = time.monotonic() + 10
    while not (lines := [line for line in server.events("request") if line["request_id"] == "logged"]):
        assert time.monotonic() < deadline, "no log line in 10 s"
    (line,) = lines
    assert (line["method"], line["path"], line["status"]) == ("POST", "/invocations", 400)
    assert (line["error"], line["body_bytes"]) == ("not_an_image", len(secret))
    assert not any(secret.decode() in line for line in server.lines)


def test_no_http_garbage_stops_the_server(server: RunningServer, client: httpx.Client) -> None:
    for garbage in (b"\0" * 1000, b"GET / HTTP/x\r\n\r\n", b"GET /" + b"a" * 100_000, post_head(-1)):
        with connect(server) as connection:
            connection.sendall(garbage)
            assert read_all(connection).startswith(b"HTTP/1.1 400")
    assert client.get("/ping").status_code == 200


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET /ping HTTP/1.1\r\nX: ",
        b"POST /invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: image/jpeg\r\n\r\n0\r\nX: ",
    ],
    ids=["target", "header", "trailer"],
)
def test_what_never_ends_is_cut_off(server: RunningServer, client: httpx.Client, start: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(start)
        with pytest.raises(ConnectionError):  # noqa: PT012 - the kernel takes some bytes after the end
            for _ in range(4 * LIMIT // 65536):
                connection.sendall(b"a" * 65536)
            pytest.fail("24 MiB were taken")
    assert client.get("/ping").status_code == 200


def test_more_than_one_header_may_not_add_up_to_more_either(server: RunningServer) -> None:
    with connect(server) as connection:
        lines = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(70))
        connection.sendall(b"GET /ping HTTP/1.1\r\n" + lines + b"\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 400")


def test_a_client_that_leaves_in_the_middle_does_no_harm(server: RunningServer, client: httpx.Client) -> None:
    for _ in range(20):
        with connect(server) as connection:
            connection.sendall(post_head(len(JPEG)) + JPEG[:100])
    assert client.post("/invocations", content=JPEG, headers=IMAGE).status_code == 200


def test_slow_senders_are_cut_off_and_do_not_keep_others_waiting(
    start_server: Start, model_dir: Path
) -> None:
    with start_server(model_dir, KENNEL_READ_TIMEOUT_SECONDS="4") as server:
        bodies = [connect(server) for _ in range(40)]
        heads = [connect(server) for _ in range(40)]
        for connection in bodies:
            connection.sendall(post_head(1000) + b"\xff")
        for connection in heads:
            connection.sendall(b"POST /invocations HTTP/1.1\r\nHost:")
        started = time.monotonic()
        assert (
            httpx.post(f"{server.url}/invocations", content=JPEG, headers=IMAGE, timeout=TIMEOUT).status_code
            == 200
        )
        assert time.monotonic() - started < 4
        for connection in bodies:
            answer = read_all(connection)
            assert answer.startswith(b"HTTP/1.1 408")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "body_too_slow"
        assert [read_all(connection) for connection in heads] == 40 * [b""]
        assert time.monotonic() - started < 20
        for connection in bodies + heads:
            connection.close()


def test_too_many_requests_at_once_are_told_to_come_again(start_server: Start, model_dir: Path) -> None:
    large = encode(photo((6000, 6000)), "JPEG")
    with start_server(model_dir, KENNEL_MAX_QUEUE="1") as server:

        def ask(_: int) -> httpx.Response:
            return httpx.post(f"{server.url}/invocations", content=large, headers=IMAGE, timeout=TIMEOUT)

        with ThreadPoolExecutor(6) as clients:
            responses = list(clients.map(ask, range(6)))
        statuses = [response.status_code for response in responses]
        assert set(statuses) == {200, 503}
        for response in responses:
            if response.status_code == 503:
                assert error_of(response) == (503, "busy")
                assert response.headers["retry-after"] == "1"
        assert ask(0).status_code == 200


def test_the_torch_engine_is_served_too(start_server: Start, model_dir: Path) -> None:
    with start_server(model_dir, KENNEL_ENGINE="torch") as server:
        assert server.events("ready")[0]["engine"] == "torch"
        assert (
            httpx.post(f"{server.url}/invocations", content=JPEG, headers=IMAGE, timeout=TIMEOUT).status_code
            == 200
        )


def test_sigterm_lets_the_request_that_runs_finish(start_server: Start, model_dir: Path) -> None:
    with start_server(model_dir) as server, connect(server) as connection:
        connection.sendall(post_head(len(JPEG)) + JPEG[:100])
        assert (
            httpx.get(f"{server.url}/ping", timeout=TIMEOUT).status_code == 200
        )  # the one above has been accepted before
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while True:
            try:
                connect(server).close()
            except OSError:  # refused, or reset when it was still in the queue
                break
            assert time.monotonic() < deadline, "the port is still open 10 s after SIGTERM"
        connection.sendall(JPEG[100:])
        assert read_all(connection).startswith(b"HTTP/1.1 200")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err


def test_a_model_that_cannot_be_loaded_ends_the_server_with_the_reason(own_model_dir: Path) -> None:
    (own_model_dir / "model.xml").write_bytes(b"damaged")
    code, _, err = ended(server_process(own_model_dir))
    assert code == 1
    # Before it there are warnings of OpenVINO's own.
    assert "The openvino engine loads the model.\nReceived: RuntimeError" in err
    assert "\nRemedy: Pack the model again" in err
    assert "Traceback" not in err


def test_a_model_directory_that_is_not_there_is_named(model_dir: Path, tmp_path: Path) -> None:
    code, _, err = ended(server_process(model_dir, SAGEMAKER_BASE_DIR=str(tmp_path)))
    assert code == 1
    assert err.startswith(f"A model directory holds manifest.json.\nReceived: {tmp_path / 'model'}\n")


def test_a_wrong_setting_ends_the_server_at_once(model_dir: Path) -> None:
    code, _, err = ended(server_process(model_dir, KENNEL_FETCH_URLS="yes"))
    assert (code, err) == (2, "KENNEL_FETCH_URLS is 'yes'; true or false is needed.\n")


def test_connections_are_refused_while_the_model_is_loading(own_model_dir: Path) -> None:
    engine = own_model_dir / "code" / "serving" / "engine.py"
    waiting = own_model_dir / "go"
    # The load waits for a file, so that the test decides how long it takes.
    first = "manifest = Manifest.load(model_dir)\n"
    wait = f"import time\n        while not Path({str(waiting)!r}).exists(): time.sleep(0.01)\n"
    code = engine.read_text(encoding="utf-8").replace(first, f"{first}        {wait}")
    engine.write_text(code, encoding="utf-8")
    process = server_process(own_model_dir)
    assert process.stdout is not None
    try:
        url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/ping", timeout=TIMEOUT)
        waiting.touch()
        assert json.loads(process.stdout.readline())["event"] == "ready"
        assert httpx.get(f"{url}/ping", timeout=TIMEOUT).status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)
    assert (code, err) == (0, "")


def test_an_error_of_the_servers_own_is_500_without_details(own_model_dir: Path, start_server: Start) -> None:
    handlers = own_model_dir / "code" / "serving" / "handlers.py"
    text = handlers.read_text(encoding="utf-8")
    broken = text.replace("found = sniff(data)", "raise RuntimeError('SEC' + 'RET')")
    handlers.write_text(broken, encoding="utf-8")
    with start_server(own_model_dir) as server:
        response = httpx.post(f"{server.url}/invocations", content=JPEG, headers=IMAGE, timeout=TIMEOUT)
        assert error_of(response) == (500, "internal")
        assert "SECRET" not in response.text
        assert httpx.get(f"{server.url}/ping", timeout=TIMEOUT).status_code == 200
    (line,) = server.events("unexpected error")
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["trace"][-1] == "RuntimeError"
    assert not any("SECRET" in line for line in server.lines)


def test_nothing_of_this_repository_or_of_training_is_needed_to_serve(model_dir: Path) -> None:
    program = (
        "import serving.server, sys; found = {name.partition('.')[0] for name in sys.modules}; "
        "print(sorted(found & {'ml', 'ops', 'torch', 'timm', 'boto3'}))"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-B", "-c", program],
        cwd=model_dir,
        env={"PYTHONPATH": str(model_dir / "code")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "[]\n"
