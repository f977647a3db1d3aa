from __future__ import annotations

import re
from pathlib import Path

import pytest
from guarded_fetch import FetchPolicy
from lambda_errors import SettingsError
from lambda_settings import Settings

LEAST = {"AWS_REGION": "us-east-1", "ENDPOINT_NAME": "dogs"}


def settings(**more: str) -> Settings:
    return Settings.from_environment({**LEAST, **more})


def test_the_least_environment_is_strict_about_urls() -> None:
    assert settings().fetch == FetchPolicy(allow_http=False, allow_loopback=False)


def test_a_fetch_has_the_time_and_the_size_that_terraform_gives_it_too() -> None:
    variables = Path(__file__).parents[2].joinpath("terraform/modules/lambda/variables.tf").read_text("utf-8")
    limits = variables.partition("fetch = optional(object({")[2].partition("})")[0]
    default = dict(re.findall(r"(\w+) += optional\(number, (\d+)\)", limits))
    fetch = settings().fetch
    assert default == {"max_bytes": str(fetch.max_bytes), "timeout_seconds": f"{fetch.total_seconds:g}"}


def test_empty_variables_count_as_unset() -> None:
    empty = dict.fromkeys(
        ["ALLOWED_ENDPOINTS", "ENDPOINT_ALIASES", "FETCH_ALLOW_HTTP", "FETCH_MAX_BYTES"], ""
    )
    assert settings(**empty) == settings()


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "https://runtime.sagemaker.us-east-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:5000/"}, "http://127.0.0.1:5000"),
        (
            {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
                "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://[::1]:2",
            },
            "http://[::1]:2",
        ),
    ],
)
def test_the_runtime_is_where_the_aws_sdks_would_look_for_it(environment: dict[str, str], url: str) -> None:
    assert settings(**environment).runtime_url == url


def test_the_default_endpoint_is_always_allowed() -> None:
    assert settings(ALLOWED_ENDPOINTS="cats, birds,").allowed_endpoints == {"dogs", "cats", "birds"}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_REGION": ""}, "AWS_REGION must be set."),
        ({"ENDPOINT_NAME": ""}, "Set ENDPOINT_NAME or ALLOWED_ENDPOINTS: no endpoint may be called otherwise."),
        ({"ALLOWED_ENDPOINTS": "a/b"}, "ENDPOINT_NAME and ALLOWED_ENDPOINTS take endpoint names (letters, digits, "
         "hyphens, at most 63 characters); received 'a/b'."),
        ({"ENDPOINT_NAME": "a" * 64}, "ENDPOINT_NAME and ALLOWED_ENDPOINTS take endpoint names (letters, digits, "
         f"hyphens, at most 63 characters); received '{'a' * 64}'."),
        ({"ENDPOINT_ALIASES": "old=dogs"},
         'ENDPOINT_ALIASES must be a JSON object like {"old-name": "endpoint-name"}.'),
        ({"ENDPOINT_ALIASES": '{"old": 1}'},
         'ENDPOINT_ALIASES must be a JSON object like {"old-name": "endpoint-name"}.'),
        ({"ENDPOINT_ALIASES": '{"old": "cats"}'},
         "ENDPOINT_ALIASES may only lead to allowed endpoints (dogs); received cats."),
        ({"FETCH_ALLOW_HTTP": "yes"}, "FETCH_ALLOW_HTTP must be true or false; received 'yes'."),
        ({"FETCH_ALLOW_LOOPBACK": "True"}, "FETCH_ALLOW_LOOPBACK must be true or false; received 'True'."),
        ({"FETCH_MAX_BYTES": "6291457"}, "FETCH_MAX_BYTES must be a number from 1 to 6291456; received '6291457'."),
        ({"FETCH_TIMEOUT_SECONDS": "nan"}, "FETCH_TIMEOUT_SECONDS must be a number from 0.001 to 900; received 'nan'."),
        ({"FETCH_TIMEOUT_SECONDS": "-1"}, "FETCH_TIMEOUT_SECONDS must be a number from 0.001 to 900; received '-1'."),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR; received 'LOUD'."),
        ({"AWS_ENDPOINT_URL": "localhost:5000"},
         "AWS_ENDPOINT_URL must be http(s)://host or http(s)://host:port; received 'localhost:5000'."),
        ({"AWS_ENDPOINT_URL": "http://a/b"},
         "AWS_ENDPOINT_URL must be http(s)://host or http(s)://host:port; received 'http://a/b'."),
        ({"AWS_ENDPOINT_URL": "http://[::1"},
         "AWS_ENDPOINT_URL must be http(s)://host or http(s)://host:port; received 'http://[::1'."),
        ({"AWS_ENDPOINT_URL": "http://a:b@c"},
         "AWS_ENDPOINT_URL must be http(s)://host or http(s)://host:port; received 'http://a:b@c'."),
        ({"FETCH_ALLOW_HTTP": "true"},
         "Only the stage local may set FETCH_ALLOW_HTTP or FETCH_ALLOW_LOOPBACK; STAGE is ''."),
        ({"FETCH_ALLOW_LOOPBACK": "true", "STAGE": "prod"},
         "Only the stage local may set FETCH_ALLOW_HTTP or FETCH_ALLOW_LOOPBACK; STAGE is 'prod'."),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_its_rule(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**environment)
    assert str(caught.value) == message


def test_an_inference_component_is_named_and_checked() -> None:
    assert settings().component is None
    assert settings(KENNEL_INFERENCE_COMPONENT="dogs-classifier").component == "dogs-classifier"
    with pytest.raises(SettingsError, match="KENNEL_INFERENCE_COMPONENT"):
        settings(KENNEL_INFERENCE_COMPONENT="dogs/classifier")
