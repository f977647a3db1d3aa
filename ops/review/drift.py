"""What was changed outside Terraform since the last apply, apart from what the plan changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ops.review.facts import Drift
from ops.review.resources import Resource, of_types, resources

# What AWS fills in, or what moves by itself.
COMPUTED = {
    "arn", "attachment_count", "code_sha256", "etag", "id", "instance_state", "invoke_arn", "last_modified",
    "private_dns", "private_ip", "public_dns", "public_ip", "qualified_arn", "qualified_invoke_arn", "request_count",
    "state", "status", "tags_all", "unique_id", "version", "version_id",
}  # fmt: skip
# What another resource of ours says, and is read back here.
SAID_ELSEWHERE = {
    "aws_s3_bucket": {
        "acceleration_status", "acl", "cors_rule", "grant", "lifecycle_rule", "logging", "policy",
        "replication_configuration", "server_side_encryption_configuration", "versioning",
    },
    "aws_sns_topic": {"policy"},
    "aws_iam_role": {"inline_policy", "managed_policy_arns"},
    "aws_security_group": {"egress", "ingress"},
    "aws_route_table": {"route"},
    "aws_vpc": {"default_network_acl_id", "default_route_table_id", "default_security_group_id", "main_route_table_id"},
}  # fmt: skip
LIMITS = {"min_capacity", "max_capacity"}  # which schedules move
WORDS = {
    "retention_in_days": "retention",
    "alarm_actions": "who is told",
    "memory_size": "memory",
    "policy": "policy",
}


def of(plan: dict[str, Any]) -> list[Drift]:
    """Return what differs from what the last apply left."""
    planned = resources(plan)
    by_address = {one.address: one for one in planned}
    found: list[Drift] = []
    for one in resources({"resource_changes": plan.get("resource_drift", [])}):
        now = by_address.get(one.address)
        if one.action == "destroy":
            again = "this plan makes it again" if now and now.action == "create" else "this plan leaves it so"
            found.append(Drift(one.address, "gone", f"was deleted; {again}"))
            continue
        said = [*_attributes(one, now, planned), *_added(one, planned)]
        if said:
            found.append(Drift(one.address, "changed", "; ".join(said)))
    return found


def _attributes(one: Resource, now: Resource | None, planned: list[Resource]) -> Iterator[str]:
    ignored = COMPUTED | SAID_ELSEWHERE.get(one.type, set())
    if of_types(planned, "aws_appautoscaling_scheduled_action"):
        ignored = ignored | LIMITS
    for name in sorted({*one.before, *one.after} - ignored):
        before, after = one.was(name), one.will(name)
        if _same(before, after):
            continue
        back = (
            now is not None
            and now.action in {"update", "replace"}
            and not _same(now.was(name), now.will(name))
        )
        undone = "this plan puts it back" if back and _same(now.will(name) if now else None, before) else (
            "this plan changes it again" if back else "this plan leaves it so"
        )  # fmt: skip
        yield f"{_told(name, before, after)} ({undone})"


def _added(one: Resource, planned: list[Resource]) -> Iterator[str]:
    """Yield what was added beside what Terraform knows: it does not show in a plan, and no plan takes it away."""
    if one.type == "aws_iam_role":
        ours = {other.was("name") for other in of_types(planned, "aws_iam_role_policy")}
        for policy in one.will("inline_policy") or []:
            if policy.get("name") and policy["name"] not in ours:
                yield f"the policy {policy['name']} was added to the role (this plan leaves it so)"
        attached = {other.was("policy_arn") for other in of_types(planned, "aws_iam_role_policy_attachment")}
        for arn in one.will("managed_policy_arns") or []:
            if arn not in attached and arn not in (one.was("managed_policy_arns") or []):
                yield f"the policy {arn.rpartition('/')[2]} was attached to the role (this plan leaves it so)"
    if one.type == "aws_security_group":
        for direction in ("ingress", "egress"):
            rules = of_types(planned, f"aws_vpc_security_group_{direction}_rule")
            known = {
                _rule(other.before) for other in rules if other.was("security_group_id") == one.was("id")
            }
            before = {cidr for block in one.was(direction) or [] for cidr in _cidrs(block)}
            for block in one.will(direction) or []:
                for rule in _cidrs(block):
                    if rule not in known | before:
                        way = "in from" if direction == "ingress" else "out to"
                        yield f"a rule was added that lets {_ports(rule)} {way} {rule[3]} (this plan leaves it so)"


def _rule(state: dict[str, Any]) -> tuple[Any, ...]:
    return (
        str(state.get("ip_protocol")), state.get("from_port") or 0, state.get("to_port") or 0,
        state.get("cidr_ipv4") or state.get("cidr_ipv6"),
    )  # fmt: skip


def _cidrs(block: dict[str, Any]) -> list[tuple[Any, ...]]:
    ports = str(block.get("protocol")), block.get("from_port") or 0, block.get("to_port") or 0
    return [(*ports, cidr) for key in ("cidr_blocks", "ipv6_cidr_blocks") for cidr in block.get(key) or []]


def _ports(rule: tuple[Any, ...]) -> str:
    protocol, low, high, _ = rule
    if protocol == "-1":
        return "everything"
    return f"{protocol} port {low}" if low == high else f"{protocol} ports {low} to {high}"


def _told(name: str, before: Any, after: Any) -> str:
    word = WORDS.get(name, name.replace("_", " "))
    if name == "tags":
        changed = sorted(
            key
            for key in {*(before or {}), *(after or {})}
            if (before or {}).get(key) != (after or {}).get(key)
        )
        return f"tags: {', '.join(changed)}"
    if isinstance(before, dict | list) or isinstance(after, dict | list) or name == "policy":
        return f"{word} changed"
    return f"{word} {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    text = "none" if value in (None, "") else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _same(before: Any, after: Any) -> bool:
    """Tell whether two values mean the same: null is "" is {}, and AWS gives lists back in an order of its own."""
    return bool(_plain(before) == _plain(after))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _plain(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one is not None} or None
    if isinstance(value, list):
        plain = (_plain(one) for one in value)
        said = [one for one in plain if one is not None]  # a block that says nothing is none
        return sorted(said, key=lambda one: json.dumps(one, sort_keys=True)) or None
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return _plain(json.loads(value))
        except ValueError:
            return value
    return None if value in (None, "", False) else value
