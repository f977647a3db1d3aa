"""Bulk predictions on the embedded cloud: photos in a bucket, a transform job, a file of answers. The model is real."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml import artifact
from ml.errors import KennelError
from ops import bulk, remote
from ops.jobs import sagemaker, transform
from ops.jobs.follow import Detached, JobError
from ops.jobs.options import OptionError
from ops.jobs.rights import RightsError
from ops.jobs.transform import TransformOptions
from tests.embedded_stage import embedded_stage
from tests.localcloud.training import TRUST
from tests.ml.serving.conftest import write_run
from tests.ml.serving.samples import encode, photo

pytestmark = [pytest.mark.cloud, pytest.mark.long]

BUCKET = "kennel-local-artifacts"
PHOTOS = "their-photos"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with embedded_stage(tmp_path_factory.mktemp("cloud")) as stage:
        yield stage


@pytest.fixture(scope="module")
def outputs(stage: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Terraform would have made, as far as bulk jobs need it."""
    run = tmp_path_factory.mktemp("run") / "tiny"
    write_run(run)
    archive, _ = artifact.build(run)
    s3 = stage.client("s3")
    for bucket in (BUCKET, PHOTOS):
        s3.create_bucket(Bucket=bucket)
    s3.upload_file(str(archive), BUCKET, "models/tiny.tar.gz")
    outputs = {
        "prefix": "kennel-local",
        "artifact_bucket": BUCKET,
        "artifact_locations": {"scratch": f"s3://{BUCKET}/training/"},
        "roles": {"endpoint": make_role(stage, "kennel-local-endpoint", f"arn:aws:s3:::{PHOTOS}")},
    }
    return outputs | {"model_name": make_model(stage, outputs["roles"]["endpoint"]["arn"])}


def make_role(stage: Any, name: str, *readable: str) -> dict[str, str]:
    bucket = f"arn:aws:s3:::{BUCKET}"
    statements = [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"{bucket}/models/*", f"{bucket}/training/*"],
        },
        {"Effect": "Allow", "Action": ["ecr:*", "logs:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{bucket}/training/bulk/*"},
        *({"Effect": "Allow", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]} for arn in readable),
    ]
    iam = stage.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=document)
    return {"name": name, "arn": role["Arn"]}


def make_model(stage: Any, role: str, **environment: str) -> str:
    name = f"kennel-local-{next(_numbers)}"
    image = f"{stage.cloud.account_id}.dkr.ecr.us-east-1.amazonaws.com/kennel-serving:local"
    container = {
        "Image": image,
        "ModelDataUrl": f"s3://{BUCKET}/models/tiny.tar.gz",
        "Environment": environment,
    }
    stage.client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    return name


def put(stage: Any, objects: dict[str, bytes]) -> str:
    """The address of a new prefix that the objects lie below."""
    prefix = f"photos-{next(_numbers)}/"
    for name, body in objects.items():
        stage.client("s3").put_object(Bucket=PHOTOS, Key=prefix + name, Body=body)
    return f"s3://{PHOTOS}/{prefix}"


def jpeg(number: int) -> bytes:
    return encode(photo(seed=number), "JPEG")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "RUNS", tmp_path / "runs")
    quick = functools.partial(transform.follow, progress=False, interval=0.2)
    monkeypatch.setattr(transform, "follow", quick)
    monkeypatch.setattr(sagemaker.state_bucket, "prefix", lambda _: "kennel-local")


def silent(_: str) -> None:
    pass


def rows(results: bulk.Results) -> dict[str, dict[str, Any]]:
    """By the last part of the key."""
    return {Path(row["key"]).name: row for row in map(json.loads, results.lines)}


