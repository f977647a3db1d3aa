from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ops import live_cost, status
from ops.cost import Cost
from ops.status import Status
from ops.sweep import KINDS, TAG, Found, Sweeper

OURS = [{"Key": TAG, "Value": "kennel-dev"}]
FREE = {  # as long as they are there
    "tuning job",  # its training jobs cost
    "scalable target", "stack", "inference component", "endpoint configuration", "model",
    "notebook lifecycle configuration", "flow log", "network interface", "security group", "internet gateway",
    "route table", "subnet", "VPC", "topic", "role", "instance profile",
}  # fmt: skip


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stage dev in an account that moto makes up."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    with mock_aws():
        yield SimpleNamespace(
            client=lambda service: boto3.client(service, region_name="us-east-1"),
            name="dev", region="us-east-1", account_id="123456789012", is_running=True,
        )  # fmt: skip


def test_everything_that_the_sweep_finds_has_a_price_or_costs_nothing() -> None:
    assert live_cost.PRICED.keys() | FREE == KINDS.keys()
    assert not live_cost.PRICED.keys() & FREE


def test_what_is_live_is_priced_thing_by_thing(stage: Any) -> None:
    ec2, watch, ecr = (stage.client(service) for service in ("ec2", "cloudwatch", "ecr"))
    tagged = [{"ResourceType": "instance", "Tags": OURS}]
    (machine,) = ec2.run_instances(
        ImageId="ami-12345678", MinCount=1, MaxCount=1, InstanceType="m5.large", TagSpecifications=tagged
    )["Instances"]
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": OURS}]
    )
    ec2.create_nat_gateway(
        SubnetId=subnet, AllocationId=address["AllocationId"],
        TagSpecifications=[{"ResourceType": "natgateway", "Tags": OURS}],
    )  # fmt: skip
    ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName="com.amazonaws.us-east-1.ssm", VpcEndpointType="Interface", SubnetIds=[subnet],
        TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": OURS}],
    )  # fmt: skip
    watch.put_metric_alarm(
        AlarmName="kennel-dev-a", MetricName="m", Namespace="n", Period=10, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold", Statistic="Sum", Tags=OURS,
    )  # fmt: skip
    ecr.create_repository(repositoryName="kennel-dev-serving", tags=OURS)
    found = live_cost.look(Sweeper(stage, "kennel-dev"), "us-east-1")
    hourly = {one.what: one.hourly for _, one in found.costs}
    assert found.unseen == {}
    assert hourly["training instance"] == pytest.approx(0.096)
    assert hourly["NAT gateway"] == pytest.approx(0.045)
    assert hourly["public address"] == pytest.approx(0.005)
    assert hourly["interface endpoint"] == pytest.approx(0.01)
    assert (hourly["alarms"] or 0) * 730 == pytest.approx(0.3)
    assert hourly["images"] == 0
    assert found.hourly == pytest.approx(sum(price or 0 for price in hourly.values()))

    ec2.stop_instances(InstanceIds=[machine["InstanceId"]])
    stopped = live_cost.look(Sweeper(stage, "kennel-dev"), "us-east-1").costs
    (told,) = (one for _, one in stopped if one.what == "training instance")
    assert (told.hourly, told.note) == (0, "stopped: its disk alone costs")


