"""The whole loop, typed as a person types it, in a copy of the project with an embedded cloud of its own."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import control
from ops.terraform import Running
from tests.clients import clients
from tests.project_copy import plain_environment, project_copy
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.cloud, pytest.mark.terraform]

DEADLINE = 540  # seconds a task may take on a loaded machine
LEGACY_NAME = "p4-dog-breed-classification"


class Project:
    """A copy of the source tree, and the tasks in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = plain_environment() | {"TF_CLI_CONFIG_FILE": str(self.root / "no-such-file")}
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", "--search-root", str(self.root), *arguments],
            cwd=self.root, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def inv(self, *arguments: str, fails: bool = False) -> str:
        """Run a task to its end; return what it printed, or what it complained of where it should fail."""
        process = self.start(*arguments)
        out, errors = process.communicate(timeout=DEADLINE)
        good = {0, 2, 3} if arguments[0] == "plan" else {0}  # a plan tells what it holds
        assert (process.returncode not in good) == fails, (
            f"inv {' '.join(arguments)} → {process.returncode}\n{out}\n{errors}"
        )
        assert "Traceback" not in errors
        return errors if fails else out

    @property
    def cloud(self) -> control.CloudInfo:
        found = control.status(self.root / ".kennel" / "cloud")
        assert found is not None
        return found

    def client(self, service: str) -> Any:
        return clients(self.cloud)(service)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project_copy(tmp_path_factory.mktemp("loop") / "kennel") as root:
        yield Project(root)


@pytest.fixture
def trained(project: Project) -> Project:
    """With a model to apply, also where the tests above have not run."""
    if not (project.root / "terraform" / "stages" / "local.model.tfvars.json").exists():
        project.inv("train")
    return project


def digit(project: Project, name: str) -> Path:
    """A picture of the digit from the test split that `up` wrote."""
    return next(path for path in sorted((project.root / ".kennel").rglob(f"test/{name}/*.png")))


def test_up_trains_deploys_and_answers(project: Project) -> None:
    out = project.inv("up")
    assert "golden photo   answered right" in out


def test_a_second_plan_changes_nothing(project: Project) -> None:
    assert project.inv("plan", "--no-scan").startswith("Nothing changes")


def test_status_shows_what_is_live(project: Project) -> None:
    out = project.inv("status")
    assert "kennel-local: InService" in out
    assert json.loads(project.inv("status", "--json"))["wrong"] == []


def test_predict_walks_a_folder_and_prints_only_json(project: Project) -> None:
    folder = digit(project, "3").parent
    lines = [
        json.loads(line) for line in project.inv("predict", "--image", str(folder), "--json").splitlines()
    ]
    assert [line["image"] for line in lines] == [str(path) for path in sorted(folder.iterdir())]
    assert set(lines[0]) == {"image", "label", "name", "probability", "top"}
    right = sum(line["label"] == 3 for line in lines)
    assert right >= 0.8 * len(lines)


def test_predict_prints_what_the_replaced_workflows_event_gets(project: Project) -> None:
    assert project.inv("predict", "--image", str(digit(project, "7")), "--raw").strip() == "[7]"


def test_the_replaced_workflows_event_is_answered_through_boto3(project: Project) -> None:
    import base64

    image = base64.b64encode(digit(project, "7").read_bytes()).decode()
    inner = json.dumps({"image": image})
    for request in (inner, json.dumps(inner)):
        event = {"endpoint_name": LEGACY_NAME, "request_dict": request}
        answer = project.client("lambda").invoke(
            FunctionName="kennel-local-classify", Payload=json.dumps(event)
        )
        assert json.loads(answer["Payload"].read()) == [7]


def test_the_endpoint_answers_bytes_with_a_row_of_scores(project: Project) -> None:
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="kennel-local", ContentType="image/png", Body=digit(project, "7").read_bytes()
    )
    scores = json.loads(answer["Body"].read())
    assert len(scores) == 1
    assert max(range(10), key=scores[0].__getitem__) == 7


