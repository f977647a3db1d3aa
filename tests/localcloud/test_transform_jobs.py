"""CreateTransformJob: processes of a model server over the objects of a prefix."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import control
from localcloud.control import CloudInfo
from tests.localcloud.endpoints import ACCOUNT, IMAGE, archive, numbers
from tests.localcloud.training import TRUST, check_answer

Client = Callable[[str], Any]

GROUP = "/aws/sagemaker/TransformJobs"
SEE_LOGS = "See job logs for more information"
NO_PING = (
    "AlgorithmError: Model container failed to respond to ping. Please ensure /ping endpoint is implemented and "
    "responds with an HTTP 200 status code"
)
# Answers with the request; "status N" asks for an error, "flaky" for one that passes, "sleep S" for time.
SERVER = """
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

flaky, busy, most = set(), 0, 0

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parameters = os.environ.get("PARAMETERS")
        if self.path == "/execution-parameters":
            return self.answer(200 if parameters else 404, (parameters or "").encode())
        self.answer(int(os.environ.get("PING", "200")), b"")

    def do_POST(self):
        global busy, most
        busy += 1
        most = max(most, busy)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if body.startswith("sleep "):
            print("asleep in", os.getpid(), flush=True)
            time.sleep(float(body[6:]))
        status = int(body[7:]) if body.startswith("status ") else 200
        if body == "flaky" and self.path not in flaky:
            flaky.add(self.path)
            status = 500
        said = {"body": body, "pid": os.getpid(), "most": most, "type": self.headers["Content-Type"],
                "accept": self.headers["Accept"],
                "env": {name: value for name, value in os.environ.items() if name.startswith(("SAGEMAKER_", "MY_"))}}
        busy -= 1
        self.answer(status, json.dumps(said).encode() if status == 200 else b"so be it")

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


class Transformer:
    """Makes transform jobs with names and prefixes of their own in the bucket "photos"."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sagemaker, self.s3 = client("sagemaker"), client("s3")
        self.s3.create_bucket(Bucket="photos")
        model = archive({"code/fakeserver.py": SERVER.encode()})
        self.s3.put_object(Bucket="photos", Key="model.tar.gz", Body=model)
        self.role = self.make_role("*")
        self.plain = self.model()

    def make_role(self, *actions: str) -> str:
        name = f"transform-{next(numbers)}"
        iam = self.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        self.restrict(str(role["Arn"]), *actions)
        return str(role["Arn"])

    def restrict(self, role: str, *actions: str) -> None:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client("iam").put_role_policy(
            RoleName=role.rpartition("/")[2], PolicyName="rights", PolicyDocument=document
        )

    def model(self, *, role: str | None = None, image: str = IMAGE, **environment: str) -> str:
        name = f"model-{next(numbers)}"
        container = {
            "Image": image,
            "ModelDataUrl": "s3://photos/model.tar.gz",
            "Environment": environment,
        }
        self.sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=role or self.role, PrimaryContainer=container
        )
        return name

    def put(self, objects: dict[str, str]) -> str:
        """The prefix that the objects lie in."""
        prefix = f"in-{next(numbers)}/"
        for name, content in objects.items():
            self.s3.put_object(Bucket="photos", Key=prefix + name, Body=content.encode())
        return prefix

    def request(
        self, prefix: str, *, model: str | None = None, count: int = 1, **more: Any
    ) -> dict[str, Any]:
        name = f"job-{next(numbers)}"
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://photos/{prefix}", **more.pop("source", {})}
        return {
            "TransformJobName": name,
            "ModelName": model or self.plain,
            "TransformInput": {
                "DataSource": {"S3DataSource": source},
                "ContentType": "application/x-image",
                **more.pop("input", {}),
            },
            "TransformOutput": {
                "S3OutputPath": f"s3://photos/out/{name}",
                "Accept": "application/json",
                **more.pop("output", {}),
            },
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": count},
            **more,
        }

    def start(self, prefix: str, **more: Any) -> str:
        request = self.request(prefix, **more)
        self.sagemaker.create_transform_job(**request)
        return str(request["TransformJobName"])

    def run(self, prefix: str, **more: Any) -> dict[str, Any]:
        return self.over(self.start(prefix, **more))

    def describe(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_transform_job(TransformJobName=name)
        check_answer("DescribeTransformJob", answer)
        return answer

    def over(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while (job := self.describe(name))["TransformJobStatus"] in ("InProgress", "Stopping"):
            assert time.monotonic() < deadline, job
            time.sleep(0.03)
        return job

    def answers(self, job: dict[str, Any]) -> dict[str, str]:
        """What the job wrote, by the key below its output path."""
        prefix = f"out/{job['TransformJobName']}/"
        listed = self.s3.list_objects_v2(Bucket="photos", Prefix=prefix).get("Contents", [])
        return {
            entry["Key"].removeprefix(prefix): self.s3.get_object(Bucket="photos", Key=entry["Key"])["Body"]
            .read()
            .decode()
            for entry in listed
        }

    def log(self, name: str) -> list[str]:
        logs = self.client("logs")
        lines = []
        streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
        for stream in streams:
            events = logs.get_log_events(
                logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True
            )
            lines += [event["message"] for event in events["events"]]
        return lines

    def wait_for(self, name: str, line: str) -> str:
        """The line of the job's log that begins so, once it is there."""
        deadline = time.monotonic() + 30
        while True:
            try:
                found = [one for one in self.log(name) if one.startswith(line)]
            except self.client("logs").exceptions.ResourceNotFoundException:
                found = []
            if found:
                return found[0]
            assert time.monotonic() < deadline, self.describe(name)
            time.sleep(0.03)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, images: Path, connect: Any) -> Iterator[Transformer]:
    folder = tmp_path_factory.mktemp("transforms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALCLOUD_TRAINING_INSTANCES", "4")
        cloud: CloudInfo = control.start(folder, images=images, lifetime=600)
    yield Transformer(connect(cloud))
    control.stop(folder)


