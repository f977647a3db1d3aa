from __future__ import annotations

import pytest

from localcloud.errors import CloudError
from localcloud.functions.settings import Settings, from_environment


def test_settings_come_from_the_environment() -> None:
    environment = {
        "LOCALCLOUD_LAMBDA_MAX_SANDBOXES": "7",
        "LOCALCLOUD_LAMBDA_IDLE_SECONDS": "1.5",
        "LOCALCLOUD_LAMBDA_RETRY_DELAYS": "1, 2",
        "HOME": "/",
    }
    assert from_environment(environment) == Settings(
        max_sandboxes=7, idle_seconds=1.5, retry_delays=(1.0, 2.0)
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MAX_SANDBOXES", "many", "LOCALCLOUD_LAMBDA_MAX_SANDBOXES must be a number."),
        ("MAX_SANDBOXES", "1.5", "LOCALCLOUD_LAMBDA_MAX_SANDBOXES must be a number."),
        ("IDLE_SECONDS", "-1", "LOCALCLOUD_LAMBDA_IDLE_SECONDS must not be negative."),
        ("IDLE_SECONDS", "nan", "LOCALCLOUD_LAMBDA_IDLE_SECONDS must not be negative."),
        ("RETRY_DELAYS", "1,x", "LOCALCLOUD_LAMBDA_RETRY_DELAYS must be a number list."),
        ("MAX_SANDBOX", "1", "Variables LOCALCLOUD_LAMBDA_* must be one of "),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(CloudError) as caught:
        from_environment({f"LOCALCLOUD_LAMBDA_{name}": value})
    assert str(caught.value).startswith(message)
