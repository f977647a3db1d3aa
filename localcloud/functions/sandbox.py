"""One execution environment: a process of AWS's runtime client around the function's code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from localcloud import processes
from localcloud.functions import python_runtime, traces
from localcloud.functions.deployment import Deployment
from localcloud.functions.logs import LogStream, timestamp
from localcloud.functions.python_runtime import Interpreter
from localcloud.functions.runtime_api import RuntimeApi, Work
from localcloud.functions.settings import INIT_SECONDS

_CHECK_SECONDS = 0.02  # how often memory and life of a busy process are looked at
_READS = 16  # of 64 kB, before others get their turn

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One invocation as its caller made it."""

    request_id: str
    payload: bytes
    arn: str  # with the qualifier that was used
    client_context: str = ""


@dataclass(frozen=True)
class Outcome:
    request_id: str
    payload: bytes
    failed: bool  # X-Amz-Function-Error: Unhandled
    log_tail: bytes
    version: str
    duration: float  # s


class _Ended(Exception):
    """The invocation or the initialization is over, and the process with it."""

    def __init__(
        self, status: str, error_type: str, said: str, report: str = "", payload: bytes = b""
    ) -> None:
        super().__init__(said)
        self.status = status  # "timeout" or "error"
        self.error_type = error_type
        self.said = said  # follows the request id in the error message
        self.report = report or error_type  # error type in the REPORT line
        self.payload = payload  # what the runtime client itself reported


