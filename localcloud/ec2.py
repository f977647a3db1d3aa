"""EC2: descriptions of security group rules whose other end is a group or a prefix list, which moto drops."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import security_groups
from moto.ec2.models.security_groups import SecurityGroupRule

from localcloud.config import Config


class Rule(SecurityGroupRule):
    def __init__(
        self,
        ec2_backend: Any,
        ip_protocol: str,
        group_id: str,
        from_port: str | None,
        to_port: str | None,
        ip_range: dict[str, str] | None,
        source_group: dict[str, str] | None = None,
        prefix_list_id: dict[str, str] | None = None,
        is_egress: bool = True,
        tags: dict[str, str] | None = None,
    ) -> None:
        other_end = (ip_range, source_group, prefix_list_id)
        super().__init__(ec2_backend, ip_protocol, group_id, from_port, to_port, *other_end, is_egress, tags)
        self._given = next((end["Description"] for end in other_end if end and "Description" in end), None)

    @property
    def description(self) -> str | None:
        """ModifySecurityGroupRules leaves a new one in `ip_range`, whatever the other end is."""
        return self.ip_range.get("Description") or self._given


def install(_: Config) -> None:
    security_groups.SecurityGroupRule = Rule  # type: ignore[misc]
