"""Cold start and warm call of the Lambda's handler, against the handler that it replaces.

    python bench/lambda_latency.py [--cold 15] [--warm 300]

Both run as processes of their own against one fake endpoint on loopback, in turns, so that a busy machine slows
both. Cold is the time from a running interpreter to the first answer: imports, client, call. Ours is measured with the
photo in the event, and with the photo's URL, where it fetches the photo besides, which the replaced handler leaves to
the endpoint. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LAMBDA = Path(__file__).parents[1] / "lambda"
PHOTO = b"\xff\xd8\xff\xe0" + bytes(60_000)
SCORES = json.dumps([[number / 133 for number in range(133)]]).encode()
COLD_TARGET = 0.6
WARM_TARGET = 1 / 20

OURS = """
sys.path.insert(0, sys.argv[2])
from handler import lambda_handler
"""

# As in the replaced workflow: a client is made in every call.
REPLACED = """
import json
import boto3
def lambda_handler(event, context):
    runtime = boto3.Session().client("sagemaker-runtime")
    response = runtime.invoke_endpoint(
        EndpointName=event["endpoint_name"], ContentType="application/json", Body=event["request_dict"]
    )
    scores = json.loads(response["Body"].read())
    return [max(range(len(row)), key=row.__getitem__) for row in scores]
"""

MEASURED = """
import sys, time
answers, sys.stdout = sys.stdout, open("/dev/null", "w")
started = time.perf_counter()
{handler}
import json
event = json.loads(sys.argv[1])
while True:
    assert lambda_handler(event, None) == [132]
    print((time.perf_counter() - started) * 1000, file=answers, flush=True)
    if not sys.stdin.readline():
        break
    started = time.perf_counter()
"""


@dataclass
class Handler:
    name: str
    program: str
    request: dict[str, str]
    cold: list[float] = field(default_factory=list)  # ms
    warm: list[float] = field(default_factory=list)  # ms


class _Cloud(BaseHTTPRequestHandler):
    """The endpoint (POST) and the host of the photo (GET)."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def _send(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send("application/json", SCORES)

    def do_GET(self) -> None:
        self._send("image/jpeg", PHOTO)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _cloud() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Cloud) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _process(handler: Handler, url: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ENDPOINT_NAME": "dogs",
        "STAGE": "local",
        "FETCH_ALLOW_HTTP": "true",
        "FETCH_ALLOW_LOOPBACK": "true",
    }
    event = json.dumps({"endpoint_name": "dogs", "request_dict": json.dumps(handler.request)})
    arguments = [sys.executable, "-c", MEASURED.format(handler=handler.program), event, str(LAMBDA)]
    with subprocess.Popen(
        arguments, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _next(process: subprocess.Popen[str]) -> float:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("A handler failed; its message is above.")
    return float(line)


def measure(handlers: list[Handler], url: str, cold: int, warm: int) -> None:
    for round_ in range(cold + 1):
        for handler in handlers:
            with _process(handler, url) as process:
                elapsed = _next(process)
            if round_:  # the first one writes bytecode, and reads the files from the disk
                handler.cold.append(elapsed)
    with ExitStack() as stack:
        processes = [stack.enter_context(_process(handler, url)) for handler in handlers]
        for process in processes:
            _next(process)
        for _ in range(warm):
            for handler, process in zip(handlers, processes, strict=True):
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
                handler.warm.append(_next(process))


def report(handlers: list[Handler]) -> bool:
    replaced = handlers[0]
    cold_base, warm_base = statistics.median(replaced.cold), statistics.median(replaced.warm)
    print(f"{'medians':24} {'cold ms':>9} {'ratio':>7} {'warm ms':>9} {'ratio':>7}")
    met = True
    for handler in handlers:
        cold, warm = statistics.median(handler.cold), statistics.median(handler.warm)
        print(f"{handler.name:24} {cold:9.1f} {cold / cold_base:7.2f} {warm:9.2f} {warm / warm_base:7.3f}")
        if handler is not replaced:
            met &= cold <= COLD_TARGET * cold_base and warm <= WARM_TARGET * warm_base
    print(f"{'target':24} {'':9} {COLD_TARGET:7.2f} {'':9} {WARM_TARGET:7.3f}  {'met' if met else 'MISSED'}")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cold", type=int, default=15, help="fresh processes of each")
    parser.add_argument("--warm", type=int, default=300, help="calls of each")
    arguments = parser.parse_args()
    with _cloud() as url:
        handlers = [
            Handler("replaced handler", REPLACED, {"url": url + "/dog.jpg"}),
            Handler("ours, photo in event", OURS, {"image": base64.b64encode(PHOTO).decode()}),
            Handler("ours, photo by URL", OURS, {"url": url + "/dog.jpg"}),
        ]
        measure(handlers, url, arguments.cold, arguments.warm)
    return 0 if report(handlers) else 1


if __name__ == "__main__":
    sys.exit(main())