def test_each_object_gets_an_answer_under_its_name(jobs: Transformer) -> None:
    prefix = jobs.put({"a.jpg": "1", "sub/b.jpg": "2", "sub/": ""})
    job = jobs.run(prefix)
    assert job["TransformJobStatus"] == "Completed"
    answers = {name: json.loads(text) for name, text in jobs.answers(job).items()}
    assert {name: one["body"] for name, one in answers.items()} == {"a.jpg.out": "1", "sub/b.jpg.out": "2"}
    assert answers["a.jpg.out"]["type"] == "application/x-image"
    assert answers["a.jpg.out"]["accept"] == "application/json"


def test_a_job_describes_what_it_was_created_with_and_its_times(jobs: Transformer) -> None:
    request = jobs.request(jobs.put({"a": "1"}), Tags=[{"Key": "colour", "Value": "red"}])
    arn = jobs.sagemaker.create_transform_job(**request)["TransformJobArn"]
    job = jobs.over(request["TransformJobName"])
    assert {name: job[name] for name in request.keys() - {"Tags"}} == {
        name: value for name, value in request.items() if name != "Tags"
    }
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert jobs.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "colour", "Value": "red"}]


def test_a_manifest_names_the_objects(jobs: Transformer) -> None:
    prefix = jobs.put({"a.jpg": "1", "sub/b.jpg": "2", "c.jpg": "3"})
    manifest = json.dumps([{"prefix": f"s3://photos/{prefix}"}, "c.jpg", "sub/b.jpg"])
    jobs.s3.put_object(Bucket="photos", Key="manifests/1", Body=manifest)
    job = jobs.run("", source={"S3DataType": "ManifestFile", "S3Uri": "s3://photos/manifests/1"})
    assert jobs.answers(job).keys() == {"c.jpg.out", "sub/b.jpg.out"}


def test_a_manifest_that_is_none_fails_the_job(jobs: Transformer) -> None:
    jobs.s3.put_object(Bucket="photos", Key="manifests/2", Body="[]")
    job = jobs.run("", source={"S3DataType": "ManifestFile", "S3Uri": "s3://photos/manifests/2"})
    assert "Manifest file s3://photos/manifests/2 is not readable" in job["FailureReason"]


def test_instances_share_the_objects(jobs: Transformer) -> None:
    job = jobs.run(jobs.put({f"{number}": "x" for number in range(6)}), count=2)
    servers = [json.loads(text)["pid"] for text in jobs.answers(job).values()]
    assert sorted(servers.count(one) for one in set(servers)) == [3, 3]


def test_one_broken_object_fails_the_job_and_loses_no_other(jobs: Transformer) -> None:
    prefix = jobs.put({"a": "1", "broken": "status 415", "c": "3"})
    job = jobs.run(prefix)
    assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", f"ClientError: {SEE_LOGS}")
    assert jobs.answers(job).keys() == {"a.out", "c.out"}
    said = [line.partition(":[sagemaker logs]: ")[2] for line in jobs.log(job["TransformJobName"])]
    assert f"photos/{prefix}broken: ClientError: 415" in said
    assert f"photos/{prefix}broken: so be it" in said