class Answering:
    """A cloud that answers what it is told to."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def __getattr__(self, operation: str) -> Any:
        return lambda **_: self.answers[operation]


def priced(kind: str, name: str, **answers: Any) -> list[tuple[str, float | None]]:
    fake: Any = SimpleNamespace(client=lambda _: Answering(**answers))
    return [(one.detail, one.hourly) for one in live_cost.PRICED[kind](fake, name, "us-east-1")]


def test_an_update_under_way_costs_both_of_its_fleets() -> None:
    def variant(count: int, **more: Any) -> dict[str, Any]:
        return {"VariantName": "v", "CurrentInstanceCount": count} | more

    endpoint = {
        "EndpointConfigName": "c",
        "ProductionVariants": [variant(2)],
        "PendingDeploymentSummary": {"ProductionVariants": [variant(1, InstanceType="ml.c5.large")]},
    }
    config = {"ProductionVariants": [{"VariantName": "v", "InstanceType": "ml.m5.large"}]}
    found = priced("endpoint", "e", describe_endpoint=endpoint, describe_endpoint_config=config)
    assert found == [("2 × ml.m5.large", 0.23), ("1 × ml.c5.large", 0.102)]


def test_jobs_notebooks_and_what_is_kept_warm_are_priced() -> None:
    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}
    job = {"ResourceConfig": resources}
    assert priced("training job", "j", describe_training_job=job) == [("2 × ml.m5.xlarge", 0.46)]
    bulk = {"TransformResources": resources}
    assert priced("bulk job", "j", describe_transform_job=bulk) == [("2 × ml.m5.xlarge", 0.46)]
    notebook = {
        "InstanceType": "ml.t3.medium",
        "NotebookInstanceStatus": "Stopped",
        "VolumeSizeInGB": 730,
    }
    assert priced("notebook instance", "n", describe_notebook_instance=notebook) == [
        ("0 × ml.t3.medium", 0.0),
        ("730 GB", pytest.approx(0.14)),
    ]
    kept = {"ProvisionedConcurrencyConfigs": [{"RequestedProvisionedConcurrentExecutions": 2}]}
    told = {"MemorySize": 1024, "Architectures": ["arm64"]}
    (warm,) = priced(
        "function", "f", list_provisioned_concurrency_configs=kept, get_function_configuration=told
    )
    assert warm[0] == "2 × 1 GB of the function"
    assert warm[1] == pytest.approx(2 * 3.3334e-6 * 3600)


def test_of_what_the_project_does_not_make_the_price_is_not_known() -> None:
    assert priced("tagged", "arn:aws:sqs:us-east-1:1:queue") == [("queue", None)]
    ((_, hourly),) = priced("tagged", "arn:aws:kms:us-east-1:1:key/1")
    assert (hourly or 0) * 730 == pytest.approx(1)


def test_a_status_fits_eighty_columns_and_tells_what_it_does_not_know() -> None:
    found = Status(
        "dev", "us-east-1", {"prefix": "kennel-dev"}, live=(("endpoint", "kennel-dev: InService"),),
        costs=(
            (Found("endpoint", "kennel-dev"), Cost("endpoint", "2 × ml.x9.24xlarge", None, None)),
            (Found("training job", "kennel-dev-1"), Cost("job", "1 × ml.m5.xlarge", 0.23, 0.23, note="less: spot")),
            (Found("alarm", "a"), Cost("alarms", "1 alarm metrics", 0.001, 0.001)),
            (Found("alarm", "b"), Cost("alarms", "1 alarm metrics", 0.001, 0.001)),
        ),
        unseen={"NAT gateway": "UnauthorizedOperation: You are not authorized to perform this operation."},
    )  # fmt: skip
    lines = found.text()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "endpoint            2 × ml.x9.24xlarge                       unknown     unknown" in text
    assert "job                 1 × ml.m5.xlarge; less: spot kennel-d…" in text
    assert "alarms              2 alarms" in text
    assert "in all                                                       unknown     unknown" in text
    assert "  of which known                                              0.2320      169.36" in text
    assert "Not allowed to look at: NAT gateway (UnauthorizedOperation: You are not author" in text
    told = json.loads(json.dumps(found.to_dict()))
    assert told["hourly_usd"] is None
    assert told["costs"][0]["kind"] == "endpoint"


def test_a_sum_without_what_nobody_may_look_at_is_not_known() -> None:
    costs = ((Found("endpoint", "kennel-dev"), Cost("endpoint", "1 × ml.m5.large", 0.115, 0.115)),)
    for unseen, sum_up in (
        ({}, 0.115),
        ({"role": "AccessDenied: no"}, 0.115),  # free
        ({"tagged": "AccessDenied: no"}, 0.115),  # a second look
        ({"NAT gateway": "UnauthorizedOperation: no"}, None),
    ):
        found = Status("dev", "us-east-1", {"prefix": "kennel-dev"}, costs=costs, unseen=unseen)
        assert found.to_dict()["hourly_usd"] == sum_up
        told = "\n".join(found.text())
        assert ("of which known" in told) == (sum_up is None)
        assert "not in the price table" not in told


def test_what_exists_though_nothing_is_deployed_is_told(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "last_apply", lambda _: ({}, None))
    monkeypatch.setattr("ops.state_bucket.prefix", lambda _: "kennel-dev")
    for kind in KINDS.keys() - {"image repository", "function"}:
        monkeypatch.delitem(KINDS, kind)
    stage.client("ecr").create_repository(repositoryName="kennel-dev-serving", tags=OURS)
    found = status.look(stage)
    text = "\n".join(found.text())
    assert text.startswith("Nothing is deployed in the stage dev.\n")
    assert "  image repository kennel-dev-serving\n./inv destroy --stage dev removes it." in text
    assert found.to_dict()["leftovers"] == [{"kind": "image repository", "name": "kennel-dev-serving"}]


def test_a_state_that_may_not_be_read_leaves_what_is_live_and_its_cost(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    monkeypatch.setattr(status, "last_apply", refused)
    monkeypatch.setattr("ops.state_bucket.prefix", lambda _: "kennel-dev")
    monkeypatch.setattr("ops.live_cost.look", lambda *_: live_cost.Live((), {}))
    assert status.look(stage).text() == [
        "What is deployed in the stage dev is not known.",
        "Not allowed to look at: Terraform's state (AccessDenied: no)",
    ]


def test_a_stage_whose_cloud_is_not_running_has_nothing(stage: Any) -> None:
    stage.is_running = False
    assert "embedded cloud is not running" in status.look(stage).text()[0]


def test_the_outputs_of_the_last_apply_are_read_from_the_state(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.state_bucket.backend", lambda _: {"bucket": "states", "key": "k"})
    assert status.last_apply(stage) == ({}, None)
    s3 = stage.client("s3")
    s3.create_bucket(Bucket="states")
    assert status.last_apply(stage) == ({}, None)
    state = {"outputs": {"prefix": {"value": "kennel-dev"}}, "resources": [{"type": "aws_vpc"}]}
    s3.put_object(Bucket="states", Key="k", Body=json.dumps(state))
    outputs, when = status.last_apply(stage)
    assert outputs == {"prefix": "kennel-dev"}
    assert when is not None


def test_a_look_that_is_refused_is_a_line_and_no_traceback(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeEndpoint")

    monkeypatch.setattr(status, "last_apply", lambda _: ({"endpoint_name": "kennel-dev"}, None))
    monkeypatch.setattr("ops.state_bucket.prefix", lambda _: "kennel-dev")
    monkeypatch.setattr("ops.live.look", refused)
    monkeypatch.setattr("ops.live_cost.look", lambda *_: live_cost.Live((), {}))
    assert "Not allowed to look at: what is deployed (AccessDeniedException: no)" in status.look(stage).text()


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (2048, "2 kB"), (24 * 1024**2, "24.0 MB"), (3 * 1024**4, "3.0 TB")]
)
def test_a_size_reads_well(size: int, text: str) -> None:
    assert live_cost.in_bytes(size) == text
