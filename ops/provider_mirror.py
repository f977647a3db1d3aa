"""Finds the AWS provider on this machine, so that Terraform works where its registry cannot be reached.

Terraform takes its installation rules from one CLI configuration file, and a file named by TF_CLI_CONFIG_FILE
that does not exist is only a warning to it. The tasks therefore always name a file of their own: with the mirror
that was found, and with the registry for the rest.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ml.errors import KennelError

PROVIDER = Path("registry.terraform.io") / "hashicorp" / "aws"
SYSTEM_PREFIXES = ("/opt", "/usr/local", "/usr/share", "/usr/lib", "/srv", "/var/lib")
SEARCH_DEPTH = (
    3  # directories below a system prefix: /opt/terraform/providers/mirror is the deepest usual one
)
SEARCH_LIMIT = 20_000  # directories looked at in all, so that an unusual disk cannot hold a plan up


def implied_directories(home: Path, environment: Mapping[str, str], platform: str) -> list[Path]:
    """Terraform's implied local mirrors, in its order.

    Source: https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories
    """
    if platform == "darwin":
        data = [
            home / "Library/Application Support/io.terraform",
            Path("/Library/Application Support/io.terraform"),
        ]
    else:
        user_data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
        system = (environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
        data = [user_data / "terraform", *(Path(entry) / "terraform" for entry in system if entry)]
    return [home / ".terraform.d/plugins", *(directory / "plugins" for directory in data)]


def holds_provider(mirror: Path) -> bool:
    """Whether the directory is a mirror that holds the AWS provider, packed or unpacked."""
    provider = mirror / PROVIDER
    return provider.is_dir() and any(provider.iterdir())


@functools.cache
def search(prefixes: tuple[str, ...]) -> Path | None:
    """Look for a mirror below the system prefixes, nearest first."""
    level = [Path(prefix) for prefix in prefixes if Path(prefix).is_dir()]
    looked = 0
    for _ in range(SEARCH_DEPTH + 1):
        below: list[Path] = []
        for directory in level:
            looked += 1
            if looked > SEARCH_LIMIT:
                return None
            try:
                if holds_provider(directory):
                    return directory
                below += sorted(
                    Path(e.path) for e in os.scandir(directory) if e.is_dir(follow_symlinks=False)
                )
            except OSError:
                continue  # a directory that may not be read holds no mirror for us
        level = below
    return None


def find(explicit: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the mirror to use, or None for the registry.

    Raises:
        KennelError: the explicitly named directory holds no AWS provider.
    """
    if explicit is not None:
        if not holds_provider(explicit):
            raise KennelError(
                f"A provider mirror holds {PROVIDER}.",
                explicit,
                "Correct KENNEL_PROVIDER_MIRROR, or unset it.",
            )
        return explicit
    for directory in implied_directories(Path.home(), environment, sys.platform):
        if holds_provider(directory):
            return directory
    return search(SYSTEM_PREFIXES)


def users_configuration(environment: Mapping[str, str] = os.environ) -> str:
    """Return the text of the person's own CLI configuration, empty where there is none."""
    named = environment.get("TF_CLI_CONFIG_FILE") or environment.get("TERRAFORM_CONFIG")
    file = Path(named) if named else Path.home() / ".terraformrc"
    return file.read_text() if file.is_file() else ""


def cli_configuration(mirror: Path | None, users_text: str, *, explicit: bool = False) -> str:
    """Return the text of the CLI configuration: the person's own, with the mirror added unless it has its rules."""
    if mirror is None or ("provider_installation" in users_text and not explicit):
        return users_text
    if explicit:
        users_text = (
            ""  # a mirror that was named comes before the person's own rules; Terraform takes one set
        )
    pattern = '["registry.terraform.io/hashicorp/aws"]'
    return (
        f"{users_text}\nprovider_installation {{\n"
        f'  filesystem_mirror {{\n    path    = "{mirror}"\n    include = {pattern}\n  }}\n'
        f"  direct {{\n    exclude = {pattern}\n  }}\n"
        "}\n"
    )