class Sandbox:
    def __init__(
        self,
        deployment: Deployment,
        root: Path,
        home: Path,
        library: Path,
        credentials: dict[str, str],
        endpoint_url: str,
        *,
        provisioned: bool,
    ) -> None:
        self.deployment = deployment
        self.made = self.idle_since = time.monotonic()
        self._root = root
        self._home = home / uuid.uuid4().hex
        self._library = library  # of the packages that Lambda ships
        self._credentials = credentials
        self._endpoint_url = endpoint_url
        self._provisioned = provisioned
        self._log = LogStream(deployment)
        self._child: processes.Child | None = None
        self._api: RuntimeApi | None = None
        self._frozen = False
        self._traced = traces.Sampler()
        self._trace: str | None = None  # of the invocation under way
        self._peak = 0  # kB of memory, as last seen
        self._init_seconds: float | None = None  # to be told in the next REPORT line

    async def prepare(self) -> bool:
        """The INIT phase. When it fails, the first invocation tries once more under the function's own timeout."""
        began = time.perf_counter()
        try:
            await self._initialize(INIT_SECONDS)
        except _Ended as ended:
            await self._end_process()
            milliseconds = (time.perf_counter() - began) * 1000
            error = f"\tError Type: {ended.report}" if ended.status == "error" else ""
            record = {"initializationType": self._kind, "phase": "init", "status": ended.status}
            record |= {"errorType": ended.report} if error else {}
            self._log.platform(
                "initReport",
                f"INIT_REPORT Init Duration: {milliseconds:.2f} ms\tPhase: init\tStatus: {ended.status}{error}",
                {**record, "metrics": {"durationMs": round(milliseconds, 3)}},
            )
            return False
        self._init_seconds = time.perf_counter() - began
        return True

    async def invoke(self, call: Call) -> Outcome:
        deployment = self.deployment
        began = time.perf_counter()
        self._log.begin_tail()
        self._log.platform(
            "start",
            f"START RequestId: {call.request_id} Version: {deployment.version}",
            {"requestId": call.request_id, "version": deployment.version},
        )
        ended: _Ended | None = None
        try:
            if self._child is None:
                await self._initialize(deployment.timeout)
            self._thaw()
            left = deployment.timeout - (time.perf_counter() - began)
            answer = await self._until(self._runtime.submit(self._work(call, left)), left)
            payload, failed = answer.payload, answer.is_error
            duration = time.perf_counter() - began
            if not answer.keeps_running:
                await self._end_process()
        except _Ended as reason:
            ended, failed = reason, True
            duration = time.perf_counter() - began
            await self._end_process()
            payload = self._explain(reason, call)
        self._read_output()
        self._log.flush()
        self._report(call, duration, ended)
        if self._trace is not None:
            await asyncio.to_thread(
                traces.send, deployment, self._trace, call.request_id, duration, failed=failed
            )
        self.idle_since = time.monotonic()
        return Outcome(call.request_id, payload, failed, self._log.tail, deployment.version, duration)

    @property
    def usable(self) -> bool:
        return self._child is not None and self._child.poll() is None

    async def close(self) -> None:
        await self._end_process()
        await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)

    # -- the process

    @property
    def _kind(self) -> str:
        return "provisioned-concurrency" if self._provisioned else "on-demand"

    @property
    def _runtime(self) -> RuntimeApi:
        if self._api is None:
            raise RuntimeError("the sandbox has no process")
        return self._api

    async def _initialize(self, limit: float) -> None:
        # In a thread: the first time it may have to try out another interpreter.
        interpreter = await asyncio.to_thread(
            python_runtime.interpreter, self.deployment.runtime, self._library
        )
        began = time.perf_counter()
        self._peak = 0
        description = interpreter.description
        self._log.platform(
            "initStart",
            f"INIT_START Runtime Version: {description}",
            {"initializationType": self._kind, "phase": "init", "runtimeVersion": description},
        )
        self._api = RuntimeApi(self._freeze)
        address = await self._api.start()
        self._child = await asyncio.to_thread(self._spawn, interpreter, address)
        asyncio.get_running_loop().add_reader(self._output, self._read_output)
        error = await self._until(self._api.initialized, limit - (time.perf_counter() - began))
        if error is not None:
            document = _json_object(error)
            raise _Ended("error", str(document.get("errorType", "Runtime.Unknown")), "", payload=error)

    def _spawn(self, interpreter: Interpreter, address: str) -> processes.Child:
        temporary = self._home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        argv = [*interpreter.argv, self.deployment.handler]
        environment = self._environment(interpreter, address, temporary)
        child = processes.spawn(argv, env=environment, cwd=self._root, stdout=subprocess.PIPE)
        if child.stdout is not None:
            os.set_blocking(child.stdout.fileno(), False)
        return child

    def _environment(self, interpreter: Interpreter, address: str, temporary: Path) -> dict[str, str]:
        deployment = self.deployment
        replaceable = {
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(temporary),  # there is no /tmp of its own
            "AWS_ENDPOINT_URL": self._endpoint_url,
        }
        fixed = {
            "_HANDLER": deployment.handler,
            "AWS_REGION": deployment.region,
            "AWS_DEFAULT_REGION": deployment.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{deployment.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": deployment.name,
            "AWS_LAMBDA_FUNCTION_VERSION": deployment.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployment.memory),
            "AWS_LAMBDA_INITIALIZATION_TYPE": self._kind,
            "AWS_LAMBDA_LOG_GROUP_NAME": self._log.group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self._log.name,
            "AWS_LAMBDA_RUNTIME_API": address,
            "LAMBDA_TASK_ROOT": str(self._root),
            **self._credentials,
        }
        if self._log.structured:
            fixed["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
            fixed["AWS_LAMBDA_LOG_LEVEL"] = deployment.logging.get("ApplicationLogLevel", "INFO")
        environment = {**replaceable, **deployment.variables, **fixed}
        if interpreter.library is not None:
            environment["LAMBDA_RUNTIME_DIR"] = str(interpreter.library)
            paths = [deployment.variables.get("PYTHONPATH"), str(interpreter.library)]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return environment

    async def _end_process(self) -> None:
        child, api, self._child, self._api = self._child, self._api, None, None
        if child is None:
            return
        await asyncio.to_thread(child.kill)
        if child.stdout is not None:
            self._read(child.stdout.fileno())
            asyncio.get_running_loop().remove_reader(child.stdout.fileno())
            child.stdout.close()
        if api is not None:
            api.close()

    def _freeze(self) -> None:
        """Between invocations nothing of the function runs, threads of its own included; as on AWS."""
        if self._child is not None:
            self._child.send(signal.SIGSTOP)
            self._frozen = True

    def _thaw(self) -> None:
        if self._frozen and self._child is not None:
            self._child.send(signal.SIGCONT)
        self._frozen = False

    # -- waiting, output, memory

    async def _until(self, future: asyncio.Future[T], seconds: float) -> T:
        """The future's result; raises `_Ended` when time, memory or the process ends first."""
        deadline = time.perf_counter() + seconds
        while True:
            left = deadline - time.perf_counter()
            await asyncio.wait({future}, timeout=max(0.0, min(_CHECK_SECONDS, left)))
            self._peak = max(self._peak, self._peak_memory())
            if self._peak > self.deployment.memory * 1024:
                said = "Runtime exited with error: signal: killed"
                raise _Ended("error", "Runtime.ExitError", said, report="Runtime.OutOfMemory")
            if future.done():
                return future.result()
            code = self._child.poll() if self._child is not None else 0
            if code is not None:
                raise _Ended("error", "Runtime.ExitError", _describe_exit(code))
            if left <= 0:
                said = f"Task timed out after {self.deployment.timeout:.2f} seconds"
                raise _Ended("timeout", "Sandbox.Timedout", said)

    def _peak_memory(self) -> int:
        """kB of resident memory at most so far; 0 where the kernel does not tell."""
        if self._child is None or sys.platform != "linux":
            return 0
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self._child.pid}/status").read_text()
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
        return 0

    @property
    def _output(self) -> int:
        if self._child is None or self._child.stdout is None:
            raise RuntimeError("the sandbox has no process")
        return self._child.stdout.fileno()

    def _read_output(self) -> None:
        if self._child is not None:
            self._read(self._output)

    def _read(self, descriptor: int) -> None:
        for _ in range(_READS):
            try:
                chunk = os.read(descriptor, 65536)
            except BlockingIOError:
                return
            if not chunk:
                asyncio.get_running_loop().remove_reader(descriptor)
                return
            self._log.feed(chunk)

    # -- what is said about an invocation

    def _work(self, call: Call, left: float) -> Work:
        self._trace = traces.trace_id() if self.deployment.tracing and self._traced() else None
        traced = f"Root={self._trace or traces.trace_id()};Sampled={int(self._trace is not None)}"
        headers = {
            "Lambda-Runtime-Aws-Request-Id": call.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + left) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": call.arn,
            "Lambda-Runtime-Trace-Id": traced,
        }
        if call.client_context:
            headers["Lambda-Runtime-Client-Context"] = call.client_context
        return Work(call.request_id, call.payload, headers)

    def _explain(self, ended: _Ended, call: Call) -> bytes:
        """The error document for the caller; writes to the log what AWS writes there."""
        if ended.payload:
            document = {**_json_object(ended.payload), "requestId": call.request_id}
        elif ended.status == "timeout":
            message = f"{timestamp()} {call.request_id} {ended.said}"
            self._log.line(message)
            document = {"errorMessage": message}
        else:
            message = f"RequestId: {call.request_id} Error: {ended.said}"
            self._log.line(f"{message}\n{ended.error_type}")
            document = {"errorType": ended.error_type, "errorMessage": message}
        return json.dumps(document).encode()

    def _report(self, call: Call, duration: float, ended: _Ended | None) -> None:
        milliseconds = duration * 1000
        billed = -(-milliseconds // 1)
        used = -(-self._peak // 1024)
        init, self._init_seconds = self._init_seconds, None
        text = (
            f"REPORT RequestId: {call.request_id}\tDuration: {milliseconds:.2f} ms\tBilled Duration: {billed:.0f} ms\t"
            f"Memory Size: {self.deployment.memory} MB\tMax Memory Used: {used} MB\t"
        )
        metrics: dict[str, Any] = {
            "durationMs": round(milliseconds, 3),
            "billedDurationMs": int(billed),
            "memorySizeMB": self.deployment.memory,
            "maxMemoryUsedMB": used,
        }
        if init is not None:
            text += f"Init Duration: {init * 1000:.2f} ms\t"
            metrics["initDurationMs"] = round(init * 1000, 3)
        record: dict[str, Any] = {"requestId": call.request_id, "metrics": metrics, "status": "success"}
        if ended is not None:
            text += f"Status: {ended.status}"
            record["status"] = ended.status
            if ended.status == "error":
                text += f"\tError Type: {ended.report}"
                record["errorType"] = ended.report
        if not self._log.structured:
            self._log.line(f"END RequestId: {call.request_id}")
        self._log.platform("report", text, record)


def _describe_exit(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code < 0:
        return f"Runtime exited with error: signal: {(signal.strsignal(-code) or str(-code)).lower()}"
    return f"Runtime exited with error: exit status {code}"


def _json_object(data: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        document = json.loads(data)
        if isinstance(document, dict):
            return document
    return {"errorMessage": data.decode(errors="replace"), "errorType": "Runtime.Unknown"}
