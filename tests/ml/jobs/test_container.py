from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ml import artifact
from ml.config import ConfigError, TrainConfig
from ml.jobs import container
from ml.jobs.container import ContainerError, Place
from ml.jobs.worker import Spec

ROOT = Path(__file__).resolve().parents[3]


def lay_out(
    base: Path, *, hyperparameters: dict[str, str] | None = None, hosts: int = 1, current: int = 1
) -> Path:
    """The folders as a training job gets them."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    names = [f"algo-{number}" for number in range(1, hosts + 1)]
    documents: dict[str, Any] = {
        "hyperparameters": hyperparameters or {},
        "resourceconfig": {
            "hosts": names,
            "current_host": names[current - 1],
            "network_interface_name": "eth0",
        },
        "inputdataconfig": {},
    }
    for name, document in documents.items():
        (config / f"{name}.json").write_text(json.dumps(document))
    (base / "input" / "data" / "code").mkdir(parents=True)
    (base / "output").mkdir()
    return base


def test_settings_are_json_or_plain_text_as_a_tuning_job_writes_them(tmp_path: Path) -> None:
    told = {
        "epochs": "7",
        "weight_decay": "null",
        "head": '"two-layer"',
        "augment": "light",
        "learning_rate": "0.0003162",
        "batch_size": "32",
        "_tuning_objective_metric": "valid:best_loss",
    }
    spec, _ = container.read(lay_out(tmp_path, hyperparameters=told), {})
    assert spec.config == TrainConfig(
        epochs=7, head="two-layer", augment="light", learning_rate=0.0003162, batch_size=32
    )


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    base = lay_out(tmp_path, hyperparameters={"learning_rat": "0.1"})
    with pytest.raises(ConfigError, match=r"learning_rat[\s\S]*learning_rate"):
        container.read(base, {})


def test_photos_and_weights_come_as_channels(tmp_path: Path) -> None:
    base = lay_out(tmp_path, hyperparameters={"backbone": '"torchvision/resnet50"'})
    data, weights = base / "input" / "data" / "data", base / "input" / "data" / "weights"
    (data / "cat").mkdir(parents=True)
    weights.mkdir()
    (data / "cat" / "1.jpg").write_bytes(b"")
    (weights / "mine.safetensors").write_bytes(b"")
    spec, _ = container.read(base, {})
    assert spec.config.data == str(data)
    assert spec.config.weights == str(weights / "mine.safetensors")


def test_without_photos_it_trains_on_the_digits(tmp_path: Path) -> None:
    assert container.read(lay_out(tmp_path), {})[0].config.data is None


def test_what_makes_an_interrupted_job_go_on_lies_below_the_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    spec, _ = container.read(lay_out(tmp_path), {"TRAINING_JOB_NAME": "kennel-dev-1"})
    assert spec.checkpoints is not None
    assert spec.checkpoints.parent == tmp_path / "checkpoints" / "training"
    assert spec.work_dir == tmp_path / "checkpoints" / "work"
    assert spec.resume


def test_jobs_of_other_settings_begin_afresh_at_the_same_checkpoint_location(tmp_path: Path) -> None:
    folders = []
    for number, told in enumerate(({"epochs": "3"}, {"epochs": "4"}, {"epochs": "3", "device": '"cpu"'})):
        base = lay_out(tmp_path / str(number), hyperparameters=told)
        (base / "checkpoints").mkdir()
        checkpoints = container.read(base, {"TRAINING_JOB_NAME": f"kennel-dev-{number}"})[0].checkpoints
        assert checkpoints is not None
        folders.append(checkpoints.name)
    assert folders[0] == folders[2] != folders[1]


def test_trials_share_features_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    told = {"_tuning_objective_metric": "valid:best_loss"}
    base = lay_out(tmp_path, hyperparameters=told)
    specs = [container.read(base, {"TRAINING_JOB_NAME": name})[0] for name in ("tune-001-a", "tune-002-b")]
    assert specs[0].work_dir == specs[1].work_dir
    assert specs[0].checkpoints != specs[1].checkpoints


def test_without_a_checkpoint_location_nothing_is_resumed(tmp_path: Path) -> None:
    spec, _ = container.read(lay_out(tmp_path), {})
    assert spec.checkpoints is None
    assert not spec.resume


def test_the_first_instance_is_the_master_unless_the_environment_names_one(tmp_path: Path) -> None:
    base = lay_out(tmp_path, hosts=2, current=2)
    place = container.read(base, {})[1]
    assert (place.rank, place.master, place.interface) == (1, ("algo-1", 7777), "eth0")
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "4321"}
    assert container.read(base, told)[1].master == ("127.0.0.1", 4321)


def test_a_number_in_the_environment_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="KENNEL_PROCESSES is a whole number"):
        container.read(lay_out(tmp_path), {"KENNEL_PROCESSES": "two"})


def test_one_process_needs_no_torchrun(tmp_path: Path) -> None:
    place = Place(("algo-1",), "algo-1", None, 1, ("algo-1", 7777))
    assert container.command(place, tmp_path / "s.json") == [
        sys.executable, "-m", "ml.jobs.worker", str(tmp_path / "s.json"),
    ]  # fmt: skip


def test_each_instance_starts_its_processes_as_a_node_of_one_group(tmp_path: Path) -> None:
    place = Place(("algo-1", "algo-2"), "algo-2", "eth0", 4, ("algo-1", 7777))
    command = container.command(place, tmp_path / "s.json")
    assert command[1:3] == ["-m", "ml.launch"]
    assert {
        "--nnodes=2", "--node-rank=1", "--nproc-per-node=4", "--master-addr=algo-1", "--master-port=7777",
    } <= set(command)  # fmt: skip


def test_a_container_without_configuration_says_what_it_is_for(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match=r"hyperparameters in .*hyperparameters\.json"):
        container.read(tmp_path, {})


def finished_run(base: Path) -> tuple[Spec, Path]:
    """A run as the worker leaves it, with an archive of the right names."""
    spec = Spec(TrainConfig(), base / "runs", base / "work", None, False, base / "result.json")
    run_dir = spec.runs_dir / "20261123T010203-000004"
    content = base / "content"
    for name in ("manifest.json", "model.safetensors", "model.xml", "model.bin", "golden.png"):
        content.mkdir(exist_ok=True)
        (content / name).write_bytes(name.encode())
    (content / "code").mkdir()
    for name in ("inference.py", "guarded_fetch.py"):
        (content / "code" / name).write_bytes(name.encode())
    run_dir.mkdir(parents=True)
    sha256 = artifact.repack(content, run_dir / artifact.ARCHIVE)
    for name in ("report.html", "metrics.json", "config.json", artifact.RUN_WEIGHTS):
        (run_dir / name).write_text(name)
    spec.result.write_text(
        json.dumps({"run_dir": str(run_dir), "archive": str(run_dir / artifact.ARCHIVE), "sha256": sha256})
    )
    return spec, content


def test_a_finished_run_lies_where_sagemaker_takes_it_from(tmp_path: Path) -> None:
    spec, content = finished_run(tmp_path)
    container.deliver(spec, tmp_path)
    model = {path.relative_to(tmp_path / "model") for path in (tmp_path / "model").rglob("*")}
    assert model == {path.relative_to(content) for path in content.rglob("*")}
    output = {path.name for path in (tmp_path / "output" / "data").iterdir()}
    assert output == {"report.html", "metrics.json", "config.json", "model.sha256", "run.json"}
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "../output/data/model.sha256"], cwd=tmp_path / "model", check=True
    )


def run(base: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ml.jobs.container"],
        cwd=ROOT,
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_failure_is_told_with_rule_value_and_remedy(tmp_path: Path) -> None:
    process = run(lay_out(tmp_path, hyperparameters={"epochs": "0"}))
    assert process.communicate(timeout=60)[1].startswith("error: epochs must be")
    assert process.returncode == 1
    failure = (tmp_path / "output" / "failure").read_text()
    assert failure.startswith("epochs must be a whole number")
    assert "Received: 0" in failure
    assert "Remedy: " in failure


def test_a_failure_of_the_container_itself_is_told_too(tmp_path: Path) -> None:
    base = lay_out(tmp_path)
    (base / "work").write_text("a file where there must be a folder")
    process = run(base)
    assert "FileExistsError" in process.communicate(timeout=60)[1]
    assert (tmp_path / "output" / "failure").read_text().startswith("FileExistsError: ")


def worker(folder: Path, text: str) -> str:
    """A folder in which `ml.jobs.worker` is replaced, to be put first on the path of the workers alone."""
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return Spec(TrainConfig(), tmp_path / "runs", tmp_path / "work", None, False, tmp_path / "result.json")


ALONE = Place(("algo-1",), "algo-1", None, 1, ("algo-1", 7777))


def test_a_worker_that_breaks_a_rule_fails_the_job_with_it(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = json.dumps({"error": {"rule": "Photos exist", "received": "none", "remedy": "add some"}})
    monkeypatch.setattr(sys, "executable", worker(tmp_path, f"echo '{error}' > {spec.result}; exit 1"))
    with pytest.raises(ContainerError, match="Photos exist\nReceived: none\nRemedy: add some"):
        container.train(spec, ALONE, tmp_path)


def test_a_worker_that_crashes_fails_the_job_with_its_error(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = "Traceback\\n  a line\\nRuntimeError: the GPU is gone\\nand more"
    monkeypatch.setattr(sys, "executable", worker(tmp_path, f"printf '{said}\\n' >&2; exit 3"))
    with pytest.raises(ContainerError, match="exit code 3: RuntimeError: the GPU is gone"):
        container.train(spec, ALONE, tmp_path)
    assert "and more" in capfd.readouterr().err  # the log has all of it


def test_a_worker_that_was_killed_is_told_to_have_had_too_little_memory(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", worker(tmp_path, "kill -9 $$"))
    with pytest.raises(ContainerError, match="want of memory"):
        container.train(spec, ALONE, tmp_path)


def test_a_container_that_is_stopped_stops_its_workers_and_tells_no_failure(tmp_path: Path) -> None:
    base = lay_out(tmp_path / "ml")
    script = worker(tmp_path, "trap 'kill $!; echo stopped; exit 143' TERM; echo begun; sleep 60 & wait")
    code = f"import sys; from ml.jobs import container; sys.executable = {script!r}; container.main()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base), "KENNEL_PROCESSES": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "begun\n" in iter(process.stdout.readline, "")  # reads up to it
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "stopped\n"
    assert process.returncode == 128 + signal.SIGTERM
    assert not (base / "output" / "failure").exists()
