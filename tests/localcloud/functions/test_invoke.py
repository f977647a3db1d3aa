"""What a caller of a deployed function gets, and what the function sees."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import control

ECHO = "def handler(event, context):\n    return event\n"


def test_a_function_answers_with_what_its_handler_returns(aws: Any) -> None:
    answer = aws.invoke(aws.deploy(ECHO), {"grüße": [1, 2.5, None, "ß"]})
    assert answer.value == {"grüße": [1, 2.5, None, "ß"]}
    assert answer.error is None
    assert answer.raw["StatusCode"] == 200
    assert answer.raw["ExecutedVersion"] == "$LATEST"


def test_a_call_without_payload_is_an_empty_object(aws: Any) -> None:
    answer = aws.functions.invoke(FunctionName=aws.deploy(ECHO))
    assert answer["Payload"].read() == b"{}"


def test_a_payload_that_is_no_json_is_refused(aws: Any) -> None:
    with pytest.raises(ClientError, match="Could not parse request body into json") as caught:
        aws.functions.invoke(FunctionName=aws.deploy(ECHO), Payload=b"{oops")
    assert caught.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_the_context_tells_what_aws_tells(aws: Any) -> None:
    name = aws.deploy(
        "def handler(event, context):\n"
        "    return [context.function_name, context.function_version, context.invoked_function_arn,\n"
        "        context.memory_limit_in_mb, context.aws_request_id, context.log_group_name,\n"
        "        context.log_stream_name, context.get_remaining_time_in_millis()]\n",
        MemorySize=256,
        Timeout=7,
    )
    answer = aws.invoke(name)
    request_id = answer.raw["ResponseMetadata"]["RequestId"]
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    assert answer.value[:6] == [name, "$LATEST", arn, "256", request_id, f"/aws/lambda/{name}"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", answer.value[6])
    assert 6000 < answer.value[7] <= 7000
    assert uuid.UUID(request_id)


def test_the_client_context_arrives(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    return context.client_context.custom\n")
    context = "eyJjdXN0b20iOiB7ImEiOiAi4oKsIn19"  # {"custom": {"a": "€"}}
    assert aws.invoke(name, ClientContext=context).value == {"a": "€"}


def test_nothing_of_the_parents_environment_comes_through(aws: Any) -> None:
    name = aws.deploy(
        "import os\ndef handler(event, context):\n    return dict(os.environ)\n",
        Environment={"Variables": {"MINE": "1", "PATH": "/mine"}},
    )
    environment = aws.invoke(name).value
    assert environment.keys() == {
        *("MINE", "PATH", "LANG", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH", "AWS_ENDPOINT_URL"),
        *("_HANDLER", "_X_AMZN_TRACE_ID", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_RUNTIME_API"),
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_INITIALIZATION_TYPE"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
        *("AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
    }
    assert environment["MINE"] == "1"
    assert environment["PATH"] == "/mine"
    assert environment["TZ"] == ":UTC"
    assert environment["AWS_ENDPOINT_URL"] == aws.info.endpoint_url
    assert environment["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"


def test_an_sdk_in_the_function_speaks_to_the_cloud_as_the_functions_role(aws: Any) -> None:
    name = aws.deploy(
        "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n",
        MemorySize=256,
    )
    assert aws.invoke(name).value == f"arn:aws:sts::123456789012:assumed-role/functions/{name}"


def test_packages_that_lambda_does_not_ship_cannot_be_imported(aws: Any) -> None:
    name = aws.deploy("import moto\n" + ECHO)
    assert aws.invoke(name).value["errorMessage"] == "Unable to import module 'app': No module named 'moto'"


def test_an_exception_is_told_with_its_type_and_trace(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    raise KeyError('no such breed')\n")
    answer = aws.invoke(name)
    assert answer.error == "Unhandled"
    assert answer.raw["StatusCode"] == 200
    assert answer.value["errorType"] == "KeyError"
    assert answer.value["errorMessage"] == "'no such breed'"
    assert answer.value["requestId"] == answer.raw["ResponseMetadata"]["RequestId"]
    assert "app.py" in answer.value["stackTrace"][0]
    assert any("[ERROR] KeyError" in line for line in answer.log)


def test_a_sandbox_survives_an_exception(aws: Any) -> None:
    name = aws.deploy(
        "import os\ndef handler(event, context):\n    if event: raise ValueError\n    return os.getpid()\n"
    )
    pid = aws.invoke(name).value
    aws.invoke(name, True)
    assert aws.invoke(name).value == pid


def test_a_result_that_is_no_json_is_the_functions_error(aws: Any) -> None:
    answer = aws.invoke(aws.deploy("def handler(event, context):\n    return object()\n"))
    assert answer.error == "Unhandled"
    assert answer.value["errorType"] == "Runtime.MarshalError"


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import nothing_like_it\n", "Runtime.ImportModuleError", "No module named 'nothing_like_it'"),
        ("def handler(\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("x = 1\n", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("raise ValueError('at import')\n", "ValueError", "at import"),
    ],
)
def test_an_error_at_import_reaches_the_caller(aws: Any, source: str, kind: str, message: str) -> None:
    answer = aws.invoke(aws.deploy(source))
    assert answer.error == "Unhandled"
    assert answer.value["errorType"] == kind
    assert message in answer.value["errorMessage"]


def test_a_failed_initialization_is_tried_once_more_and_both_are_logged(aws: Any) -> None:
    name = aws.deploy("print('importing')\nraise ValueError('no')\n")
    aws.invoke(name)
    log = aws.logged(f"/aws/lambda/{name}")
    assert log.count("importing") == 2
    assert any(
        re.match(r"INIT_REPORT Init Duration: .*\tStatus: error\tError Type: ValueError", line)
        for line in log
    )


def test_a_function_that_takes_too_long_is_killed(aws: Any) -> None:
    name = aws.deploy(
        "import time, os\ndef handler(event, context):\n    if event: time.sleep(60)\n    return os.getpid()\n",
        Timeout=1,
    )
    pid = aws.invoke(name).value
    answer = aws.invoke(name, True)
    request_id = answer.raw["ResponseMetadata"]["RequestId"]
    assert answer.error == "Unhandled"
    assert answer.value.keys() == {"errorMessage"}
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(
        f"{stamp} {request_id} Task timed out after 1.00 seconds", answer.value["errorMessage"]
    )
    assert answer.log[-1].endswith("Status: timeout")
    assert aws.invoke(name).value != pid


def test_a_handler_that_ends_the_process_is_a_runtime_exit(aws: Any) -> None:
    name = aws.deploy("import os\ndef handler(event, context):\n    os._exit(3)\n")
    answer = aws.invoke(name)
    request_id = answer.raw["ResponseMetadata"]["RequestId"]
    message = f"RequestId: {request_id} Error: Runtime exited with error: exit status 3"
    assert answer.value == {"errorType": "Runtime.ExitError", "errorMessage": message}


def test_a_crash_names_the_signal(aws: Any) -> None:
    name = aws.deploy("import os\ndef handler(event, context):\n    os.kill(os.getpid(), 11)\n")
    assert (
        aws.invoke(name)
        .value["errorMessage"]
        .endswith("Runtime exited with error: signal: segmentation fault")
    )


@pytest.mark.skipif(sys.platform != "linux", reason="memory is only measured on Linux")
def test_a_function_that_takes_too_much_memory_is_killed(aws: Any) -> None:
    name = aws.deploy(
        "def handler(event, context):\n    return len(b'x' * (event * 1024 * 1024))\n", MemorySize=128
    )
    assert aws.invoke(name, 20).value == 20 * 1024 * 1024
    answer = aws.invoke(name, 300)
    assert answer.error == "Unhandled"
    assert answer.value["errorType"] == "Runtime.ExitError"
    assert answer.value["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert answer.log[-1].endswith("Status: error\tError Type: Runtime.OutOfMemory")


def test_nothing_runs_between_invocations(aws: Any) -> None:
    name = aws.deploy(
        "import threading, time\n"
        "count = 0\n"
        "def tick():\n"
        "    global count\n"
        "    while True:\n"
        "        count += 1\n"
        "        time.sleep(0.001)\n"
        "threading.Thread(target=tick, daemon=True).start()\n"
        "def handler(event, context):\n"
        "    before = count\n"
        "    time.sleep(event)\n"
        "    return before, count\n"
    )
    _, last = aws.invoke(name, 0.1).value
    other = aws.deploy("import time\ndef handler(event, context):\n    time.sleep(0.3)\n")
    aws.invoke(other)
    first, _ = aws.invoke(name, 0).value
    assert first - last < 20  # 0.3 s would be 300


def test_payloads_over_six_megabytes_are_refused(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    return len(event)\n", MemorySize=512)
    assert aws.invoke(name, "x" * 6_000_000).value == 6_000_000
    with pytest.raises(ClientError) as caught:
        aws.invoke(name, "x" * 6_291_455)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert caught.value.response["Error"] == {
        "Code": "RequestTooLargeException",
        "Message": "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)",
    }


def test_an_answer_over_six_megabytes_is_the_functions_error(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    return 'x' * event\n", MemorySize=512)
    answer = aws.invoke(name, 7_000_000)
    assert answer.error == "Unhandled"
    assert answer.value == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    assert aws.invoke(name, 3).value == "xxx"


def test_a_dry_run_answers_204_and_runs_nothing(aws: Any) -> None:
    name = aws.deploy(ECHO)
    answer = aws.functions.invoke(FunctionName=name, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert aws.logged(f"/aws/lambda/{name}") == []


def test_a_function_that_does_not_exist_is_not_found(aws: Any) -> None:
    with pytest.raises(
        ClientError, match="Function not found: arn:aws:lambda:us-east-1:123456789012:function:none"
    ):
        aws.functions.invoke(FunctionName="none")


@pytest.mark.parametrize(
    "form", ["{name}", "{name}:$LATEST", "arn:aws:lambda:us-east-1:123456789012:function:{name}"]
)
def test_a_function_answers_to_its_name_and_to_its_arn(aws: Any, form: str) -> None:
    name = aws.deploy(ECHO)
    assert aws.invoke(form.format(name=name), 1).value == 1


def test_the_task_root_holds_the_zip_and_temporary_files_go_elsewhere(aws: Any) -> None:
    name = aws.deploy(
        "import os, tempfile\ndef handler(event, context):\n"
        "    return [os.getcwd() == os.environ['LAMBDA_TASK_ROOT'], os.listdir('.'), tempfile.gettempdir()]\n"
    )
    in_root, files, temporary = aws.invoke(name).value
    assert in_root
    assert "app.py" in files
    assert Path(temporary).is_relative_to(aws.info.log_file.parent)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"Runtime": "nodejs22.x"}, "the runtime nodejs22.x (only python3.x)"),
    ],
)
def test_what_cannot_be_run_here_is_named(aws: Any, options: dict[str, Any], named: str) -> None:
    name = aws.deploy(ECHO, **options)
    with pytest.raises(ClientError) as caught:
        aws.invoke(name)
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert caught.value.response["Error"]["Message"] == (
        f"The embedded cloud does not implement {named}: function {name}."
    )


def test_sandboxes_end_when_the_cloud_is_killed(
    aws: Any, tmp_path: Path, alive: Callable[[int], bool], eventually: Callable[..., None]
) -> None:
    other = type(aws)(control.start(tmp_path / "state", lifetime=120))
    source = (
        "import os, subprocess\nchild = subprocess.Popen(['sleep', '300'])\n"
        "def handler(event, context):\n    return [os.getpid(), child.pid]\n"
    )
    try:
        pids = other.invoke(other.deploy(source)).value
        assert all(map(alive, pids))
    finally:
        os.kill(other.info.pid, signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids)), lambda: [pid for pid in pids if alive(pid)])
    assert json.loads((tmp_path / "state" / "cloud.json").read_text())["pid"] == other.info.pid
    control.stop(tmp_path / "state")
