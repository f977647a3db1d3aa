from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops import bootstrap
from ops.paths import ROOT


def test_without_a_new_enough_python_one_line_says_so(tmp_path: Path) -> None:
    for program in ("dirname", "sh"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}" if program == "dirname" else "/bin/sh")
    done = subprocess.run(
        [str(ROOT / "inv"), "--list"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("inv: Python 3.11 or newer is needed")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own with one requirement that needs no index: none at all."""
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    for name, value in {
        "ROOT": tmp_path, "VENV": tmp_path / ".venv", "REQUIREMENTS": tmp_path / "requirements.txt",
        "STAMP": tmp_path / ".venv" / ".installed-from",
    }.items():  # fmt: skip
        monkeypatch.setattr(bootstrap, name, value)
    return tmp_path


def test_the_set_up_is_done_once_and_again_when_the_requirements_change(project: Path) -> None:
    assert not bootstrap.is_current()
    bootstrap.install()
    assert bootstrap.is_current()
    (project / "requirements.txt").write_text("# nothing else\n")
    assert not bootstrap.is_current()


def test_a_set_up_that_was_killed_is_done_again(project: Path) -> None:
    bootstrap.install()
    (project / ".venv" / ".installed-from").unlink()  # what a kill before the end leaves
    assert not bootstrap.is_current()
    bootstrap.install()
    assert bootstrap.is_current()


def test_a_package_that_cannot_be_installed_ends_with_the_reason(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "requirements.txt").write_text("kennel-no-such-package==1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SystemExit, match="pip could not install the pinned packages"):
        bootstrap.install()
    assert "No matching distribution found" in capfd.readouterr().err
    assert not bootstrap.is_current()


def test_a_full_disk_is_told_before_anything_is_downloaded(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "MINIMUM_FREE_BYTES", 2**70)
    with pytest.raises(SystemExit, match="the set-up needs 8 GB of free disk"):
        bootstrap.install()
    assert [entry.name for entry in project.iterdir()] == ["requirements.txt"]