def test_an_error_of_the_container_is_tried_again(jobs: Transformer) -> None:
    job = jobs.run(jobs.put({"a": "flaky"}))
    assert job["TransformJobStatus"] == "Completed"


def test_retries_end(jobs: Transformer) -> None:
    job = jobs.run(jobs.put({"a": "flaky"}), ModelClientConfig={"InvocationsMaxRetries": 0})
    assert job["FailureReason"] == f"AlgorithmError: {SEE_LOGS}"
    said = jobs.log(job["TransformJobName"])
    assert any("Bad HTTP status received from algorithm: 500" in line for line in said)


def test_a_request_ends_after_its_time(jobs: Transformer) -> None:
    limits = {"InvocationsMaxRetries": 0, "InvocationsTimeoutInSeconds": 1}
    job = jobs.run(jobs.put({"a": "sleep 20"}), ModelClientConfig=limits)
    assert job["FailureReason"] == f"AlgorithmError: {SEE_LOGS}"
    assert any("Unable to get response from algorithm" in line for line in jobs.log(job["TransformJobName"]))


def test_a_server_that_is_killed_loses_its_share_and_no_other(jobs: Transformer) -> None:
    prefix = jobs.put({"a": "sleep 30", "b": "1", "c": "2", "d": "3"})
    name = jobs.start(prefix, count=2)
    os.kill(int(jobs.wait_for(name, "asleep in").split()[-1]), signal.SIGKILL)
    job = jobs.over(name)
    assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", f"AlgorithmError: {SEE_LOGS}")
    assert jobs.answers(job).keys() == {"b.out", "d.out"}


def test_a_job_that_is_stopped_keeps_what_it_has(jobs: Transformer) -> None:
    name = jobs.start(jobs.put({"a": "1", "b": "sleep 30", "c": "3"}))
    server = int(jobs.wait_for(name, "asleep in").split()[-1])
    jobs.sagemaker.stop_transform_job(TransformJobName=name)
    job = jobs.over(name)
    assert job["TransformJobStatus"] == "Stopped"
    assert "FailureReason" not in job
    assert jobs.answers(job).keys() == {"a.out"}
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
    with pytest.raises(ClientError, match="the transform job is in status Stopped"):
        jobs.sagemaker.stop_transform_job(TransformJobName=name)


def test_the_container_says_how_it_wants_to_be_asked(jobs: Transformer) -> None:
    parameters = {"MaxConcurrentTransforms": 3, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 7}
    model = jobs.model(PARAMETERS=json.dumps(parameters))
    job = jobs.run(jobs.put({f"{number}": "sleep 0.4" for number in range(6)}), model=model)
    assert any(
        line.endswith("MaxConcurrentTransforms=3, MaxPayloadInMB=7, BatchStrategy=SINGLE_RECORD")
        for line in jobs.log(job["TransformJobName"])
    )
    assert max(json.loads(text)["most"] for text in jobs.answers(job).values()) == 3


def test_the_request_overrules_the_container_and_tells_it(jobs: Transformer) -> None:
    model = jobs.model(PARAMETERS=json.dumps({"MaxConcurrentTransforms": 3}), MY_COLOUR="red", MY_SIZE="s")
    job = jobs.run(
        jobs.put({"a": "1"}),
        model=model,
        MaxConcurrentTransforms=2,
        MaxPayloadInMB=9,
        BatchStrategy="SingleRecord",
        Environment={"MY_SIZE": "xl"},
    )
    told = json.loads(jobs.answers(job)["a.out"])["env"]
    assert {name: told[name] for name in told.keys() - {"SAGEMAKER_BASE_DIR", "SAGEMAKER_BIND_TO_PORT"}} == {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "2",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "9",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "MY_COLOUR": "red",
        "MY_SIZE": "xl",
    }


def test_an_object_over_the_payload_is_not_sent(jobs: Transformer) -> None:
    job = jobs.run(jobs.put({"large": "x" * (2**20 + 1), "small": "x"}), MaxPayloadInMB=1)
    assert job["FailureReason"] == f"ClientError: {SEE_LOGS}"
    assert jobs.answers(job).keys() == {"small.out"}
    assert any("Too much data for max payload size" in line for line in jobs.log(job["TransformJobName"]))


