from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_a_rule_between_groups_keeps_its_description(client: Callable[[str], Any]) -> None:
    ec2 = client("ec2")
    group = ec2.create_security_group(GroupName="rules", Description="test")["GroupId"]
    permission = {
        "IpProtocol": "-1",
        "UserIdGroupPairs": [{"GroupId": group, "Description": "from its own kind"}],
    }
    rule = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])[
        "SecurityGroupRules"
    ][0]
    assert rule["Description"] == "from its own kind"
    rules = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    assert rules["SecurityGroupRules"][0]["Description"] == "from its own kind"
