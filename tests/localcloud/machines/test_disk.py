"""What stands for a machine's disk, and the commands that must never reach this computer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcloud.machines.disk import POWER_COMMANDS, Disk

POWER = Path(__file__).parents[3] / "localcloud" / "machines" / "power.sh"


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    disk = Disk(tmp_path / "i-1")
    disk.make()
    return disk


def run(disk: Disk, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a machine does."""
    return subprocess.run(
        ["/bin/sh", "-c", disk.own(script)],
        env=disk.environment(), capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


@pytest.mark.parametrize("folder", ["", "/sbin/", "/usr/sbin/", "/usr/bin/", "/bin/", "/usr/local/sbin/"])
@pytest.mark.parametrize("command", POWER_COMMANDS)
def test_no_way_to_name_a_command_leads_to_this_computers_own(disk: Disk, folder: str, command: str) -> None:
    found = run(disk, f"command -v {folder}{command}").stdout.strip()
    assert found == str(disk.folder / "usr" / "sbin" / command)
    assert Path(found).read_bytes() == POWER.read_bytes()


def test_the_stand_in_itself_starts_nothing_but_what_a_shell_needs() -> None:
    script = re.sub(r"#.*", "", POWER.read_text())
    assert set(re.findall(r"(?:^|[\s(;&|])(/\S+)", script)) == set()  # no program by its place
    assert re.findall(r"\bexec (\S+)", script) == ['"$own"', '"$@"']  # sudo: a stand-in, or what has none


def test_the_stand_in_is_sound_shell() -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, POWER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("script", "what", "seconds"),
    [
        ("shutdown -h now", "off", 0),
        ("shutdown", "off", 60),
        ("shutdown -P +5 good night", "off", 300),
        ("shutdown -r now", "reboot", 0),
        ("/sbin/shutdown -h +0", "off", 0),
        ("sudo shutdown now", "off", 0),
        ("sudo -n /usr/sbin/poweroff", "off", 0),
        ("reboot", "reboot", 0),
        ("shutdown +10; shutdown now", "off", 0),
    ],
)
def test_a_machine_asks_to_be_switched_off(disk: Disk, script: str, what: str, seconds: int) -> None:
    before = int(time.time())
    done = run(disk, script)
    assert done.returncode == 0, done.stderr
    due = float((disk.folder / "power").read_text().split()[1])
    assert before + seconds <= due <= time.time() + seconds
    assert disk.take_power_request(due - 0.1) is None
    assert disk.take_power_request(due) == what
    assert disk.take_power_request(due) is None  # once


def test_a_shutdown_can_be_called_off(disk: Disk) -> None:
    assert run(disk, "shutdown +5 && shutdown -c").returncode == 0
    assert disk.take_power_request(time.time() + 1e6) is None


@pytest.mark.parametrize(
    "script",
    [
        "env -i shutdown now",
        "env -i sh -c 'shutdown now'",
        'bash -lc "shutdown now"',
        "PATH=/usr/sbin:/usr/bin:/bin; shutdown now",
        "trap 'shutdown now' EXIT; PATH=/bin",
        "PATH=/bin\nif true; then shutdown now; fi",
        "(PATH=/bin; shutdown now)",
        "PATH=/bin; true && shutdown now",
        "exec env -i /sbin/shutdown now",
    ],
)
def test_a_script_that_resets_the_path_finds_the_stand_in_all_the_same(disk: Disk, script: str) -> None:
    replaced = disk.own(script).count(f"{disk.folder}/usr/sbin/shutdown now")
    assert replaced == script.count("shutdown now") == 1
    run(disk, script)
    assert disk.take_power_request(time.time()) == "off"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("shutdown 23:15", "shutdown: the embedded machine knows now and +minutes, not 23:15\n"),
        ("systemctl poweroff", "systemctl: the embedded machine has no system for it\n"),
        ("dnf install -y gcc", "dnf: the embedded machine has no system for it\n"),
        (
            "sudo -u nobody id",
            "sudo: the embedded machine knows sudo [-n] [-E] [-H] command, not -u nobody id\n",
        ),
    ],
)
def test_what_it_cannot_do_fails_and_says_so(disk: Disk, script: str, said: str) -> None:
    done = run(disk, script)
    assert (done.returncode, done.stderr) == (1, said)
    assert disk.take_power_request(time.time() + 1e6) is None


def test_sudo_runs_other_commands_as_they_are(disk: Disk) -> None:
    assert run(disk, "sudo -E echo as root").stdout == "as root\n"


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("cd /opt/kennel && ls", "cd {}/opt/kennel && ls"),
        ('cat "/var/log/kennel-setup.log"', 'cat "{}/var/log/kennel-setup.log"'),
        ("x=/tmp;y=/root", "x={}/tmp;y={}/root"),
        ("--dir=/opt", "--dir={}/opt"),
        ("s3://bucket/opt/kennel ../opt /usr/bin/env /optical $HOME/tmp", None),
        ("echo on shutdown, reboot or halt; cat shutdown.log", None),
        ("https://example.com/var/log ${HOME}/opt ~/tmp a-/tmp", None),
    ],
)
def test_only_paths_of_the_machines_own_folders_are_rewritten(disk: Disk, text: str, own: str | None) -> None:
    assert disk.own(text) == (text if own is None else own.replace("{}", str(disk.folder)))


def test_the_image_holds_python_and_what_the_project_needs(disk: Disk) -> None:
    done = run(
        disk,
        "cat /opt/kennel/status; /opt/kennel/venv/bin/python -c 'import sys; print(sys.prefix)'; echo $HOME",
    )
    status, prefix, home = done.stdout.split()
    assert (status, home) == ("ready", str(disk.home))
    assert os.path.realpath(prefix) == os.path.realpath(sys.prefix)
