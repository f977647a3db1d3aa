"""Every operation of the services that the cloud judges is an action that AWS has, or is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import get_session

from localcloud.authorization import mapping, reference
from localcloud.authorization.calls import SERVICES, Call

# EC2 has 800 operations of one kind; those that a deployment uses are asked for in test_services.
JUDGED = sorted(entry for entry in SERVICES.values() if entry[0] != "ec2")


def filled(shape: Any, name: str = "", depth: int = 0) -> Any:
    """Parameters with everything in them."""
    if shape.type_name == "structure":
        return {key: filled(one, key, depth + 1) for key, one in shape.members.items()} if depth < 4 else {}
    if shape.type_name == "list":
        return [filled(shape.member, name, depth + 1)] if depth < 4 else []
    if shape.type_name == "map":
        return {"key": filled(shape.value, name, depth + 1)} if depth < 4 else {}
    if name.lower().endswith(("arn", "arns", "resource")):
        return "arn:aws:service:us-east-1:123456789012:thing/name"
    plain = {"string": "text", "boolean": True, "timestamp": "2026-01-01", "blob": b"x"}
    return plain.get(shape.type_name, 1)


@pytest.mark.parametrize(("service", "prefix"), JUDGED, ids=[service for service, _ in JUDGED])
def test_operations_are_actions_or_unknown(service: str, prefix: str) -> None:
    model = get_session().get_service_model(service)
    known = 0
    for name in model.operation_names:
        shape = model.operation_model(name).input_shape
        for params in ({}, filled(shape) if shape else {}):
            try:
                asks = mapping.asks_of(Call(prefix, name, params, "us-east-1", "123456789012"))
            except mapping.Unmapped:
                continue
            known += 1
            assert asks or name == "DeleteObjects", name
            for ask in asks:
                assert reference.action(*ask.action.split(":", 1)) is not None, (name, ask.action)
                assert ask.resource == "*" or ask.resource.count(":") >= 5, (name, ask.resource)
                assert "$" not in ask.resource
    assert known > len(model.operation_names)  # of two tries each
