"""Versions, aliases, updates, deletion: what runs is what was deployed."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


def says(word: str) -> str:
    return f"import os\ndef handler(event, context):\n    return [{word!r}, os.getpid()]\n"


def test_the_hash_of_the_code_is_that_of_the_zip(aws: Any, code: Callable[[str], bytes]) -> None:
    name = aws.deploy(says("one"))
    digest = hashlib.sha256(code(says("one"))).digest()
    configuration = aws.functions.get_function_configuration(FunctionName=name)
    assert configuration["CodeSha256"] == base64.b64encode(digest).decode()
    assert configuration["State"] == "Active"
    assert configuration["LastUpdateStatus"] == "Successful"


def test_new_code_runs_from_the_next_call_on_and_the_old_sandbox_ends(
    aws: Any, code: Callable[[str], bytes], alive: Callable[[int], bool], eventually: Callable[..., None]
) -> None:
    name = aws.deploy(says("one"))
    word, pid = aws.invoke(name).value
    assert word == "one"
    aws.functions.update_function_code(FunctionName=name, ZipFile=code(says("two")))
    assert aws.invoke(name).value[0] == "two"
    eventually(lambda: not alive(pid))


def test_new_variables_are_seen_from_the_next_call_on(aws: Any) -> None:
    name = aws.deploy("import os\ndef handler(event, context):\n    return os.environ.get('WORD')\n")
    assert aws.invoke(name).value is None
    aws.functions.update_function_configuration(FunctionName=name, Environment={"Variables": {"WORD": "now"}})
    assert aws.invoke(name).value == "now"


def test_code_comes_from_s3_too(aws: Any, code: Callable[[str], bytes]) -> None:
    name = aws.deploy(says("one"))
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="packages")
    s3.put_object(Bucket="packages", Key="two.zip", Body=code(says("two")))
    answer = aws.functions.update_function_code(FunctionName=name, S3Bucket="packages", S3Key="two.zip")
    assert answer["CodeSha256"] == base64.b64encode(hashlib.sha256(code(says("two"))).digest()).decode()
    assert aws.invoke(name).value[0] == "two"
    with pytest.raises(ClientError, match="NoSuchKey") as caught:
        aws.functions.update_function_code(FunctionName=name, S3Bucket="packages", S3Key="none.zip")
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert aws.invoke(name).value[0] == "two"


def test_a_package_that_is_no_zip_is_refused_and_the_old_one_stays(aws: Any) -> None:
    name = aws.deploy(says("one"))
    with pytest.raises(ClientError) as caught:
        aws.functions.update_function_code(FunctionName=name, ZipFile=b"no zip")
    assert caught.value.response["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "Could not unzip uploaded file. Please check your file, then try to upload again.",
    }
    assert aws.invoke(name).value[0] == "one"


def test_a_version_keeps_its_code_and_configuration(aws: Any, code: Callable[[str], bytes]) -> None:
    name = aws.deploy(says("one"), Publish=True)
    aws.functions.update_function_code(FunctionName=name, ZipFile=code(says("two")))
    answer = aws.invoke(name, Qualifier="1")
    assert answer.value[0] == "one"
    assert answer.raw["ExecutedVersion"] == "1"
    assert aws.invoke(name, Qualifier="$LATEST").value[0] == "two"


def test_version_numbers_are_not_given_twice(aws: Any, code: Callable[[str], bytes]) -> None:
    name = aws.deploy(says("one"), Publish=True)
    published = []
    for word in ("two", "three"):
        published.append(
            aws.functions.update_function_code(FunctionName=name, ZipFile=code(says(word)), Publish=True)[
                "Version"
            ]
        )
        aws.functions.delete_function(FunctionName=name, Qualifier=published[-1])
    assert published == ["2", "3"]


def test_publishing_without_a_change_gives_the_last_version(aws: Any) -> None:
    name = aws.deploy(says("one"), Publish=True)
    assert aws.functions.publish_version(FunctionName=name)["Version"] == "1"


def test_an_alias_leads_to_its_version(aws: Any, code: Callable[[str], bytes]) -> None:
    name = aws.deploy("def handler(event, context):\n    return context.invoked_function_arn\n", Publish=True)
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}:live"
    for form in (
        {"FunctionName": name, "Qualifier": "live"},
        {"FunctionName": f"{name}:live"},
        {"FunctionName": arn},
    ):
        answer = aws.invoke(form.pop("FunctionName"), **form)
        assert answer.value == arn
        assert answer.raw["ExecutedVersion"] == "1"


def test_an_alias_can_split_its_calls(aws: Any, code: Callable[[str], bytes]) -> None:
    name = aws.deploy(says("one"), Publish=True)
    aws.functions.update_function_code(FunctionName=name, ZipFile=code(says("two")), Publish=True)
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=routing)
    words = Counter(aws.invoke(name, Qualifier="live").value[0] for _ in range(60))
    assert words["one"] > 10
    assert words["two"] > 10


def test_an_alias_cannot_split_with_latest(aws: Any) -> None:
    name = aws.deploy(says("one"), Publish=True)
    routing = {"AdditionalVersionWeights": {"1": 0.5}}
    with pytest.raises(
        ClientError, match=r"\$LATEST is not supported for an alias pointing to more than 1 version"
    ):
        aws.functions.create_alias(
            FunctionName=name, Name="a", FunctionVersion="$LATEST", RoutingConfig=routing
        )


def test_a_version_in_use_by_an_alias_stays(aws: Any) -> None:
    name = aws.deploy(says("one"), Publish=True)
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    with pytest.raises(ClientError, match="Version 1 is currently referenced by alias live") as caught:
        aws.functions.delete_function(FunctionName=name, Qualifier="1")
    assert caught.value.response["Error"]["Code"] == "ResourceConflictException"


def test_deleting_a_function_ends_its_sandboxes_and_its_log_stays_as_it_was(
    aws: Any, alive: Callable[[int], bool], eventually: Callable[..., None]
) -> None:
    name = aws.deploy(says("one"))
    _, pid = aws.invoke(name).value
    aws.client("logs").delete_log_group(logGroupName=f"/aws/lambda/{name}")
    aws.functions.delete_function(FunctionName=name)
    eventually(lambda: not alive(pid))
    assert aws.logged(f"/aws/lambda/{name}") == []
    with pytest.raises(ClientError, match="Function not found"):
        aws.invoke(name)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            {"Environment": {"Variables": {"AWS_REGION": "x"}}},
            "InvalidParameterValueException",
            "Reserved keys used in this request: AWS_REGION",
        ),
        (
            {"Environment": {"Variables": {"BIG": "x" * 4094}}},
            "InvalidParameterValueException",
            "exceeded the 4KB limit",
        ),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "NotImplemented", "does not implement SnapStart"),
        (
            {"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:queue"}},
            "NotImplemented",
            "does not implement DeadLetterConfig",
        ),
    ],
)
def test_a_configuration_that_cannot_be_had_is_refused(
    aws: Any, options: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        aws.deploy(says("one"), **options)
    assert caught.value.response["Error"]["Code"] == code


def test_what_terraform_sets_is_read_back(aws: Any) -> None:
    logging = {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "WARN",
        "SystemLogLevel": "INFO",
        "LogGroup": "/mine",
    }
    name = aws.deploy(says("one"), LoggingConfig=logging, EphemeralStorage={"Size": 1024})
    configuration = aws.functions.get_function_configuration(FunctionName=name)
    assert configuration["LoggingConfig"] == logging
    assert configuration["EphemeralStorage"] == {"Size": 1024}
    aws.functions.update_function_configuration(FunctionName=name, LoggingConfig={"LogFormat": "Text"})
    configuration = aws.functions.get_function_configuration(FunctionName=name)
    assert configuration["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
