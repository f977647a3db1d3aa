"""Callers in a VPC: by which way they reach a service, and what its endpoint's policy lets through."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto import mock_aws

from localcloud import authorization
from localcloud.authorization import Denied, Source, Unreachable
from localcloud.authorization.middleware import with_authorization
from tests.localcloud.authorization.conftest import allow, deny, document, trust

ROLE = "arn:aws:iam::123456789012:role/job"
OBJECT = "arn:aws:s3:::photos/dog.jpg"


class Network:
    """A VPC with one subnet, whose route table leads nowhere yet."""

    def __init__(self) -> None:
        self.ec2 = boto3.client("ec2", region_name="us-east-1")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        self.table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnet)

    def endpoint(self, *statements: dict[str, Any], service: str = "s3", **more: Any) -> str:
        policy = {"PolicyDocument": document(*[{**one, "Principal": "*"} for one in statements])}
        where = {"VpcId": self.vpc, "ServiceName": f"com.amazonaws.us-east-1.{service}"}
        made = self.ec2.create_vpc_endpoint(**where, **(policy if statements else {}), **more)
        return str(made["VpcEndpoint"]["VpcEndpointId"])

    def source(self, service: str = "sagemaker.amazonaws.com") -> Source:
        return Source(self.vpc, (self.subnet,), service)

    def lead_out(self, **target: str) -> None:
        self.ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", **target)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="photos")
        iam = boto3.client("iam")
        iam.create_role(
            RoleName="job", AssumeRolePolicyDocument=trust({"Service": "sagemaker.amazonaws.com"})
        )
        grant(allow("s3:*"))
        yield Network()


def grant(*statements: dict[str, Any]) -> None:
    boto3.client("iam").put_role_policy(RoleName="job", PolicyName="p", PolicyDocument=document(*statements))


def read(source: Source | None) -> None:
    authorization.check(ROLE, "s3:GetObject", OBJECT, source=source)


def test_without_endpoint_or_internet_s3_is_out_of_reach(network: Network) -> None:
    read(None)
    with pytest.raises(
        Unreachable, match=rf"{network.subnet} of {network.vpc} have neither a VPC endpoint of s3"
    ):
        read(network.source())


def test_nat_leads_out_and_an_internet_gateway_only_instances(network: Network) -> None:
    gateway = network.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    network.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    network.lead_out(GatewayId=gateway)
    with pytest.raises(Unreachable):
        read(network.source())
    read(network.source("ec2.amazonaws.com"))
    network.ec2.delete_route(RouteTableId=network.table, DestinationCidrBlock="0.0.0.0/0")
    nat = network.ec2.create_nat_gateway(SubnetId=network.subnet, ConnectivityType="private")["NatGateway"]
    network.lead_out(NatGatewayId=nat["NatGatewayId"])
    read(network.source())


def test_a_gateway_endpoint_serves_the_route_tables_that_have_it(network: Network) -> None:
    network.endpoint(VpcEndpointType="Gateway", RouteTableIds=[])
    with pytest.raises(Unreachable):
        read(network.source())
    network.endpoint(VpcEndpointType="Gateway", RouteTableIds=[network.table])
    read(network.source())


def test_the_endpoints_policy_is_asked_too(network: Network) -> None:
    to_photos = allow("s3:GetObject", "arn:aws:s3:::photos/*")
    name = network.endpoint(to_photos, VpcEndpointType="Gateway", RouteTableIds=[network.table])
    read(network.source())
    with pytest.raises(Denied, match="because no VPC endpoint policy allows the s3:PutObject action"):
        authorization.check(ROLE, "s3:PutObject", OBJECT, source=network.source())
    network.ec2.modify_vpc_endpoint(
        VpcEndpointId=name,
        PolicyDocument=document({**allow("*"), "Principal": "*"}, {**deny("s3:GetObject"), "Principal": "*"}),
    )
    with pytest.raises(Denied, match="with an explicit deny in a VPC endpoint policy"):
        read(network.source())


def test_a_bucket_opens_to_its_vpcs_endpoint_alone(network: Network) -> None:
    name = network.endpoint(VpcEndpointType="Gateway", RouteTableIds=[network.table])
    closed = deny("s3:*", ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"])
    closed |= {"Principal": "*", "Condition": {"StringNotEquals": {"aws:SourceVpce": name}}}
    boto3.client("s3", region_name="us-east-1").put_bucket_policy(Bucket="photos", Policy=document(closed))
    read(network.source())
    with pytest.raises(Denied, match="with an explicit deny in a resource-based policy"):
        read(None)
    grant(allow("s3:*", Condition={"StringEquals": {"aws:SourceVpc": network.vpc}}))
    read(network.source())


def answer(
    keys: dict[str, str],
    service: str,
    url: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    region: str = "us-east-1",
) -> tuple[str, str]:
    """Status and body of a signed request to an application behind the decision."""
    request = AWSRequest(method, url, headers=headers)
    given = Credentials(*keys.values())
    (S3SigV4Auth if service == "s3" else SigV4Auth)(given, service, region).add_auth(request)
    path = url.removeprefix("http://cloud")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "RAW_URI": path,
        "HTTP_HOST": "cloud",
        "SERVER_NAME": "cloud",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
    told: list[str] = []

    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"let in"]

    body = with_authorization(application)(environ, lambda status, *_: told.append(status))  # type: ignore[arg-type, return-value]
    return told[0], b"".join(body).decode()


def test_a_session_from_a_vpc_goes_its_ways(network: Network) -> None:
    keys = authorization.issue(ROLE, "sagemaker.amazonaws.com", "SageMaker", source=network.source())
    boto3.client("s3", region_name="us-east-1").put_object(Bucket="photos", Key="dog.jpg", Body=b"")
    grant(allow(["s3:GetObject", "sagemaker:*"]))
    photo, endpoint = "http://cloud/photos/dog.jpg", "http://cloud/endpoints/e/invocations"
    status, body = answer(keys, "s3", photo)
    assert (status, "<Code>UnreachableEndpoint</Code>" in body) == ("400 Bad Request", True)
    network.endpoint(VpcEndpointType="Gateway", RouteTableIds=[network.table])
    assert answer(keys, "s3", photo) == ("200 OK", "let in")
    assert "UnreachableEndpoint" in answer(keys, "s3", photo, region="eu-west-1")[1]
    assert "UnreachableEndpoint" in answer(keys, "sagemaker", endpoint, "POST")[1]
    network.endpoint(service="sagemaker.runtime", VpcEndpointType="Interface", SubnetIds=[network.subnet])
    assert answer(keys, "sagemaker", endpoint, "POST") == ("200 OK", "let in")
    target = {"X-Amz-Target": "SageMaker.ListEndpoints"}
    assert "UnreachableEndpoint" in answer(keys, "sagemaker", "http://cloud/", "POST", target)[1]


def test_a_session_ends(network: Network) -> None:
    keys = authorization.issue(ROLE, "sagemaker.amazonaws.com", "SageMaker", seconds=-1)
    target = {"X-Amz-Target": "SageMaker.ListEndpoints"}
    status, body = answer(keys, "sagemaker", "http://cloud/", "POST", target)
    assert (status, "ExpiredTokenException" in body) == ("403 Forbidden", True)
    status, body = answer(keys, "s3", "http://cloud/photos")
    assert (status, "<Code>ExpiredToken</Code>" in body) == ("400 Bad Request", True)


def test_a_service_gets_credentials_of_a_role_that_trusts_it_for_this(network: Network) -> None:
    source = "arn:aws:sagemaker:us-east-1:123456789012:training-job/kennel-1"
    for_ours = {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/kennel-*"},
    }
    policy = trust({"Service": "sagemaker.amazonaws.com"}, Condition=for_ours)
    boto3.client("iam").update_assume_role_policy(RoleName="job", PolicyDocument=policy)
    given = authorization.issue(ROLE, "sagemaker.amazonaws.com", "SageMaker", source_arn=source)
    assert given.keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    for service, arn in (
        ("sagemaker.amazonaws.com", source.replace("kennel", "theirs")),
        ("sagemaker.amazonaws.com", None),
        ("lambda.amazonaws.com", source),
    ):
        with pytest.raises(Denied, match="is not authorized to perform: sts:AssumeRole on resource: " + ROLE):
            authorization.issue(ROLE, service, "SageMaker", source_arn=arn)
    with pytest.raises(Denied):
        authorization.issue(f"{ROLE}-2", "sagemaker.amazonaws.com", "SageMaker", source_arn=source)
    of_another = trust(
        {"Service": "sagemaker.amazonaws.com"},
        Condition={**for_ours, "StringEquals": {"aws:SourceAccount": "210987654321"}},
    )
    boto3.client("iam").update_assume_role_policy(RoleName="job", PolicyDocument=of_another)
    with pytest.raises(Denied):
        authorization.issue(ROLE, "sagemaker.amazonaws.com", "SageMaker", source_arn=source)


def test_services_in_a_roles_name_know_its_tags_and_whose_things_are(network: Network) -> None:
    boto3.client("iam").tag_role(RoleName="job", Tags=[{"Key": "Team", "Value": "dogs"}])
    for key, value in (("aws:PrincipalTag/Team", "dogs"), ("aws:ResourceAccount", "123456789012")):
        forbidden = deny("s3:*", Condition={"StringEquals": {key: value}})
        grant(allow("s3:*"), forbidden)
        with pytest.raises(Denied, match="explicit deny in an identity-based policy"):
            read(None)


def test_what_a_role_may_not_its_service_does_not_do(network: Network) -> None:
    grant(allow("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/g:*"))
    mine = "arn:aws:logs:us-east-1:123456789012:log-group:/g:log-stream:s"
    authorization.check(ROLE, "logs:PutLogEvents", mine)
    with pytest.raises(Denied) as caught:
        authorization.check(ROLE, "logs:PutLogEvents", mine.replace("/g", "/h"), session_name="SageMaker")
    said = caught.value.message
    assert said.startswith("User: arn:aws:sts::123456789012:assumed-role/job/SageMaker is not authorized")
    assert json.dumps(said)