@pytest.mark.parametrize(
    ("strategy", "bodies"), [("SingleRecord", ["1\n", "2\n"]), ("MultiRecord", ["1\n2\n"])]
)
def test_lines_are_records(jobs: Transformer, strategy: str, bodies: list[str]) -> None:
    job = jobs.run(
        jobs.put({"lines": "1\n2\n"}),
        input={"SplitType": "Line"},
        output={"AssembleWith": "Line"},
        BatchStrategy=strategy,
    )
    text = jobs.answers(job)["lines.out"]
    assert text.endswith("\n")
    assert [json.loads(line)["body"] for line in text.splitlines()] == bodies


def test_without_objects_the_job_fails(jobs: Transformer) -> None:
    job = jobs.run("nothing-here/")
    assert 'No S3 objects found under S3 URL "s3://photos/nothing-here/"' in job["FailureReason"]


def test_a_server_that_is_not_ready_fails_the_job(jobs: Transformer) -> None:
    job = jobs.run(jobs.put({"a": "1"}), model=jobs.model(PYTHONPATH="/nowhere"))  # where its program is not
    assert job["FailureReason"] == NO_PING


def test_an_image_that_does_not_exist_fails_the_job(jobs: Transformer) -> None:
    model = jobs.model(image=f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/other:1")
    assert "does not exist" in jobs.run(jobs.put({"a": "1"}), model=model)["FailureReason"]


@pytest.mark.parametrize(
    ("actions", "missing"),
    [
        (("s3:GetObject", "s3:PutObject"), "s3:ListBucket"),
        (("s3:ListBucket", "s3:PutObject"), "s3:GetObject"),
        (("s3:ListBucket", "s3:GetObject"), "s3:PutObject"),
    ],
)
def test_the_models_role_needs_its_rights(jobs: Transformer, actions: tuple[str, ...], missing: str) -> None:
    role = jobs.make_role("*")
    model = jobs.model(role=role)
    jobs.restrict(role, *actions, "ecr:*", "logs:*")
    job = jobs.run(jobs.put({"a": "1"}), model=model)
    assert job["TransformJobStatus"] == "Failed"
    assert f'not authorized to perform: {missing} on resource: "arn:aws:s3:::photos' in job["FailureReason"]


def test_jobs_are_listed_by_pages(jobs: Transformer) -> None:
    prefix = jobs.put({"a": "1"})
    names = [jobs.run(prefix)["TransformJobName"] for _ in range(3)]
    query = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 2}
    first = jobs.sagemaker.list_transform_jobs(**query)
    check_answer("ListTransformJobs", first)
    second = jobs.sagemaker.list_transform_jobs(**query, NextToken=first["NextToken"])
    listed = [
        one["TransformJobName"] for one in first["TransformJobSummaries"] + second["TransformJobSummaries"]
    ]
    assert listed[:3] == names[::-1]
    assert {one["TransformJobStatus"] for one in first["TransformJobSummaries"]} == {"Completed"}


def refused(jobs: Transformer, **more: Any) -> str:
    with pytest.raises(ClientError) as caught:
        jobs.sagemaker.create_transform_job(**jobs.request("x/", **more))
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_a_name_is_used_once(jobs: Transformer) -> None:
    name = jobs.start(jobs.put({"a": "1"}))
    assert refused(jobs, TransformJobName=name).startswith(
        "ResourceInUse: Transform job names must be unique"
    )


def test_a_job_needs_a_model(jobs: Transformer) -> None:
    assert "ValidationException: Could not find model" in refused(jobs, model="none")


def test_the_account_has_so_many_instances(jobs: Transformer) -> None:
    assert refused(jobs, count=5).startswith("ResourceLimitExceeded: The account-level service limit")


def test_requests_under_way_have_a_limit_of_size(jobs: Transformer) -> None:
    assert "must be less than or equal to 100 MB" in refused(
        jobs, MaxPayloadInMB=30, MaxConcurrentTransforms=4
    )


def test_a_job_that_is_not_there_is_told(jobs: Transformer) -> None:
    for call in (jobs.sagemaker.describe_transform_job, jobs.sagemaker.stop_transform_job):
        with pytest.raises(ClientError, match="Could not find requested job with name: none") as caught:
            call(TransformJobName="none")
        assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"input": {"SplitType": "RecordIO"}}, "SplitType RecordIO"),
        ({"input": {"CompressionType": "Gzip"}}, "CompressionType Gzip"),
        ({"source": {"S3DataType": "AugmentedManifestFile"}}, "S3DataType AugmentedManifestFile"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "JoinSource Input"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://photos/x"}}, "DataCaptureConfig"),
    ],
)
def test_what_is_not_implemented_is_named(jobs: Transformer, more: dict[str, Any], named: str) -> None:
    said = refused(jobs, **more)
    assert said.startswith("NotImplemented: ")
    assert named in said
