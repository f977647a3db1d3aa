from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.control import CloudInfo

Client = Callable[[str], Any]


def await_state(client: Client, instance: str, state: str, seconds: float = 15) -> list[str]:
    """The states seen on the way."""
    deadline, seen = time.monotonic() + seconds, [""]
    while seen[-1] != state:
        assert time.monotonic() < deadline, f"{instance} went through {seen[1:]}, not to {state}"
        found = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        if found["State"]["Name"] != seen[-1]:
            seen.append(found["State"]["Name"])
        time.sleep(0.05)
    return seen[1:]


@pytest.fixture
def instance(client: Client) -> Iterator[str]:
    image = client("ec2").describe_images()["Images"][0]["ImageId"]
    made = client("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    yield made["InstanceId"]
    client("ec2").terminate_instances(InstanceIds=[made["InstanceId"]])


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


def test_an_instance_takes_its_time_from_state_to_state(
    client: Client, cloud: CloudInfo, instance: str
) -> None:
    ec2, one = client("ec2"), {"InstanceIds": [instance]}
    disk = cloud.log_file.parent / "machines" / instance
    assert await_state(client, instance, "running") == ["pending", "running"]
    (disk / "root" / "note").write_text("kept")

    change = ec2.stop_instances(**one)["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
    assert await_state(client, instance, "stopped")[-1] == "stopped"
    change = ec2.stop_instances(**one)["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("stopped", "stopped")

    stopped = datetime.now(UTC)
    change = ec2.start_instances(**one)["StartingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("stopped", "pending")
    started = ec2.describe_instances(**one)["Reservations"][0]["Instances"][0]["LaunchTime"]
    assert started >= stopped.replace(microsecond=0)
    assert await_state(client, instance, "running") == ["pending", "running"]
    change = ec2.start_instances(**one)["StartingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "running")
    assert (disk / "root" / "note").read_text() == "kept"

    ec2.terminate_instances(**one)
    await_state(client, instance, "terminated")
    assert not disk.exists()


@pytest.mark.parametrize(
    ("state", "call", "participle"),
    [
        ("pending", "stop_instances", "stopped"),
        ("pending", "reboot_instances", "rebooted"),
        ("terminated", "start_instances", "started"),
        ("terminated", "stop_instances", "stopped"),
        ("terminated", "reboot_instances", "rebooted"),
    ],
)
def test_what_a_state_does_not_permit_is_refused(
    client: Client, instance: str, state: str, call: str, participle: str
) -> None:
    if state == "terminated":
        client("ec2").terminate_instances(InstanceIds=[instance])
        await_state(client, instance, "terminated")
    with pytest.raises(ClientError) as refused:
        getattr(client("ec2"), call)(InstanceIds=[instance])
    assert refused.value.response["Error"] == {
        "Code": "IncorrectInstanceState",
        "Message": f"The instance '{instance}' is not in a state from which it can be {participle}.",
    }


def test_what_a_machine_does_when_it_shuts_itself_down_can_be_changed_and_changes_nothing_else(
    client: Client, cloud: CloudInfo, instance: str
) -> None:
    ec2 = client("ec2")
    group = ec2.create_security_group(GroupName="kept", Description="test")["GroupId"]
    ec2.modify_instance_attribute(InstanceId=instance, Groups=[group])
    ec2.modify_instance_attribute(
        InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "terminate"}
    )
    with pytest.raises(ClientError) as refused:
        ec2.modify_instance_attribute(InstanceId=instance, EnaSupport={"Value": True})
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [group]
    await_state(client, instance, "running")
    (cloud.log_file.parent / "machines" / instance / "power").write_text("off 0\n")
    await_state(client, instance, "terminated")


def test_a_machine_that_shuts_itself_down_is_stopped_and_says_so(
    client: Client, cloud: CloudInfo, instance: str
) -> None:
    await_state(client, instance, "running")
    (cloud.log_file.parent / "machines" / instance / "power").write_text("off 0\n")
    await_state(client, instance, "stopped")
    found = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["StateReason"] == {
        "Code": "Client.InstanceInitiatedShutdown",
        "Message": "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    }


def test_disks_of_a_cloud_that_was_killed_are_cleared(tmp_path: Path) -> None:
    from localcloud import control

    left = tmp_path / "machines" / "i-0" / "root"
    left.mkdir(parents=True)
    control.start(tmp_path, lifetime=60)
    try:
        assert not left.exists()
    finally:
        control.stop(tmp_path)


def test_only_an_instance_with_a_public_address_has_one_associated(client: Client) -> None:
    ec2 = client("ec2")
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    image = ec2.describe_images()["Images"][0]["ImageId"]

    def associations(public: bool) -> list[bool]:
        interface = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": public}
        made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, NetworkInterfaces=[interface])[
            "Instances"
        ][0]
        try:
            (found,) = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0][
                "Instances"
            ]
            return ["Association" in each for each in found["NetworkInterfaces"]]
        finally:
            ec2.terminate_instances(InstanceIds=[made["InstanceId"]])

    assert associations(public=True) == [True]
    assert associations(public=False) == [False]
    ec2.delete_subnet(SubnetId=subnet)  # which no interface keeps any more


@pytest.mark.parametrize("stays", [False, True])
def test_an_instances_interface_goes_with_it_unless_it_is_to_stay(client: Client, stays: bool) -> None:
    ec2 = client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    where: dict[str, Any] = {"SubnetId": subnet}
    if stays:
        where = {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet, "DeleteOnTermination": False}]}
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **where)["Instances"][0]
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    inside = [{"Name": "subnet-id", "Values": [subnet]}]
    assert bool(ec2.describe_network_interfaces(Filters=inside)["NetworkInterfaces"]) == stays


def test_a_subnet_and_a_group_stay_while_an_interface_is_in_them(client: Client) -> None:
    ec2 = client("ec2")
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="used", Description="test", VpcId=network)["GroupId"]
    made = ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]
    for delete, arguments in (
        (ec2.delete_subnet, {"SubnetId": subnet}),
        (ec2.delete_security_group, {"GroupId": group}),
    ):
        with pytest.raises(ClientError, match="DependencyViolation"):
            delete(**arguments)
    ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=network)


def test_a_gateways_and_an_endpoints_interfaces_go_with_them(client: Client) -> None:
    ec2 = client("ec2")
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"][
        "NatGatewayId"
    ]
    service = "com.amazonaws.us-east-1.ssm"
    endpoint = ec2.create_vpc_endpoint(
        VpcId=network, ServiceName=service, SubnetIds=[subnet], VpcEndpointType="Interface"
    )["VpcEndpoint"]["VpcEndpointId"]
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    ec2.delete_subnet(SubnetId=subnet)
