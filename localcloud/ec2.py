"""EC2: instances that are machines, and what moto drops: descriptions of security group rules between groups."""

from __future__ import annotations

import shutil
from typing import Any, cast

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2 import urls
from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import elastic_network_interfaces, instances, security_groups
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response

from localcloud import gaps
from localcloud.config import Config
from localcloud.machines.machine import Machine


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


class Interface(NetworkInterface):
    @property
    def association(self) -> dict[str, Any] | None:  # type: ignore[override]
        """moto's is empty without a public address, and Terraform takes any for one."""
        return super().association or None


class Ec2(EC2Response):
    """Answers with the states that there are; moto's are those that such a call usually leads to."""

    def start_instances(self) -> ActionResult:
        return self._with_states(super().start_instances(), "StartingInstances")

    def stop_instances(self) -> ActionResult:
        return self._with_states(super().stop_instances(), "StoppingInstances")

    def terminate_instances(self) -> ActionResult:
        return self._with_states(super().terminate_instances(), "TerminatingInstances")

    def modify_instance_attribute(self) -> ActionResult:
        behavior = self._get_param("InstanceInitiatedShutdownBehavior.Value")
        if behavior is None:
            return super().modify_instance_attribute()
        instance_id = self._get_param("InstanceId")
        self.ec2_backend.modify_instance_attribute(
            instance_id, "instance_initiated_shutdown_behavior", behavior
        )
        return EmptyResult()

    def delete_subnet(self) -> ActionResult:
        subnet = self._get_param("SubnetId")
        if any(one.subnet.id == subnet for one in self._interfaces()):
            raise DependencyViolationError(f"The subnet '{subnet}' has dependencies and cannot be deleted.")
        return super().delete_subnet()

    def delete_security_group(self) -> ActionResult:
        group = self._get_param("GroupId")
        if any(group == each.id for one in self._interfaces() for each in one.group_set):
            raise DependencyViolationError(f"resource {group} has a dependent object")
        return super().delete_security_group()

    def delete_nat_gateway(self) -> ActionResult:
        answer = super().delete_nat_gateway()
        gateway = self.ec2_backend.nat_gateways[self._get_param("NatGatewayId")]
        if gateway._eni.id in self.ec2_backend.enis:  # moto leaves it
            gateway._eni.delete()
        return answer

    def _interfaces(self) -> list[NetworkInterface]:
        return list(self.ec2_backend.enis.values())

    def _security_grp_instance_attribute_handler(self) -> bool:
        """moto's takes every attribute that it does not know for an empty list of groups."""
        return bool(self._get_param("Groups")) and super()._security_grp_instance_attribute_handler()

    def _with_states(self, answer: ActionResult, key: str) -> ActionResult:
        for entry in cast(dict[str, Any], answer.result)[key]:
            entry["CurrentState"] = self.ec2_backend.get_instance(entry["InstanceId"]).instance_state
        return answer


def install(config: Config) -> None:
    security_groups.SecurityGroupRule = Rule  # type: ignore[misc]
    elastic_network_interfaces.NetworkInterface = Interface  # type: ignore[misc]
    Machine.config, Machine.folder = config, config.state_dir / "machines"
    shutil.rmtree(Machine.folder, ignore_errors=True)  # of a cloud that was killed
    instances.Instance = Machine  # type: ignore[misc]
    gaps.replace_responses(urls, Ec2)
