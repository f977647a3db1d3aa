"""Flow logs of VPCs: records in CloudWatch Logs, in the name of the flow log's role.

No packets go through the networks of this cloud, so each interface has nothing to report, as AWS reports it.
"""

from __future__ import annotations

import time
from typing import Any

from moto.ec2.models import ec2_backends

from localcloud import heartbeat, logs
from localcloud.actors import Actor
from localcloud.config import Config

SERVICE = "vpc-flow-logs.amazonaws.com"
_delivered: dict[str, float] = {}  # time by flow log


def install(_: Config) -> None:
    heartbeat.every_ten_seconds(_deliver_all)


def _deliver_all(_: float) -> None:
    now = time.time()
    for account, regions in list(ec2_backends.items()):
        for region, backend in list(regions.items()):
            for flow_log in list(backend.flow_logs.values()):
                due = _delivered.get(flow_log.id, 0.0) + flow_log.max_aggregation_interval
                if flow_log.log_destination_type == "cloud-watch-logs" and now >= due:
                    ok = _deliver(backend, flow_log, account, region, int(now))
                    flow_log.deliver_logs_status = "SUCCESS" if ok else "FAILED"
                    flow_log.deliver_logs_error_message = None if ok else "Access error"
                    if ok:
                        _delivered[flow_log.id] = now


def _deliver(backend: Any, flow_log: Any, account: str, region: str, now: int) -> bool:
    """Whether the role may."""
    arn = f"arn:aws:ec2:{region}:{account}:vpc-flow-log/{flow_log.id}"
    actor = Actor(flow_log.deliver_logs_permission_arn, account, region, SERVICE, arn)
    groups = f"arn:aws:logs:{region}:{account}:log-group::log-stream:"
    if not actor.assumable() or not actor.may("logs:DescribeLogGroups", groups):
        return False
    group = flow_log.log_group_name or flow_log.log_destination.split(":")[6]
    begin = now - flow_log.max_aggregation_interval
    for interface in _interfaces(backend, flow_log.resource_id):
        stream = logs.Stream(
            account, region, group, f"{interface}-all", returns=True, actor=actor, looks=True
        )
        if not stream.write([f"2 {account} {interface} - - - - - - - {begin} {now} - NODATA"]):
            return False
    return True


def _interfaces(backend: Any, resource: str) -> list[str]:
    """Of a VPC, a subnet, or the interface itself."""
    return [
        one.id
        for one in list(backend.enis.values())
        if resource in (one.subnet.vpc_id, one.subnet.id, one.id)
    ]
