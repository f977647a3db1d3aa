"""The folder that stands for an instance's disk, and its content at the first boot: the machine image.

The paths that a machine has of its own are rewritten in scripts to lead into the folder; programs that a script starts
see this machine's file system.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

_POWER = Path(__file__).with_name("power.sh")
# On the machine's PATH before everything else, and whatever folder a script names them in.
POWER_COMMANDS = (
    "shutdown", "poweroff", "halt", "reboot", "sudo",
    "systemctl", "systemd-run", "init", "telinit", "loginctl", "dbus-send", "busctl", "dnf", "yum",
)  # fmt: skip
_COMMANDS = "|".join(map(re.escape, POWER_COMMANDS))
_BEGINNING = r"(?<![\w.~/\-$}])"  # not in the middle of a longer path
# Also by its bare name, where a command stands: a login shell or `env -i` would look for it on another PATH.
_BARE = re.compile(
    rf"(?m)(^[ \t]*|[;&|({{`'\"!][ \t]*|(?<![\w-])(?:then|do|else|exec|nohup|command|sudo|env|-i)[ \t]+)"
    rf"({_COMMANDS})(?=$|[\s;&|)}}'\"`])"
)
_SYSTEM = re.compile(rf"{_BEGINNING}(?:/usr)?(?:/local)?/s?bin/({_COMMANDS})(?![\w\-.])")
_OWN = re.compile(rf"{_BEGINNING}/(?:opt|var|root|home|srv|tmp|mnt|sbin|usr/sbin)(?![\w\-.])")


class Disk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def home(self) -> Path:
        return self.folder / "root"

    def make(self) -> None:
        """Nothing happens to a disk that is there."""
        if self.folder.exists():
            return
        for name in ("root", "tmp", "usr/sbin", "var/log", "opt/kennel"):
            (self.folder / name).mkdir(parents=True)
        for name in POWER_COMMANDS:
            shutil.copy(_POWER, self.folder / "usr" / "sbin" / name)
        # In place of user data, which would install it: the Python that runs this cloud.
        (self.folder / "opt" / "kennel" / "venv").symlink_to(sys.prefix)
        (self.folder / "opt" / "kennel" / "status").write_text("ready\n", encoding="utf-8")

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def own(self, text: str) -> str:
        """The text with the machine's own paths made those of this disk."""
        text = _BARE.sub(r"\1/usr/sbin/\2", text)
        text = _SYSTEM.sub(r"/usr/sbin/\1", text)
        return _OWN.sub(lambda match: f"{self.folder}{match[0]}", text)

    def environment(self) -> dict[str, str]:
        path = [
            self.folder / "usr" / "sbin",
            self.folder / "opt" / "kennel" / "venv" / "bin",
            "/usr/local/bin",
            "/usr/bin",
            "/bin",
        ]
        return {
            "PATH": ":".join(map(str, path)),
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def take_power_request(self, now: float) -> str | None:
        """`off` or `reboot`, once its time has come; it is asked once."""
        file = self.folder / "power"
        try:
            what, when = file.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return None
        if now < float(when):
            return None
        file.unlink(missing_ok=True)
        return what

    def forget_power_request(self) -> None:
        (self.folder / "power").unlink(missing_ok=True)
