"""How many invocations may run at once, what is kept warm, and what is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import control

PID = "import os, time\ndef handler(event, context):\n    time.sleep(event or 0)\n    return os.getpid()\n"
INITIALIZATION = (
    "import os, time\ndef handler(event, context):\n    time.sleep(event or 0)\n"
    "    return [os.getpid(), os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']]\n"
)


def gate(path: Path) -> str:
    """A handler that says that it runs, and waits until it may end."""
    return (
        "import os, time, pathlib\n"
        "def handler(event, context):\n"
        f"    folder = pathlib.Path({str(path)!r})\n"
        "    (folder / f'running-{context.aws_request_id}').touch()\n"
        "    while not (folder / 'open').exists(): time.sleep(0.005)\n"
        "    return os.getpid()\n"
    )


class Held:
    """Invocations that wait behind the gate."""

    def __init__(self, aws: Any, name: str, folder: Path, eventually: Callable[..., None]) -> None:
        self._aws, self._name, self._folder, self._eventually = aws, name, folder, eventually
        self._threads = ThreadPoolExecutor(20)
        self._calls: list[Any] = []

    def start(self, count: int, **options: Any) -> None:
        self._calls += [self._threads.submit(self._aws.invoke, self._name, **options) for _ in range(count)]
        wanted = len(self._calls)
        self._eventually(lambda: len(list(self._folder.glob("running-*"))) == wanted, lambda: self._calls)

    def finish(self) -> list[Any]:
        (self._folder / "open").touch()
        answers = [call.result().value for call in self._calls]
        self._threads.shutdown()
        return answers


@pytest.fixture
def hold(aws: Any, tmp_path: Path, eventually: Callable[..., None]) -> Callable[[str], Held]:
    return lambda name: Held(aws, name, tmp_path, eventually)


def test_one_sandbox_serves_calls_that_follow_each_other(aws: Any) -> None:
    name = aws.deploy(PID)
    assert len({aws.invoke(name).value for _ in range(5)}) == 1


def test_calls_at_the_same_time_get_a_sandbox_each(
    aws: Any, tmp_path: Path, hold: Callable[[str], Held]
) -> None:
    name = aws.deploy(gate(tmp_path))
    held = hold(name)
    held.start(3)
    assert len(set(held.finish())) == 3
    assert len({aws.invoke(name).value for _ in range(3)}) == 1


def test_reserved_concurrency_is_a_limit(aws: Any, tmp_path: Path, hold: Callable[[str], Held]) -> None:
    name = aws.deploy(gate(tmp_path))
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    held = hold(name)
    held.start(2)
    with pytest.raises(ClientError) as caught:
        aws.invoke(name)
    response = caught.value.response
    assert response["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert response["Type"] == "User"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    held.finish()
    aws.invoke(name)


def test_a_function_with_nothing_reserved_for_it_is_off(aws: Any) -> None:
    name = aws.deploy(PID)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert aws.functions.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    with pytest.raises(ClientError, match="Rate Exceeded"):
        aws.invoke(name)
    aws.functions.delete_function_concurrency(FunctionName=name)
    assert aws.invoke(name).value


def test_a_hundred_of_the_account_must_stay_unreserved(aws: Any) -> None:
    one, two = aws.deploy(PID), aws.deploy(PID)
    aws.functions.put_function_concurrency(FunctionName=one, ReservedConcurrentExecutions=600)
    with pytest.raises(ClientError) as caught:
        aws.functions.put_function_concurrency(FunctionName=two, ReservedConcurrentExecutions=301)
    assert caught.value.response["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100].",
    }
    aws.functions.put_function_concurrency(FunctionName=two, ReservedConcurrentExecutions=300)
    limits = aws.functions.get_account_settings()["AccountLimit"]
    assert limits["ConcurrentExecutions"] == 1000
    assert limits["UnreservedConcurrentExecutions"] == 100
    aws.functions.put_function_concurrency(FunctionName=one, ReservedConcurrentExecutions=500)
    aws.functions.delete_function(FunctionName=two)
    limits = aws.functions.get_account_settings()["AccountLimit"]
    assert limits["UnreservedConcurrentExecutions"] == 500


def test_the_limit_of_this_machine_is_named(aws: Any, tmp_path: Path, hold: Callable[[str], Held]) -> None:
    held = hold(aws.deploy(gate(tmp_path)))
    held.start(8)
    with pytest.raises(ClientError) as caught:
        aws.invoke(aws.deploy(PID))
    message = caught.value.response["Error"]["Message"]
    assert message == (
        "Rate Exceeded. This machine runs at most 8 sandboxes; LOCALCLOUD_LAMBDA_MAX_SANDBOXES sets the number."
    )
    held.finish()


def test_an_idle_sandbox_makes_room_for_another_function(
    aws: Any, tmp_path: Path, hold: Callable[[str], Held]
) -> None:
    held = hold(aws.deploy(gate(tmp_path)))
    held.start(8)
    held.finish()
    assert aws.invoke(aws.deploy(PID)).value


def test_an_idle_sandbox_ends_after_a_while(
    aws: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    alive: Callable[[int], bool],
    eventually: Callable[..., None],
) -> None:
    monkeypatch.setenv("LOCALCLOUD_LAMBDA_IDLE_SECONDS", "0.1")
    other = type(aws)(control.start(tmp_path, lifetime=120))
    try:
        pid = other.invoke(other.deploy(PID)).value
        eventually(lambda: not alive(pid))
        eventually(lambda: not list((tmp_path / "functions" / "tasks").iterdir()))
        eventually(lambda: not list((tmp_path / "functions" / "sandboxes").iterdir()))
    finally:
        control.stop(tmp_path)


def test_many_callers_at_once_each_get_their_own_answer(aws: Any) -> None:
    name = aws.deploy("def handler(event, context):\n    return event\n")
    with ThreadPoolExecutor(6) as threads:
        assert [answer.value for answer in threads.map(lambda n: aws.invoke(name, n), range(200))] == list(
            range(200)
        )


# -- provisioned concurrency


def publish(aws: Any, source: str, **options: Any) -> str:
    """A function with version 1 and the alias live."""
    name: str = aws.deploy(source, Publish=True, **options)
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


def provision(aws: Any, name: str, count: int, qualifier: str = "live") -> dict[str, Any]:
    answer: dict[str, Any] = aws.functions.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count
    )
    return answer


def settled(aws: Any, name: str, eventually: Callable[..., None], qualifier: str = "live") -> dict[str, Any]:
    def look() -> dict[str, Any]:
        answer: dict[str, Any] = aws.functions.get_provisioned_concurrency_config(
            FunctionName=name, Qualifier=qualifier
        )
        return answer

    eventually(lambda: look()["Status"] != "IN_PROGRESS", look)
    return look()


def test_provisioned_sandboxes_are_there_before_anybody_calls(
    aws: Any, eventually: Callable[..., None]
) -> None:
    name = publish(aws, INITIALIZATION)
    first = provision(aws, name, 2)
    assert (first["Status"], first["RequestedProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 2)
    ready = settled(aws, name, eventually)
    assert ready["Status"] == "READY"
    assert ready["AllocatedProvisionedConcurrentExecutions"] == 2
    assert ready["AvailableProvisionedConcurrentExecutions"] == 2
    assert aws.invoke(name, Qualifier="live").value[1] == "provisioned-concurrency"


def test_more_calls_than_provisioned_spill_over(aws: Any, eventually: Callable[..., None]) -> None:
    name = publish(aws, INITIALIZATION)
    provision(aws, name, 1)
    settled(aws, name, eventually)
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: aws.invoke(name, 0.5, Qualifier="live").value[1], range(2)))
    assert sorted(answers) == ["on-demand", "provisioned-concurrency"]


def test_what_all_is_provisioned_leaves_nothing_for_latest(aws: Any, eventually: Callable[..., None]) -> None:
    name = publish(aws, INITIALIZATION)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    provision(aws, name, 2)
    settled(aws, name, eventually)
    assert aws.invoke(name, Qualifier="live").error is None
    with pytest.raises(ClientError, match="Rate Exceeded"):
        aws.invoke(name)


def test_more_than_this_machine_keeps_warm_is_told_truthfully(
    aws: Any, eventually: Callable[..., None]
) -> None:
    name = publish(aws, PID)
    provision(aws, name, 5)
    ready = settled(aws, name, eventually)
    assert ready["RequestedProvisionedConcurrentExecutions"] == 5
    assert ready["AllocatedProvisionedConcurrentExecutions"] == 3
    assert ready["StatusReason"] == (
        "This machine keeps at most 3 sandboxes warm; LOCALCLOUD_LAMBDA_MAX_WARM_SANDBOXES sets the number."
    )


def test_provisioning_fails_when_the_code_cannot_be_loaded(aws: Any, eventually: Callable[..., None]) -> None:
    name = publish(aws, "import nothing_like_it\n")
    provision(aws, name, 1)
    failed = settled(aws, name, eventually)
    assert (failed["Status"], failed["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    assert failed["AllocatedProvisionedConcurrentExecutions"] == 0


def test_a_provisioned_sandbox_that_dies_is_replaced(aws: Any, eventually: Callable[..., None]) -> None:
    name = publish(
        aws, "import os\ndef handler(event, context):\n    if event: os._exit(1)\n    return os.getpid()\n"
    )
    provision(aws, name, 1)
    settled(aws, name, eventually)
    before = aws.invoke(name, Qualifier="live").value
    aws.invoke(name, True, Qualifier="live")

    def available() -> int:
        config = aws.functions.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
        return int(config["AvailableProvisionedConcurrentExecutions"])

    eventually(lambda: available() == 1, available)
    assert aws.invoke(name, Qualifier="live").value != before


def test_an_alias_that_moves_takes_its_provisioning_along(
    aws: Any, code: Callable[[str], bytes], eventually: Callable[..., None]
) -> None:
    name = publish(aws, INITIALIZATION)
    provision(aws, name, 1)
    settled(aws, name, eventually)
    aws.functions.update_function_code(
        FunctionName=name, ZipFile=code(INITIALIZATION + "# 2\n"), Publish=True
    )
    aws.functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    settled(aws, name, eventually)
    answer = aws.invoke(name, Qualifier="live")
    assert answer.raw["ExecutedVersion"] == "2"
    assert answer.value[1] == "provisioned-concurrency"


def test_deleting_the_provisioning_ends_its_sandboxes(
    aws: Any, eventually: Callable[..., None], alive: Callable[[int], bool]
) -> None:
    name = publish(aws, PID)
    provision(aws, name, 1)
    settled(aws, name, eventually)
    pid = aws.invoke(name, Qualifier="live").value
    configs = aws.functions.list_provisioned_concurrency_configs(FunctionName=name)[
        "ProvisionedConcurrencyConfigs"
    ]
    assert [config["FunctionArn"].rsplit(":", 1)[1] for config in configs] == ["live"]
    aws.functions.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    eventually(lambda: not alive(pid))
    with pytest.raises(ClientError) as caught:
        aws.functions.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    assert caught.value.response["Error"] == {
        "Code": "ProvisionedConcurrencyConfigNotFoundException",
        "Message": "No Provisioned Concurrency Config found for this function",
    }


@pytest.mark.parametrize(
    ("qualifier", "count", "message"),
    [
        ("$LATEST", 1, "Provisioned Concurrency Configs cannot be applied to unpublished function versions."),
        (
            "live",
            6,
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
        ),
    ],
)
def test_provisioning_that_aws_refuses_is_refused(aws: Any, qualifier: str, count: int, message: str) -> None:
    name = publish(aws, PID)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    with pytest.raises(ClientError) as caught:
        provision(aws, name, count, qualifier)
    assert caught.value.response["Error"] == {"Code": "InvalidParameterValueException", "Message": message}


def test_provisioning_must_leave_a_hundred_to_the_account(aws: Any) -> None:
    name = publish(aws, PID)
    with pytest.raises(ClientError) as caught:
        provision(aws, name, 901)
    assert caught.value.response["Error"]["Message"] == (
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100]."
    )


def test_a_reservation_below_what_is_provisioned_is_refused(
    aws: Any, eventually: Callable[..., None]
) -> None:
    name = publish(aws, PID)
    provision(aws, name, 2)
    with pytest.raises(
        ClientError, match=r"should not be lower than function's total provisioned concurrency \[2\]"
    ):
        aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    settled(aws, name, eventually)


# -- asynchronous invocation


def counting(path: Path, succeed_at: int) -> str:
    return (
        "import pathlib\n"
        "def handler(event, context):\n"
        f"    path = pathlib.Path({str(path)!r})\n"
        "    with path.open('a') as file: file.write(context.aws_request_id + '\\n')\n"
        f"    if len(path.read_text().split()) < {succeed_at}: raise ValueError('not yet')\n"
    )


def test_an_asynchronous_call_is_answered_at_once_and_runs(
    aws: Any, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    path = tmp_path / "calls"
    name = aws.deploy(counting(path, 1))
    answer = aws.functions.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    assert answer["StatusCode"] == 202
    eventually(path.exists)


@pytest.mark.parametrize(("settings", "tries"), [({}, 3), ({"MaximumRetryAttempts": 0}, 1)])
def test_an_asynchronous_call_that_fails_is_tried_again_under_the_same_id(
    aws: Any, tmp_path: Path, eventually: Callable[..., None], settings: dict[str, int], tries: int
) -> None:
    path = tmp_path / "calls"
    name = aws.deploy(counting(path, 99))
    if settings:
        aws.functions.put_function_event_invoke_config(FunctionName=name, **settings)
    aws.functions.invoke(FunctionName=name, InvocationType="Event")

    def reports() -> list[str]:
        return [line for line in aws.logged(f"/aws/lambda/{name}") if line.startswith("REPORT")]

    eventually(lambda: len(reports()) == tries, reports)
    calls = path.read_text().split()
    assert len(calls) == tries
    assert len(set(calls)) == 1


def test_an_alias_has_asynchronous_settings_of_its_own(aws: Any) -> None:
    name = publish(aws, PID)
    live = {"FunctionName": name, "Qualifier": "live"}
    aws.functions.put_function_event_invoke_config(**live, MaximumRetryAttempts=0)
    aws.functions.update_function_event_invoke_config(**live, MaximumEventAgeInSeconds=60)
    config = aws.functions.get_function_event_invoke_config(FunctionName=name, Qualifier="live")
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 60)
    assert config["FunctionArn"].endswith(f":{name}:live")
    with pytest.raises(ClientError, match="doesn't have an EventInvokeConfig"):
        aws.functions.get_function_event_invoke_config(FunctionName=name)
    aws.functions.delete_function_event_invoke_config(FunctionName=name, Qualifier="live")
    assert (
        aws.functions.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
        == []
    )


def test_an_asynchronous_call_that_is_throttled_waits_for_its_turn(
    aws: Any, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    path = tmp_path / "calls"
    name = aws.deploy(counting(path, 1))
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    aws.functions.invoke(FunctionName=name, InvocationType="Event")
    metrics = aws.client("cloudwatch")

    def throttles() -> int:
        names = metrics.list_metrics(Namespace="AWS/Lambda", MetricName="Throttles")["Metrics"]
        return sum({"Name": "FunctionName", "Value": name} in metric["Dimensions"] for metric in names)

    eventually(throttles)
    assert not path.exists()
    aws.functions.delete_function_concurrency(FunctionName=name)
    eventually(path.exists)


def test_asynchronous_payloads_are_limited_to_256_kilobytes(aws: Any) -> None:
    name = aws.deploy(PID)
    with pytest.raises(ClientError) as caught:
        aws.functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'"' + b"x" * 262_143 + b'"')
    assert caught.value.response["Error"]["Message"] == (
        "262145 byte payload is too large for the Event invocation type (limit 262144 bytes)"
    )


def test_the_outcome_of_an_asynchronous_call_goes_to_its_destination(
    aws: Any, eventually: Callable[..., None]
) -> None:
    queue = aws.client("sqs").create_queue(QueueName="failures")["QueueUrl"]
    destination = {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:failures"}}
    name = aws.deploy("def handler(event, context):\n    raise ValueError(event)")
    aws.functions.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=destination
    )
    config = aws.functions.get_function_event_invoke_config(FunctionName=name)
    assert config["DestinationConfig"] == destination
    aws.functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'"why"')
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        messages = aws.client("sqs").receive_message(QueueUrl=queue).get("Messages", [])
        found.extend(json.loads(message["Body"]) for message in messages)
        return bool(found)

    eventually(arrived)
    assert found[0]["requestPayload"] == "why"
    assert found[0]["requestContext"]["condition"] == "RetriesExhausted"
    assert found[0]["responsePayload"]["errorMessage"] == "why"


def test_other_destinations_are_refused_by_name(aws: Any) -> None:
    with pytest.raises(ClientError, match="does not implement destinations other than queues and topics"):
        aws.functions.put_function_event_invoke_config(
            FunctionName=aws.deploy(PID),
            DestinationConfig={
                "OnFailure": {"Destination": "arn:aws:events:us-east-1:123456789012:event-bus/b"}
            },
        )
