from __future__ import annotations

import re
from pathlib import Path

import pytest

from ml.serving.settings import _VARIABLES, Settings, SettingsError


def test_an_empty_environment_gives_the_defaults_of_a_container() -> None:
    settings = Settings.from_environment({})
    assert settings.model_dir == Path("/opt/ml/model")
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)
    assert settings.fetch_urls is False
    assert settings.max_body_bytes == 6 * 1024 * 1024


def test_every_variable_is_read() -> None:
    environment = {
        "SAGEMAKER_BASE_DIR": "/srv/ml",
        "SAGEMAKER_BIND_TO_PORT": "9000",
        "KENNEL_HOST": "127.0.0.1",
        "KENNEL_ENGINE": "torch",
        "KENNEL_FETCH_URLS": "true",
        "KENNEL_FETCH_ALLOW_HTTP": "true",
        "KENNEL_FETCH_ALLOW_LOOPBACK": "true",
        "KENNEL_MAX_BODY_BYTES": "1000",
        "KENNEL_READ_TIMEOUT_SECONDS": "5",
        "KENNEL_MAX_QUEUE": "7",
        "KENNEL_DEADLINE_SECONDS": "8",
        "KENNEL_WORKERS": "3",
        "KENNEL_HANG_SECONDS": "9",
    }
    assert Settings.from_environment(environment) == Settings(
        Path("/srv/ml"), 9000, "127.0.0.1", "torch", True, True, True, 1000, 5, 7, 8, 3, 9
    )


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("SAGEMAKER_BASE_DIR", "opt/ml", "an absolute path"),
        ("SAGEMAKER_BASE_DIR", "", "an absolute path"),
        ("SAGEMAKER_BIND_TO_PORT", "65536", "a number from 0 to 65535"),
        ("SAGEMAKER_BIND_TO_PORT", "-1", "a number from 0 to 65535"),
        ("SAGEMAKER_BIND_TO_PORT", "8080 ", "a number from 0 to 65535"),
        ("SAGEMAKER_BIND_TO_PORT", "٨", "a number from 0 to 65535"),
        ("KENNEL_HOST", "", "an address to listen on"),
        ("KENNEL_ENGINE", "onnx", "openvino or torch"),
        ("KENNEL_FETCH_URLS", "False", "true or false"),
        ("KENNEL_FETCH_URLS", "1", "true or false"),
        ("KENNEL_FETCH_ALLOW_LOOPBACK", "", "true or false"),
        ("KENNEL_MAX_BODY_BYTES", "0", "a number from 1 to 1073741824"),
        ("KENNEL_READ_TIMEOUT_SECONDS", "61", "a number from 1 to 60"),
        ("KENNEL_DEADLINE_SECONDS", "61", "a number from 1 to 60"),
        ("KENNEL_WORKERS", "0", "a number from 1 to 64"),
        ("KENNEL_HANG_SECONDS", "1", "a number from 2 to 600"),
        ("KENNEL_MAX_QUEUE", "1.5", "a number from 1 to 4096"),
    ],
)
def test_a_wrong_value_is_refused_with_its_rule(variable: str, value: str, rule: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({variable: value})
    assert str(caught.value) == f"{variable} is {value!r}; {rule} is needed."


def test_the_page_on_serving_has_every_variable_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", page, re.MULTILINE))
    defaults = Settings()
    expected = {}
    for field, (variable, *_) in _VARIABLES.items():
        value = getattr(defaults, field)
        expected[variable] = f"`{str(value).lower() if isinstance(value, bool) else value}`"
    in_words = {variable for variable, text in expected.items() if text == "`None`"}
    assert in_words == {"KENNEL_ENGINE", "KENNEL_WORKERS"}
    assert told.keys() == expected.keys()
    assert {name: told[name] for name in told.keys() - in_words} == {
        name: expected[name] for name in expected.keys() - in_words
    }
