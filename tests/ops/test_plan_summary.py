from __future__ import annotations

from typing import Any

from ops import plan_summary
from ops.artifacts import Model


def entry(address: str, *actions: str, **change: Any) -> dict[str, Any]:
    return {"address": address, "change": {"actions": list(actions), **change}}


def test_an_empty_plan_says_that_nothing_changes() -> None:
    plan = {"resource_changes": [entry("a.b", "no-op"), entry("data.c.d", "read")]}
    assert plan_summary.changes(plan) == []
    assert plan_summary.text([], None, None).startswith("Nothing changes")


def test_what_goes_is_shown_before_what_comes() -> None:
    plan = {
        "resource_changes": [
            entry("aws_a.new", "create"),
            entry("aws_a.old", "delete"),
            entry("aws_a.other", "update", before={"x": 1, "y": 1}, after={"x": 2, "y": 1}),
            entry("aws_a.again", "delete", "create", replace_paths=[["name"]]),
        ]
    }
    text = plan_summary.text(plan_summary.changes(plan), None, None)
    assert text.splitlines() == [
        "1 to destroy, 1 to replace, 1 to update, 1 to create.",
        "  - aws_a.old",
        "  ± aws_a.again (forced by name)",
        "  ~ aws_a.other (x)",
        "  + aws_a.new",
    ]


def test_what_is_replaced_since_a_command_says_so_is_not_put_down_to_an_attribute() -> None:
    change = entry("aws_a.b", "delete", "create", before={"tags": {}}, after={"tags": None})
    plan = {"resource_changes": [change | {"action_reason": "replace_by_request"}]}
    text = plan_summary.text(plan_summary.changes(plan), None, None)
    assert text.splitlines()[1] == "  ± aws_a.b (forced by this command)"


def test_many_creations_are_counted_by_module() -> None:
    plan = {"resource_changes": [entry(f"module.network.aws_subnet.x[{n}]", "create") for n in range(20)]}
    assert "  +  20 in network" in plan_summary.text(plan_summary.changes(plan), None, None)


def test_a_new_model_is_shown_beside_the_deployed_one() -> None:
    plan = {"resource_changes": [entry("aws_a.b", "create")]}
    old, new = (
        Model("model-old", "0" * 64, {"accuracy": 0.91}),
        Model("model-new", "1" * 64, {"accuracy": 0.934}),
    )
    text = plan_summary.text(plan_summary.changes(plan), old, new)
    assert "from model-old, test accuracy 91.0%" in text
    assert "to   model-new, test accuracy 93.4%" in text


def test_no_line_is_wider_than_a_terminal() -> None:
    changed = {"before": dict.fromkeys("abcdef", 1), "after": dict.fromkeys("abcdef", 2)}
    plan = {
        "resource_changes": [
            entry(f'module.storage.aws_s3_object.archive["{"0123456789abcdef" * 4}"]', "create"),
            entry("module.endpoint[0].aws_sagemaker_endpoint_configuration.this", "update", **changed),
        ]
    }
    text = plan_summary.text(plan_summary.changes(plan), None, None)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert '"0123456789ab…"' in text
    assert "      (a, b, c, d, e, f)" in text.splitlines()