def test_every_photo_gets_a_row_and_broken_ones_do_not_take_the_others_with_them(
    stage: Any, outputs: dict[str, Any]
) -> None:
    uri = put(
        stage,
        {
            **{f"some/{number}.jpg": jpeg(number) for number in range(8)},
            "broken.jpg": b"no photo at all",
            "cut.jpg": jpeg(1)[:600],
            "empty.png": b"",
            "README.txt": b"about",
            "some/": b"",
        },
    )
    planned = bulk.plan(stage, outputs, uri.rstrip("/"), None, TransformOptions(instances=2))
    assert (len(planned.order.photos), planned.others, list(planned.order.left_out)) == (
        10,
        1,
        [f"{uri.removeprefix(f's3://{PHOTOS}/')}empty.png"],
    )
    assert "minutes and $" in planned.summary
    said: list[str] = []
    results = bulk.run(stage, outputs, planned, said.append)
    found = rows(results)
    assert (results.failure, results.photos, results.unanswered) == (None, 11, 3)
    assert {name for name, row in found.items() if row["error"]} == {"broken.jpg", "cut.jpg", "empty.png"}
    assert found["empty.png"]["error"] == "The object is empty."
    assert set(found["0.jpg"]) == {"key", "label", "name", "probability", "error"}
    assert 0 < found["0.jpg"]["probability"] <= 1
    assert "8 of 11 photos answered." in results.summary
    bucket, _, key = results.uri.removeprefix("s3://").partition("/")
    stored = stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert stored == results.file.read_bytes()
    assert any("Completed" in line for line in said)


