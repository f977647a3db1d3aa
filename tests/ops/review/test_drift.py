from __future__ import annotations

from ops.review import drift
from ops.review.facts import Drift
from tests.ops.review.plans import entry, plan

GROUP = "aws_cloudwatch_log_group.a"
KEPT = {"name": "a", "retention_in_days": 30, "tags": None}


def test_what_was_changed_is_told_with_what_the_plan_does_about_it() -> None:
    changed = entry(GROUP, KEPT, KEPT | {"retention_in_days": 7, "tags": {}})
    back = entry(GROUP, KEPT | {"retention_in_days": 7}, KEPT)
    assert drift.of(plan(back, drift=(changed,))) == [
        Drift(GROUP, "changed", "retention 30 → 7 (this plan puts it back)")
    ]
    left = entry(GROUP, KEPT | {"retention_in_days": 7}, KEPT | {"retention_in_days": 7})
    assert drift.of(plan(left, drift=(changed,)))[0].text.endswith("(this plan leaves it so)")


def test_what_the_provider_reads_in_another_form_is_no_drift() -> None:
    noise = entry(
        "aws_iam_role.a",
        {"tags": None, "inline_policy": [], "policy": '{"a": 1}', "ok": ["x", "y"]},
        {
            "tags": {},
            "inline_policy": [{"name": "p", "policy": "{}"}],
            "policy": '{ "a":1 }',
            "ok": ["y", "x"],
        },
    )
    ours = entry("aws_iam_role_policy.p", {"name": "p"}, {"name": "p"})
    assert drift.of(plan(ours, drift=(noise,))) == []


def test_a_policy_that_was_added_by_hand_is_told_though_no_plan_shows_it() -> None:
    added = entry(
        "aws_iam_role.a", {"inline_policy": []}, {"inline_policy": [{"name": "by-hand", "policy": "{}"}]}
    )
    assert drift.of(plan(drift=(added,))) == [
        Drift(
            "aws_iam_role.a", "changed", "the policy by-hand was added to the role (this plan leaves it so)"
        )
    ]


def test_a_port_that_was_opened_by_hand_is_told() -> None:
    block = {"protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"]}
    opened = entry("aws_security_group.a", {"id": "sg", "ingress": []}, {"id": "sg", "ingress": [block]})
    assert drift.of(plan(drift=(opened,)))[0].text == (
        "a rule was added that lets tcp port 22 in from 0.0.0.0/0 (this plan leaves it so)"
    )


def test_what_is_gone_is_told() -> None:
    gone = entry(GROUP, KEPT, None)
    again = entry(GROUP, None, KEPT)
    assert drift.of(plan(again, drift=(gone,))) == [
        Drift(GROUP, "gone", "was deleted; this plan makes it again")
    ]


def test_limits_that_a_schedule_moves_are_no_drift() -> None:
    moved = entry("aws_appautoscaling_target.a", {"min_capacity": 1}, {"min_capacity": 3})
    schedule = entry("aws_appautoscaling_scheduled_action.a", {"name": "s"}, {"name": "s"})
    assert drift.of(plan(schedule, drift=(moved,))) == []
    assert drift.of(plan(drift=(moved,))) != []


def test_scaling_that_an_apply_held_and_let_go_again_is_no_drift() -> None:
    let_go = {"dynamic_scaling_in_suspended": False, "dynamic_scaling_out_suspended": False}
    held = entry("aws_appautoscaling_target.a", {"suspended_state": []}, {"suspended_state": [let_go]})
    assert drift.of(plan(drift=(held,))) == []
