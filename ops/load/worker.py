"""Sends the requests: `python -m ops.load.worker`, a program of its own, as Locust patches Python by being imported.

It reads a plan, one line of JSON, and writes a line of JSON for each request: [intended, woke, sent, done, fault], in
seconds from the start. It ends what it does when its input is closed: told so, or because whoever started it is gone.
"""

from __future__ import annotations

from locust import FastHttpUser, constant, task
from locust.env import Environment
from locust.exception import StopUser

# Locust patches sockets and threads: only what is imported after it sees that from the beginning.
# isort: split
import json
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import certifi
import gevent
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session
from gevent.fileobject import FileObject
from gevent.lock import BoundedSemaphore

from ops.load.answers import fault
from ops.load.arrivals import times

SIGNED_FOR = (
    60.0  # seconds; AWS takes a signature for five minutes, and one photo's requests are all the same
)
MAX_WAITING = 10_000  # requests that are due and wait for one in flight to end; then the load is given up
INTERRUPTED_WAIT = 1.0  # seconds for the answers that are under way
CUT_OFF = "cut off"


class Payload:
    """A body and its signed headers."""

    def __init__(
        self, plan: Mapping[str, Any], file: str, content_type: str, keys: Credentials | None
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._content_type = content_type
        self.body = Path(file).read_bytes()
        self._signed: dict[str, str] = {}
        self._until = 0.0

    def headers(self) -> dict[str, str]:
        if time.monotonic() > self._until:
            request = AWSRequest(
                "POST",
                self._plan["url"],
                {"Content-Type": self._content_type, **self._plan["headers"]},
                self.body,
            )
            if self._keys is not None:
                frozen = self._keys.get_frozen_credentials()
                SigV4Auth(frozen, self._plan["signing_name"], self._plan["region"]).add_auth(request)
            self._signed = dict(request.headers.items())
            self._until = time.monotonic() + SIGNED_FOR
        return self._signed


class Load:
    """One run: the clock, the payloads, and what is under way."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.plan = plan
        keys = get_session().get_credentials() if plan["signing_name"] else None
        self.payloads = [Payload(plan, file, kind, keys) for file, kind in plan["payloads"]]
        self.number = 0
        self.scheduled = False  # all that was to come has come
        self.over = False  # no request is begun any more
        self.given_up = ""
        self.error: Exception | None = None  # of this program
        self.waiting = 0  # due, and more than may be in flight
        self.unsent = 0
        self.pending: dict[int, tuple[float, float, float]] = {}  # intended, woke, sent of those under way
        self.free = BoundedSemaphore(plan["in_flight"])
        self.began = time.perf_counter()

    @property
    def at_work(self) -> bool:
        """Whether requests are under way, or due and not yet sent."""
        if self.error is not None:
            return False
        coming = self.plan["arrivals"] is not None and not self.scheduled and not self.over
        return bool(self.pending or self.waiting or coming)

    def now(self) -> float:
        return time.perf_counter() - self.began

    def break_down(self, greenlet: Any) -> None:
        self.error = greenlet.exception
        self.over = True

    def ask(self, client: Any, intended: float) -> None:
        """Send the next request and tell Locust of it, its time counted from when it was due.

        Whoever calls has counted it as waiting already: so no moment is without trace of it.
        """
        woke = self.now()
        self.free.acquire()
        self.waiting -= 1
        try:
            if self.over:
                self.unsent += 1
                return
            self._send(client, intended, woke)
        finally:
            self.free.release()

    def _send(self, client: Any, intended: float, woke: float) -> None:
        number, self.number = self.number, self.number + 1
        payload = self.payloads[number % len(self.payloads)]
        sent = self.now()
        self.pending[number] = (intended, woke, sent)
        try:
            headers = payload.headers()
            with client.post(
                self.plan["url"], data=payload.body, headers=headers, name="invoke", catch_response=True
            ) as response:
                done = self.now()
                found = _fault(self.plan["service"], response)
                response.request_meta["response_time"] = (done - intended) * 1000
                response.request_meta["context"] = {"line": (intended, woke, sent, done, found)}
                if found:
                    response.failure(found)
                else:
                    response.success()
        finally:
            del self.pending[number]


def _fault(service: str, response: Any) -> str:
    if response.status_code:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return fault(service, response.status_code, headers, response.content or b"")
    error = response.error
    name = type(error).__name__
    if isinstance(error, TimeoutError) or "imeout" in name:
        return "no answer: timed out"
    if isinstance(error, ConnectionRefusedError):
        return "no answer: connection refused"
    return f"no answer: {name}"


def users_of(load: Load) -> type[FastHttpUser]:
    """The class of Locust users that make this load."""
    plan = load.plan

    class Caller(FastHttpUser):
        abstract = True
        host = plan["url"]
        insecure = False
        network_timeout = connection_timeout = plan["timeout"]

        @staticmethod
        def ssl_context_factory() -> Any:
            return gevent.ssl.create_default_context(cafile=certifi.where())

    class InTurn(Caller):
        """Closed loop: a user's next request follows its last answer."""

        concurrency = 1
        wait_time = constant(0)

        @task
        def ask(self) -> None:
            if load.over:
                raise StopUser
            load.waiting += 1
            load.ask(self.client, load.now())

    class Arriving(Caller):
        """Open loop: requests are begun when they are due, whatever became of those before."""

        concurrency = plan["in_flight"]
        fixed_count = 1

        @task
        def schedule(self) -> None:
            asked = plan["arrivals"]
            for due in times(asked["interval"], asked["rates"], asked["spacing"], asked["seed"]):
                early = due - load.now()
                if early > 0:
                    gevent.sleep(early)
                if load.over:
                    break
                if load.waiting >= MAX_WAITING:
                    load.given_up = f"{MAX_WAITING:,} requests were due and not sent"
                    break
                load.waiting += 1
                gevent.spawn(load.ask, self.client, due).link_exception(load.break_down)
            load.scheduled = True
            raise StopUser

    return InTurn if plan["arrivals"] is None else Arriving


def run(plan: Mapping[str, Any], stdin: Any, out: Any) -> None:
    """Make the load; write its lines."""
    load = Load(plan)
    told_to_end = gevent.spawn(stdin.read)

    def on_request(context: Mapping[str, Any], **_: Any) -> None:
        times_and_fault = context.get("line")
        if times_and_fault is not None:
            write(out, *times_and_fault)

    environment = Environment(user_classes=[users_of(load)], host=plan["url"], catch_exceptions=False)
    events: Any = environment.events
    events.request.add_listener(on_request)
    runner = environment.create_local_runner()
    for payload in load.payloads:
        payload.headers()  # credentials are looked for before the clock starts
    print(json.dumps({"began": time.time()}), file=out, flush=True)
    load.began, cpu = time.perf_counter(), time.process_time()
    users = plan["users"] or 1
    runner.start(users, spawn_rate=users)
    while (left := plan["seconds"] - load.now()) > 0 and not told_to_end.ready() and not load.given_up:
        out.flush()
        gevent.sleep(min(left, 0.1))
    seconds, cpu = load.now(), time.process_time() - cpu
    load.over = plan["arrivals"] is None or told_to_end.ready() or bool(load.given_up)
    while load.at_work and load.now() < seconds + plan["drain"]:
        out.flush()
        gevent.sleep(0.02)
        if told_to_end.ready() and load.now() > seconds + INTERRUPTED_WAIT:
            break
    load.over = True
    if load.error is not None:
        raise load.error
    fault = CUT_OFF if told_to_end.ready() else f"no answer within {plan['drain']:g} s of the end"
    for intended, woke, sent in list(load.pending.values()):
        write(out, intended, woke, sent, load.now(), fault)
    end = {
        "seconds": seconds,
        "unsent": load.unsent + load.waiting,
        "given_up": load.given_up,
        "interrupted": told_to_end.ready(),
        "cpu_seconds": cpu,
        "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(end), file=out, flush=True)


def write(out: Any, *times_and_fault: Any) -> None:
    *moments, fault = times_and_fault
    out.write(json.dumps([*(round(moment, 6) for moment in moments), fault]) + "\n")


def main() -> None:
    stdin = FileObject(sys.stdin.buffer, "rb")
    run(json.loads(stdin.readline()), stdin, sys.stdout)


if __name__ == "__main__":
    main()
