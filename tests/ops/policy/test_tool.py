"""A program of PyPI's is installed at its first use: whole or not at all, and once."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

import pytest

from ml.errors import KennelError
from ops.policy import tool as tools
from ops.policy.tool import Tool

LOCK = "# what it needs\nother==1.0\nscanner==2.3\n"


class FakePip(Tool):
    """A tool whose pip writes a line into `installed`, beside the lock file, and is done."""

    program = "installed.open('a').write('once\\n')"

    def _pip(self) -> list[str]:
        installed = self.lock.parent / "installed"
        return [
            sys.executable,
            "-c",
            f"import pathlib, time; installed = pathlib.Path({str(installed)!r}); {self.program}",
        ]


@pytest.fixture
def tool(tmp_path: Path) -> FakePip:
    lock = tmp_path / "requirements.txt"
    lock.write_text(LOCK)
    return FakePip("scanner", lock, "go without", tmp_path / "tools")


def installations(tool: Tool) -> int:
    file = tool.lock.parent / "installed"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_it_is_installed_once_with_an_interpreter_of_its_own(tool: FakePip) -> None:
    assert tool.ensure().exists()
    assert tool.ensure().is_relative_to(tool.directory)
    assert installations(tool) == 1
    assert tool.version == "2.3"


def test_another_lock_file_makes_another_installation_and_the_old_one_goes(tool: FakePip) -> None:
    old = tool.ensure()
    tool.lock.write_text(LOCK.replace("2.3", "2.4"))
    assert tool.ensure() != old
    assert not old.exists()
    assert installations(tool) == 2


def test_what_a_killed_installation_left_is_thrown_away(tool: FakePip) -> None:
    tool.ensure()
    (tool.directory / ".complete").unlink()
    (tool.directory / "half").write_text("written")
    tool.ensure()
    assert not (tool.directory / "half").exists()
    assert installations(tool) == 2


def test_two_at_a_time_wait_for_each_other(tool: FakePip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakePip, "program", "time.sleep(0.2); installed.open('a').write('once\\n')")
    threads = [threading.Thread(target=tool.ensure) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert installations(tool) == 1
    assert (tool.directory / ".complete").is_file()


def test_a_failure_of_pip_names_what_it_said_and_the_way_without(
    tool: FakePip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakePip, "program", "print('no matching distribution'); raise SystemExit(1)")
    with pytest.raises(KennelError) as refused:
        tool.ensure()
    assert refused.value.rule.startswith("The plan is checked by scanner, which pip could not install (log: ")
    assert refused.value.received == "no matching distribution"
    assert (
        refused.value.remedy == "Check the connection to the package index and run it again, or go without."
    )
    assert not (tool.directory / ".complete").exists()


def test_a_pip_that_hangs_is_given_up(tool: FakePip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakePip, "program", "time.sleep(60)")
    monkeypatch.setattr(tools, "SECONDS", 0.3)
    with pytest.raises(KennelError, match=re.escape("pip was not done after 0.3 s")):
        tool.ensure()


def test_without_room_nothing_is_begun(tool: FakePip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "FREE_BYTES", 1 << 62)
    with pytest.raises(KennelError, match="needs 1 GB of free disk"):
        tool.ensure()
    assert installations(tool) == 0


def test_our_pip_installs_exactly_what_is_locked_into_the_others_environment(tool: FakePip) -> None:
    command = Tool._pip(tool)
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert command[command.index("--python") + 1] == str(tool.python)
    assert {"--no-deps", "--no-input"} < set(command)
    assert command[-2:] == ["-r", str(tool.lock)]


def test_the_lock_file_of_the_scanner_pins_everything() -> None:
    lines = (tools.Path(tools.__file__).with_name("requirements.txt")).read_text().splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in packages)
    assert len(packages) > 50
