from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image

from bench import replaced_handler, serving, serving_client, serving_report, serving_servers
from bench.page import PAGE
from tests.conftest import MakePhotos


def server(rate: float, p99: float, failed: int = 0) -> dict[str, Any]:
    return {
        "rates": [rate],
        "rate": rate,
        "p50": 5.0,
        "p99": p99,
        "answers": 100,
        "client_share": 0.1,
        "failed": failed,
    }


def result(rate: float = 140.0, p99: float = 90.0, failed: int = 0) -> dict[str, Any]:
    servers = {
        "Kennel": server(rate, p99, failed),
        "TorchServe, 2 × 1 thread": server(15, 800),
        "TorchServe, default threads": server(18, 700),
        "LitServe, 2 × 1 thread": server(20, 600),
    }
    return {
        "date": "2026-11-23", "machine": "Linux", "versions": {"torch": "2"}, "load": [0.5, 1.0], "precision": "int8",
        "photos": 32, "photo_bytes": 100_200, "rounds": 3, "seconds": 4.0,
        "ceiling": {"forward": 190.0, "decode": 700.0, "rate": 150.0},
        "clients": [serving.summary(clients, servers, 150.0) for clients in serving.CLIENTS],
    }  # fmt: skip


def test_the_better_setting_of_the_best_peer_counts() -> None:
    found = result()["clients"][1]
    assert (found["best_peer"], found["ratio"], found["lowest_peer_p99"]) == (
        "LitServe, 2 × 1 thread",
        7.0,
        600,
    )
    assert [name for name, _ in serving_report.shown(found)] == [
        "Kennel", "TorchServe, default threads", "LitServe, 2 × 1 thread",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "met"),
    [({}, True), ({"rate": 139.0}, False), ({"p99": 600.0}, False), ({"failed": 1}, False)],
)
def test_targets_are_requests_a_second_p99_ceiling_and_no_failure(changed: dict[str, Any], met: bool) -> None:
    assert serving.targets_met(result(**changed)) is met


def test_table_and_picture_go_between_their_marks(tmp_path: Path) -> None:
    page = tmp_path / PAGE
    page.write_text(f"before\n{serving_report.BEGIN}\nold\n{serving_report.END}\nafter\n")
    serving_report.write(result(), tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 8 | **Kennel** | **140.0** | **5** | **90** | 10% |" in text
    assert "| 32 | 7.0 × | 7 × | 93% | 85% |" in text
    assert "no more than 150 are possible. No request failed." in text
    assert (tmp_path / serving_report.PICTURE).read_text().startswith("<svg xmlns=")


def test_photos_are_jpegs_of_100_kilobytes(make_photos: MakePhotos, tmp_path: Path) -> None:
    data = make_photos({"test/cat": 2}, size=(320, 240))
    for photo in serving.photos(data, tmp_path / "jpegs"):
        assert 80_000 < photo.stat().st_size < 120_000
        with Image.open(photo) as image:
            assert image.size == (640, 480)


@pytest.mark.parametrize("chunked", [False, True])
def test_the_client_counts_answers_and_failures(chunked: bool) -> None:
    seen: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            seen.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if len(seen) == 3 else 200)
            self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "3")))
            self.end_headers()
            self.wfile.write(b"3\r\n[1]\r\n0\r\n\r\n" if chunked else b"[1]")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as stub:
        thread = threading.Thread(target=stub.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        answer = asyncio.run(serving_client.run(stub.server_address[1], "/x", 2, 0.5, [b"photo"]))
        stub.shutdown()
    assert answer["requests"] == len(seen) == len(answer["latencies_ms"])  # type: ignore[arg-type]
    assert answer["failed"] == 1
    assert set(seen) == {5}


def test_the_replaced_handler_answers_a_photo_with_a_row_of_scores(tmp_path: Path) -> None:
    network = torchvision.models.resnet50(weights=None)
    network.fc = torch.nn.Sequential(torch.nn.Linear(2048, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    torch.save(network.state_dict(), tmp_path / replaced_handler.WEIGHTS)
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.jpg")
    model = replaced_handler.model_fn(str(tmp_path))
    photo = replaced_handler.input_fn((tmp_path / "red.jpg").read_bytes())
    scores = json.loads(replaced_handler.output_fn(replaced_handler.predict_fn(photo, model)))
    assert [len(row) for row in scores] == [3]


def test_free_ports_stand_in_a_row_and_a_server_that_dies_is_told(tmp_path: Path) -> None:
    assert serving_servers.free_port(5) > 0
    broken = serving_servers.Server("Broken", "/", ["sh", "-c", "echo no model; exit 3"], {}, tmp_path)
    # It may be asked before it has ended.
    with pytest.raises(
        SystemExit, match=r"Broken does not answer: (nothing|.*Connection refused.*)\nno model"
    ):
        broken.start(b"photo")