def test_a_photo_that_is_none_is_told_and_stops_nothing(project: Project, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    shutil.copy(digit(project, "1"), tmp_path / "b.png")
    process = project.start("predict", "--image", str(tmp_path), "--json")
    out, errors = process.communicate(timeout=DEADLINE)
    first, second = (json.loads(line) for line in out.splitlines())
    assert "error" in first
    assert second["label"] == 1
    assert process.returncode == 1
    assert "1 of 2 photos got no answer" in errors


def test_a_saved_plan_is_not_applied_when_its_inputs_have_changed(project: Project) -> None:
    variables = project.root / "terraform" / "stages" / "local.tfvars"
    before = variables.read_text()
    variables.write_text(before + '\ntags = { owner = "somebody" }\n')
    assert "to update" in project.inv("plan", "--no-scan")
    variables.write_text(before)
    assert "Only the plan that was reviewed is applied." in project.inv("apply", "--yes", fails=True)
    assert project.inv("plan", "--no-scan").startswith("Nothing changes")


def test_without_a_terminal_to_ask_on_nothing_is_destroyed(project: Project) -> None:
    assert "Add --yes" in project.inv("destroy", fails=True)


def test_a_photo_is_fetched_by_its_url(project: Project) -> None:
    photo = digit(project, "7")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(photo.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{photo.name}"
        event = {"endpoint_name": LEGACY_NAME, "request_dict": json.dumps({"url": url})}
        client = project.client("lambda")
        answer = client.invoke(
            FunctionName="kennel-local-classify", Qualifier="live", Payload=json.dumps(event)
        )
        assert json.loads(answer["Payload"].read()) == [7]
        assert json.loads(project.inv("predict", "--image", url, "--json"))["name"] == "7"
        server.shutdown()


def test_destroy_leaves_nothing(project: Project) -> None:
    assert project.inv("destroy", "--yes").strip() == "Nothing is left in the stage local."
    assert project.client("s3").list_buckets()["Buckets"] == []
    assert project.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert project.client("logs").describe_log_groups()["logGroups"] == []
    roles = project.client("iam").list_roles()["Roles"]
    assert [role["RoleName"] for role in roles if role["RoleName"].startswith("kennel")] == []


@pytest.mark.long
def test_an_apply_whose_terraform_is_killed_is_repaired_by_the_next(trained: Project) -> None:
    project = trained
    project.inv("plan", "--no-scan")
    task = project.start("apply", "--yes")
    wait_for(lambda: log_says(project, "apply_complete", "aws_iam_role."), "a role is made", DEADLINE)
    kill_terraform(project)
    _, errors = task.communicate(timeout=DEADLINE)
    assert task.returncode == 1
    assert "Traceback" not in errors

    again = project.start("apply", "--yes")
    out, errors = again.communicate(timeout=DEADLINE)
    assert again.returncode == 0, errors
    assert "did not finish. It had made, and not recorded:" in errors
    assert "Released the state lock" in errors
    assert "golden photo   answered right" in out


@pytest.mark.long
def test_an_update_whose_terraform_is_killed_is_finished_by_the_next_apply(trained: Project) -> None:
    project = trained
    project.inv("plan", "--no-scan")
    project.inv("apply", "--yes")
    project.inv("train", "--seed", "1")
    project.inv("plan", "--no-scan", "--force")
    task = project.start("apply", "--yes")
    wait_for(
        lambda: log_says(project, "apply_start", "aws_sagemaker_endpoint.this"),
        "the endpoint is updated",
        DEADLINE,
    )
    kill_terraform(project)
    task.communicate(timeout=DEADLINE)
    assert task.returncode == 1

    again = project.start("apply", "--yes", "--force")
    out, errors = again.communicate(timeout=DEADLINE)
    assert again.returncode == 0, errors
    assert "did not finish" in errors
    assert "golden photo   answered right" in out
    assert project.inv("plan", "--no-scan").startswith("Nothing changes")


@pytest.mark.long
def test_an_apply_that_is_killed_is_finished_by_terraform_and_the_next_apply_agrees(trained: Project) -> None:
    project = trained
    project.inv("destroy", "--yes")
    project.inv("plan", "--no-scan")
    task = project.start("apply", "--yes")
    wait_for(lambda: log_says(project, "apply_complete", "aws_iam_role."), "a role is made", DEADLINE)
    task.kill()
    task.communicate(timeout=DEADLINE)
    assert "One terraform at a time works on a stage." in project.inv("apply", "--yes", fails=True)

    record = project.root / ".kennel" / "stages" / "local" / "terraform.running.json"
    running = Running(**json.loads(record.read_text()))
    wait_for(lambda: not running.is_alive, "terraform has ended", DEADLINE)
    out = project.inv("apply", "--yes")
    assert out.startswith("Nothing changes")
    assert "golden photo   answered right" in out


@pytest.mark.long
def test_an_apply_whose_cloud_is_killed_starts_anew(trained: Project) -> None:
    project = trained
    project.inv("destroy", "--yes")
    project.inv("plan", "--no-scan")
    task = project.start("apply", "--yes")
    wait_for(lambda: log_says(project, "apply_complete", "aws_iam_role."), "a role is made", DEADLINE)
    os.kill(project.cloud.pid, signal.SIGKILL)
    _, errors = task.communicate(timeout=DEADLINE)
    assert task.returncode == 1
    assert "The embedded cloud ended while Terraform was at work." in errors

    again = project.start("apply", "--yes")
    out, errors = again.communicate(timeout=DEADLINE)
    assert again.returncode == 0, errors
    assert "starting anew" in errors
    assert "golden photo   answered right" in out


def kill_terraform(project: Project) -> None:
    record = project.root / ".kennel" / "stages" / "local" / "terraform.running.json"
    os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)


def log_says(project: Project, kind: str, address: str) -> bool:
    log = project.root / ".kennel" / "stages" / "local" / "terraform.jsonl"
    return log.is_file() and any(
        f'"{kind}"' in line and address in line for line in log.read_text().splitlines()
    )
