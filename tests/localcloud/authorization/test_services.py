"""For each service: what lets an operation in, to the letter, and its neighbour that does not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.authorization.conftest import AsRole, Client, allow, deny, grant

HERE = "us-east-1:123456789012"
REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
ROLE = "arn:aws:iam::123456789012:role/passed"
PASS = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def s3(path: str) -> str:
    return f"arn:aws:s3:::{path}"


def logs(group: str) -> str:
    return f"arn:aws:logs:{HERE}:log-group:{group}"


MODEL: dict[str, Any] = {"ModelName": "New", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "x"}}
METRIC: dict[str, Any] = {"Namespace": "Kennel", "MetricData": [{"MetricName": "m", "Value": 1}]}
CASES: list[tuple[str, str, dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]] = [
    # service, operation, its parameters, statements that let it in, statements that do not
    ("s3", "get_object", {"Bucket": "neighbours", "Key": "a/b"},
     [allow("s3:GetObject", s3("neighbours/a/*")), allow("s3:ListBucket", s3("neighbours"))],
     [allow("s3:GetObject", s3("neighbours/b/*")), allow("s3:GetObjectVersion", s3("neighbours/a/*"))]),
    ("s3", "head_object", {"Bucket": "neighbours", "Key": "there"},
     [allow("s3:GetObject", s3("neighbours/there"))], [allow("s3:HeadObject", s3("neighbours/*"))]),
    ("s3", "list_objects_v2", {"Bucket": "neighbours", "Prefix": "a/b"},
     [allow("s3:ListBucket", s3("neighbours"), Condition={"StringLike": {"s3:prefix": "a/*"}})],
     [allow("s3:ListBucket", s3("neighbours"), Condition={"StringLike": {"s3:prefix": "c/*"}}),
      allow("s3:ListBucket", s3("neighbours/*"))]),
    ("s3", "put_object", {"Bucket": "neighbours", "Key": "a", "Body": b"", "Tagging": "x=y"},
     [allow(["s3:PutObject", "s3:PutObjectTagging"], s3("neighbours/a"))],
     [allow("s3:PutObject", s3("neighbours/a"))]),
    ("s3", "create_multipart_upload", {"Bucket": "neighbours", "Key": "a"},
     [allow("s3:PutObject", s3("neighbours/a"))], [allow("s3:CreateMultipartUpload", s3("neighbours/a"))]),
    ("s3", "copy_object", {"Bucket": "neighbours", "Key": "a", "CopySource": "neighbours/there"},
     [allow("s3:PutObject", s3("neighbours/a")), allow("s3:GetObject", s3("neighbours/there"))],
     [allow("s3:PutObject", s3("neighbours/a"))]),
    ("s3", "delete_objects", {"Bucket": "neighbours", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}},
     [allow("s3:DeleteObject", [s3("neighbours/a"), s3("neighbours/b")])],
     [allow("s3:DeleteObject", s3("neighbours/a"))]),
    ("s3", "put_bucket_encryption",
     {"Bucket": "neighbours", "ServerSideEncryptionConfiguration": {"Rules": [
         {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}},
     [allow("s3:PutEncryptionConfiguration", s3("neighbours"))], [allow("s3:PutBucketPolicy", s3("neighbours"))]),
    ("s3", "list_buckets", {}, [allow("s3:ListAllMyBuckets")], [allow("s3:ListBucket")]),
    ("sagemaker", "create_model", MODEL,
     [allow("sagemaker:CreateModel", f"arn:aws:sagemaker:{HERE}:model/new"),
      allow("iam:PassRole", ROLE, Condition=PASS)],
     [allow("sagemaker:CreateModel", f"arn:aws:sagemaker:{HERE}:model/new")]),
    ("sagemaker", "create_endpoint", {"EndpointName": "Upper", "EndpointConfigName": "Config"},
     [allow("sagemaker:CreateEndpoint", [f"arn:aws:sagemaker:{HERE}:endpoint/upper",
                                         f"arn:aws:sagemaker:{HERE}:endpoint-config/config"])],
     [allow("sagemaker:CreateEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/upper")]),
    ("sagemaker", "describe_endpoint", {"EndpointName": "Upper"},
     [allow("sagemaker:DescribeEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/upper")],
     [allow("sagemaker:DescribeEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/Upper")]),
    ("sagemaker", "list_tags", {"ResourceArn": f"arn:aws:sagemaker:{HERE}:endpoint/upper"},
     [allow("sagemaker:ListTags", f"arn:aws:sagemaker:{HERE}:endpoint/upper")],
     [allow("sagemaker:ListTags", f"arn:aws:sagemaker:{HERE}:model/*")]),
    ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "Upper", "Body": b""},
     [allow("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/upper")],
     [allow("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/uppers")]),
    ("sagemaker-runtime", "invoke_endpoint",
     {"EndpointName": "Upper", "InferenceComponentName": "Part", "Body": b""},
     [allow("sagemaker:InvokeEndpoint", [f"arn:aws:sagemaker:{HERE}:endpoint/upper",
                                         f"arn:aws:sagemaker:{HERE}:inference-component/part"])],
     [allow("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/upper")]),
    ("lambda", "invoke", {"FunctionName": "f", "Qualifier": "live"},
     [allow("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:f:live")],
     [allow("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:f")]),
    ("lambda", "get_function", {"FunctionName": f"arn:aws:lambda:{HERE}:function:f"},
     [allow("lambda:GetFunction", f"arn:aws:lambda:{HERE}:function:f")],
     [allow("lambda:GetFunctionConfiguration", f"arn:aws:lambda:{HERE}:function:f")]),
    ("logs", "create_log_stream", {"logGroupName": "/g", "logStreamName": "mine-1"},
     [allow("logs:CreateLogStream", logs("/g:log-stream:mine-*"))],
     [allow("logs:CreateLogStream", logs("/g:log-stream:yours-*"))]),
    ("logs", "put_log_events",
     {"logGroupName": "/g", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]},
     [allow("logs:PutLogEvents", logs("/g:*"))], [allow("logs:PutLogEvents", logs("/g"))]),
    ("logs", "describe_log_streams", {"logGroupName": "/g"},
     [allow("logs:DescribeLogStreams", logs("/g:*"))], [allow("logs:DescribeLogStreams", logs("/h:*"))]),
    ("logs", "describe_log_groups", {},
     [allow("logs:DescribeLogGroups", logs("*"))], [allow("logs:DescribeLogStreams", logs("*"))]),
    ("logs", "list_tags_for_resource", {"resourceArn": logs("/g")},
     [allow("logs:ListTagsForResource", logs("/g"))], [allow("logs:ListTagsForResource", logs("/g:*"))]),
    ("cloudwatch", "put_metric_data", METRIC,
     [allow("cloudwatch:PutMetricData", Condition={"StringEquals": {"cloudwatch:namespace": "Kennel"}})],
     [allow("cloudwatch:PutMetricData", Condition={"StringEquals": {"cloudwatch:namespace": "AWS/SageMaker"}})]),
    ("cloudwatch", "delete_alarms", {"AlarmNames": ["one", "two"]},
     [allow("cloudwatch:DeleteAlarms", f"arn:aws:cloudwatch:{HERE}:alarm:*")],
     [allow("cloudwatch:DeleteAlarms", f"arn:aws:cloudwatch:{HERE}:alarm:one")]),
    ("ssm", "send_command", {"DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-00000000000000001"]},
     [allow("ssm:SendCommand", ["arn:aws:ssm:us-east-1::document/AWS-RunShellScript",
                                f"arn:aws:ec2:{HERE}:instance/i-00000000000000001"])],
     [allow("ssm:SendCommand", f"arn:aws:ec2:{HERE}:instance/*")]),
    ("ssm", "get_parameter", {"Name": "/kennel/x"},
     [allow("ssm:GetParameter", f"arn:aws:ssm:{HERE}:parameter/kennel/*")],
     [allow("ssm:GetParameter", f"arn:aws:ssm:{HERE}:parameter/other/*")]),
    ("application-autoscaling", "register_scalable_target",
     {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/e/variant/v", "MinCapacity": 1, "MaxCapacity": 2,
      "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"},
     [allow("application-autoscaling:RegisterScalableTarget",
            Condition={"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}})],
     [allow("application-autoscaling:RegisterScalableTarget",
            Condition={"StringEquals": {"application-autoscaling:service-namespace": "ecs"}})]),
    ("ecr", "get_authorization_token", {}, [allow("ecr:GetAuthorizationToken")],
     [allow("ecr:GetAuthorizationToken", f"arn:aws:ecr:{HERE}:repository/*")]),
    ("ecr", "batch_get_image", {"repositoryName": "kk", "imageIds": [{"imageTag": "1"}]},
     [allow("ecr:BatchGetImage", f"arn:aws:ecr:{HERE}:repository/kk")],
     [allow("ecr:BatchGetImage", f"arn:aws:ecr:{HERE}:repository/kk2")]),
    ("ec2", "describe_vpcs", {}, [allow("ec2:DescribeVpcs")],
     [allow("ec2:DescribeVpcs", f"arn:aws:ec2:{HERE}:vpc/*")]),
    ("ec2", "terminate_instances", {"InstanceIds": ["i-00000000000000001"]},
     [allow("ec2:TerminateInstances", f"arn:aws:ec2:{HERE}:instance/i-00000000000000001")],
     [allow("ec2:TerminateInstances", f"arn:aws:ec2:{HERE}:instance/i-00000000000000002")]),
    ("iam", "get_role", {"RoleName": "passed"},
     [allow("iam:GetRole", ROLE)], [allow("iam:GetRole", "arn:aws:iam::123456789012:role/other")]),
    ("iam", "attach_role_policy",
     {"RoleName": "passed", "PolicyArn": "arn:aws:iam::123456789012:policy/nothing"},
     [allow("iam:AttachRolePolicy", ROLE,
            Condition={"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::123456789012:policy/nothing"}})],
     [allow("iam:AttachRolePolicy", ROLE,
            Condition={"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}})]),
    ("sns", "publish", {"TopicArn": f"arn:aws:sns:{HERE}:alarms", "Message": "m"},
     [allow("sns:Publish", f"arn:aws:sns:{HERE}:alarms")], [allow("sns:Publish", f"arn:aws:sns:{HERE}:other")]),
    ("cloudformation", "describe_stacks", {"StackName": "none"},
     [allow("cloudformation:DescribeStacks", f"arn:aws:cloudformation:{HERE}:stack/none/*")],
     [allow("cloudformation:DescribeStacks", f"arn:aws:cloudformation:{HERE}:stack/some/*")]),
    ("service-quotas", "list_service_quotas", {"ServiceCode": "sagemaker"},
     [allow("servicequotas:ListServiceQuotas")], [allow("servicequotas:GetServiceQuota")]),
    ("resourcegroupstaggingapi", "get_resources", {}, [allow("tag:GetResources")], [allow("tag:GetTagKeys")]),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def resources(client: Client) -> None:
    client("s3").create_bucket(Bucket="neighbours")
    client("s3").put_object(Bucket="neighbours", Key="there", Body=b"")
    client("iam").create_role(RoleName="passed", AssumeRolePolicyDocument='{"Statement": []}')


def refused(client: Any, operation: str, parameters: dict[str, Any]) -> str | None:
    """The message of a refusal; None where the request got through, whatever became of it."""
    try:
        getattr(client, operation)(**parameters)
    except ClientError as error:
        said = error.response["Error"]
        if said["Code"] in (*REFUSED, "403"):  # the latter of a HEAD
            return str(said["Message"])
    return None


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "enough", "neighbours"),
    CASES,
    ids=[f"{case[0]} {case[1]} {index}" for index, case in enumerate(CASES)],
)
def test_an_operation_takes_the_action_on_the_resource(
    as_role: AsRole,
    client: Client,
    service: str,
    operation: str,
    parameters: dict[str, Any],
    enough: list[dict[str, Any]],
    neighbours: list[dict[str, Any]],
) -> None:
    actor = as_role(*neighbours)
    assert refused(actor(service), operation, parameters) is not None
    grant(client, actor, *enough)
    assert refused(actor(service), operation, parameters) is None


def test_an_instance_takes_a_right_for_each_thing_it_is_made_of(as_role: AsRole, client: Client) -> None:
    image = client("ec2").describe_images()["Images"][0]["ImageId"]
    subnet = client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    parameters = {
        "ImageId": image, "SubnetId": subnet, "MinCount": 1, "MaxCount": 1, "DryRun": True,
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
    }  # fmt: skip
    things = [
        f"arn:aws:ec2:us-east-1::image/{image}",
        f"arn:aws:ec2:{HERE}:subnet/{subnet}",
        *(
            f"arn:aws:ec2:{HERE}:{kind}/*"
            for kind in ("instance", "volume", "network-interface", "security-group")
        ),
    ]
    tag = allow("ec2:CreateTags", f"arn:aws:ec2:{HERE}:instance/*")
    tag["Condition"] = {"StringEquals": {"ec2:CreateAction": "RunInstances", "aws:RequestTag/a": "b"}}
    assert (
        refused(as_role(allow("ec2:RunInstances", things), tag)("ec2"), "run_instances", parameters) is None
    )
    said = refused(as_role(allow("ec2:RunInstances", things))("ec2"), "run_instances", parameters)
    assert said is not None
    assert "ec2:CreateTags" in said
    said = refused(as_role(allow("ec2:RunInstances", things[1:]), tag)("ec2"), "run_instances", parameters)
    assert said is not None
    assert things[0] in said


def test_a_launch_template_is_no_way_round_the_right_to_pass_a_role(as_role: AsRole, client: Client) -> None:
    template = {"ImageId": "ami-1", "IamInstanceProfile": {"Name": "administrators"}}
    client("ec2").create_launch_template(LaunchTemplateName="t", LaunchTemplateData=template)
    with pytest.raises(ClientError, match="does not know which rights RunInstances takes"):
        as_role(allow("ec2:*"))("ec2").run_instances(
            LaunchTemplate={"LaunchTemplateName": "t"}, MinCount=1, MaxCount=1
        )


def test_a_parameters_version_is_judged_as_the_parameter(as_role: AsRole, client: Client) -> None:
    client("ssm").put_parameter(Name="versioned", Value="x", Type="String")
    arn = f"arn:aws:ssm:{HERE}:parameter/versioned"
    assert as_role(allow("ssm:GetParameter", arn))("ssm").get_parameter(Name="versioned:1")
    with pytest.raises(ClientError, match="explicit deny"):
        as_role(allow("ssm:*"), deny("ssm:*", arn))("ssm").get_parameter(Name="versioned:1")


def test_a_key_is_named_by_its_alias_too(as_role: AsRole, client: Client) -> None:
    key = client("kms").create_key()["KeyMetadata"]
    client("kms").create_alias(AliasName="alias/of-a-key", TargetKeyId=key["KeyId"])
    parameters = {"KeyId": "alias/of-a-key", "Plaintext": b"x"}
    assert refused(as_role(allow("kms:Encrypt", key["Arn"]))("kms"), "encrypt", parameters) is None
    said = refused(as_role(allow("kms:Decrypt", key["Arn"]))("kms"), "encrypt", parameters)
    assert said is not None
    assert f"on resource: {key['Arn']} because no" in said


def test_objects_of_an_encrypted_bucket_take_the_key(as_role: AsRole, client: Client) -> None:
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    client("s3").create_bucket(Bucket="encrypted")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    client("s3").put_bucket_encryption(
        Bucket="encrypted", ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    objects = allow(["s3:GetObject", "s3:PutObject"], s3("encrypted/*"))
    through = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    writer = as_role(objects, allow("kms:GenerateDataKey", key, Condition=through))("s3")
    writer.put_object(Bucket="encrypted", Key="k", Body=b"x")
    said = refused(writer, "get_object", {"Bucket": "encrypted", "Key": "k"})
    assert said is not None
    assert "kms:Decrypt" in said
    reader = as_role(objects, allow("kms:Decrypt", key, Condition=through))("s3")
    assert refused(reader, "get_object", {"Bucket": "encrypted", "Key": "k"}) is None


def test_who_may_not_list_does_not_learn_what_is_missing(as_role: AsRole) -> None:
    reader = as_role(allow("s3:GetObject", s3("neighbours/*")))("s3")
    said = refused(reader, "get_object", {"Bucket": "neighbours", "Key": "none"})
    assert said is not None
    assert "s3:ListBucket" in said


def test_what_the_cloud_cannot_judge_is_roots_alone(as_role: AsRole, client: Client) -> None:
    unknown: list[tuple[str, str, dict[str, Any]]] = [
        ("braket", "search_devices", {"filters": []}),
        ("sagemaker", "list_inference_routers", {}),
    ]
    for service, operation, parameters in unknown:
        said = refused(as_role(allow("*"))(service), operation, parameters)
        assert said is not None
        assert "does not know which rights" in said
        assert refused(client(service), operation, parameters) is None


def test_a_stack_makes_what_it_holds_in_its_makers_name(as_role: AsRole, client: Client) -> None:
    variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    properties = {"EndpointConfigName": "Of-A-Stack", "ProductionVariants": [variant]}
    template = {"Resources": {"Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": properties}}}
    stacks = allow("cloudformation:*", f"arn:aws:cloudformation:{HERE}:stack/makers-*/*")
    config = f"arn:aws:sagemaker:{HERE}:endpoint-config/of-a-stack"
    via = {"ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation.amazonaws.com"}}
    for name, statements, may in (
        ("makers-1", [stacks], False),
        ("makers-2", [stacks, allow("sagemaker:*", config, Condition=via)], True),
    ):
        maker = as_role(*statements)("cloudformation")
        maker.create_stack(StackName=name, TemplateBody=json.dumps(template))
        deadline = time.monotonic() + 30
        while not (stack := maker.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"].endswith(
            "COMPLETE"
        ):
            assert time.monotonic() < deadline, stack
            time.sleep(0.05)
        events = maker.describe_stack_events(StackName=name)["StackEvents"]
        said = [event.get("ResourceStatusReason", "") for event in events]
        assert any("perform: sagemaker:CreateEndpointConfig" in one for one in said) != may