def test_a_job_that_fails_leaves_the_answers_that_it_has(
    stage: Any, outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a model server that does not tell errors as answers, such as one of AWS's own containers."""
    monkeypatch.setattr(transform, "_ACCEPT", "application/json;verbose=1;top=1")
    uri = put(stage, {"a.jpg": jpeg(1), "broken.jpg": b"no photo at all"})
    results = bulk.run(stage, outputs, bulk.plan(stage, outputs, uri, None, TransformOptions()), silent)
    assert results.failure == "ClientError: See job logs for more information"
    assert results.unanswered == 1
    assert "ClientError: 4" in rows(results)["broken.jpg"]["error"]
    assert rows(results)["a.jpg"]["error"] is None


def test_a_job_that_answers_nothing_is_an_error_with_its_reason(stage: Any, outputs: dict[str, Any]) -> None:
    model = make_model(stage, outputs["roles"]["endpoint"]["arn"], KENNEL_ENGINE="none")
    planned = bulk.plan(stage, outputs, put(stage, {"a.jpg": jpeg(1)}), None, TransformOptions())
    with pytest.raises(JobError, match="Model container failed to respond to ping"):
        bulk.run(stage, outputs | {"model_name": model}, planned, silent)


def test_answers_go_where_they_are_asked_for(stage: Any, outputs: dict[str, Any]) -> None:
    uri = put(stage, {"a.jpg": jpeg(1)})
    planned = bulk.plan(stage, outputs, uri, f"s3://{PHOTOS}/answers", TransformOptions())
    assert bulk.run(stage, outputs, planned, silent).uri.startswith(
        f"s3://{PHOTOS}/answers/kennel-local-bulk-"
    )


def test_ctrl_c_detaches_and_attaching_collects(
    stage: Any, outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = bulk.plan(stage, outputs, put(stage, {"a.jpg": jpeg(1)}), None, TransformOptions())

    def interrupted(text: str) -> None:
        if "Started" in text:
            raise KeyboardInterrupt

    with pytest.raises(Detached, match="--attach") as caught:
        bulk.run(stage, outputs, planned, interrupted)
    name = str(caught.value).partition("The job ")[2].partition(" ")[0]
    assert [job.kind for job in sagemaker.list_jobs(stage) if job.name == name] == ["bulk"]
    monkeypatch.setattr(remote, "_outputs", lambda *_: outputs)
    monkeypatch.setattr(remote, "_is_the_instances", lambda *_: False)
    results = remote.attach(stage, name, silent)
    assert isinstance(results, bulk.Results)
    assert rows(results)["a.jpg"]["error"] is None


def test_a_destroy_stops_jobs_that_run(stage: Any, outputs: dict[str, Any]) -> None:
    photos = put(stage, {f"{number}.jpg": jpeg(number) for number in range(200)})
    planned = bulk.plan(stage, outputs, photos, None, TransformOptions())

    def interrupted(text: str) -> None:
        if "Started" in text:
            raise KeyboardInterrupt

    with pytest.raises(Detached):
        bulk.run(stage, outputs, planned, interrupted)
    sagemaker.stop_all(stage, silent)
    latest = sagemaker.list_jobs(stage)[0]
    assert (latest.kind, latest.status) == ("bulk", "Stopped")
    sagemaker.stop(stage, latest.name)  # told twice: the answer to the first may have been lost
    with pytest.raises(JobError, match="there is none of the name"):
        sagemaker.stop(stage, f"{latest.name}-2")


def test_a_prefix_without_photos_is_told(stage: Any, outputs: dict[str, Any]) -> None:
    with pytest.raises(RightsError, match="There are photos below the address"):
        bulk.plan(stage, outputs, f"s3://{PHOTOS}/none", None, TransformOptions())
    with pytest.raises(KennelError, match="none with"):
        bulk.plan(stage, outputs, put(stage, {"a.txt": b"x"}), None, TransformOptions())


@pytest.mark.parametrize(
    ("readable", "lacking"),
    [((), "s3:ListBucket"), ((f"arn:aws:s3:::{PHOTOS}",), "s3:PutObject")],
)
def test_rights_that_the_models_role_lacks_are_told_beforehand(
    stage: Any, outputs: dict[str, Any], readable: tuple[str, ...], lacking: str
) -> None:
    role = make_role(stage, f"role-{next(_numbers)}", *readable)
    uri = put(stage, {"a.jpg": jpeg(1)})
    with pytest.raises(RightsError, match=rf"may {lacking}[\s\S]*{role['name']}"):
        bulk.plan(
            stage,
            outputs | {"roles": {"endpoint": role}},
            uri,
            f"s3://{BUCKET}/elsewhere",
            TransformOptions(),
        )


def test_an_instance_type_that_sagemaker_does_not_have_is_told(stage: Any, outputs: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"Batch transform runs on some instance types[\s\S]*ml\.m5\.large"):
        bulk.plan(stage, outputs, "s3://x/y", None, TransformOptions("ml.m5.small"))


@pytest.mark.parametrize(
    ("source", "output", "told"),
    [
        ("folder", None, "--bulk is for photos in a bucket"),
        ("s3://x/photos.zip", None, "Unpack the archive"),
        ("s3://x/photos", "folder", "--output is an s3:// address"),
    ],
)
def test_addresses_are_checked(
    stage: Any, outputs: dict[str, Any], source: str, output: str | None, told: str
) -> None:
    with pytest.raises(KennelError, match=told):
        bulk.plan(stage, outputs, source, output, TransformOptions())


def test_flags_that_do_not_go_together_are_told() -> None:
    for arguments, told in [
        ((None, None, {}), "neither"),
        (("s3://x/y", "photo.jpg", {}), "both"),
        ((None, "photo.jpg", {"output": "s3://x", "instances": 2}), "--output, --instances is for --bulk"),
    ]:
        with pytest.raises(KennelError, match=told):
            bulk.options(*arguments, raw=False)
    with pytest.raises(KennelError, match="--raw is for --image"):
        bulk.options("s3://x/y", None, {}, raw=True)


def test_a_measured_rate_goes_into_the_estimate(stage: Any, outputs: dict[str, Any]) -> None:
    uri = put(stage, {"a.jpg": jpeg(1)})
    stage.directory.mkdir(exist_ok=True)
    capacity = {"requests_per_second": 123.0, "instance_type": "ml.m5.large"}
    (stage.directory / "capacity.json").write_text(json.dumps(capacity))
    planned = bulk.plan(stage, outputs, uri, None, TransformOptions())
    assert "123 photos a second and instance are measured" in planned.summary
    other = bulk.plan(stage, outputs, uri, None, TransformOptions("ml.c5.xlarge"))
    assert "20 photos a second and instance are assumed" in other.summary
