from __future__ import annotations

from typing import Any

import pytest

from ops import live

OUTPUTS = {"endpoint_name": "kennel-dev", "endpoint_config_name": "new"}


class FakeStage:
    """A stage whose endpoint is described so."""

    def __init__(self, **described: Any) -> None:
        self.described = {"EndpointConfigName": "new", "ProductionVariants": []} | described

    def client(self, _: str) -> Any:
        return self

    def describe_endpoint(self, **_: Any) -> Any:
        return self.described


def test_an_endpoint_whose_instances_come_or_go_is_as_planned() -> None:
    stage: Any = FakeStage(EndpointStatus="Updating")
    report = live.look(stage, OUTPUTS)
    assert report.lines[0] == ("endpoint", "kennel-dev: Updating, instances come or go")
    assert report.wrong == []


def test_why_an_update_did_not_succeed_is_told_beside_the_endpoint_that_serves() -> None:
    stage: Any = FakeStage(EndpointStatus="InService", FailureReason="An alarm rang.")
    report = live.look(stage, OUTPUTS)
    assert report.lines[:2] == [
        ("endpoint", "kennel-dev: InService"),
        ("last update", "did not succeed: An alarm rang."),
    ]
    assert report.wrong == []


@pytest.mark.parametrize(
    ("described", "fault"),
    [
        (
            {"EndpointStatus": "Updating", "PendingDeploymentSummary": {"EndpointConfigName": "newer"}},
            "the endpoint kennel-dev is Updating",
        ),
        ({"EndpointStatus": "RollingBack"}, "the endpoint kennel-dev is RollingBack"),
        (
            {"EndpointStatus": "Failed", "FailureReason": "No capacity."},
            "the endpoint kennel-dev is Failed: No capacity.",
        ),
        (
            {
                "EndpointStatus": "InService",
                "EndpointConfigName": "old",
                "FailureReason": "It did not start.",
            },
            "the endpoint serves old, planned was new: the update was rolled back: It did not start.",
        ),
    ],
)
def test_an_endpoint_that_is_not_as_planned_is_told(described: dict[str, Any], fault: str) -> None:
    stage: Any = FakeStage(**described)
    assert live.look(stage, OUTPUTS).wrong == [fault]
