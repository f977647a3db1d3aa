"""The checks and the tests, as `./inv check` and `./inv test` run them, here and in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ml.errors import KennelError
from ops import browser, terraform
from ops.ci import workflows
from ops.paths import ROOT, TERRAFORM, WORK
from ops.settings import Settings

_WORKERS = 4  # at most: each has an embedded cloud of its own


def run_tests(only: str | None, *, fast: bool, long: bool) -> int:
    """Run pytest; return its exit code. Nothing of the caller's AWS settings reaches a test.

    The tests marked `long` run when they alone are asked for, and when `only` names a file of theirs.
    """
    if fast and long:
        raise KennelError("--fast and --long exclude each other.", None, "Choose one.")
    terraform.version()
    if only is None or "console" in only:
        browser.ensure(lambda text: print(text, file=sys.stderr, flush=True))
    arguments = [sys.executable, "-m", "pytest"]
    if fast:
        arguments += ["-m", "not slow and not long"]
    elif long or only is None:
        arguments += ["-m", "long" if long else "not long"]
    if only is not None:
        arguments += [only] if (ROOT / only.partition("::")[0]).exists() else ["-k", only]
    elif not long:  # the long ones count on the machine, and starting workers takes seconds
        arguments += ["--numprocesses", str(min(os.cpu_count() or 1, _WORKERS)), "--dist", "loadfile"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KENNEL_STAGE"))
    }
    return subprocess.run(arguments, cwd=ROOT, env=environment, check=False).returncode


def run_checks() -> int:
    """Run ruff, mypy, what looks at the workflows, and Terraform's format and validation; return 0 when all pass."""
    terraform.version()
    python = [sys.executable, "-m"]
    environment = terraform.cli_environment(os.environ, Settings.read().provider_mirror)
    failures = [
        _run("ruff check", [*python, "ruff", "check", "."], environment),
        _run("ruff format", [*python, "ruff", "format", "--check", "."], environment),
        _run("mypy", [*python, "mypy"], environment),
        *_workflows(environment),
        _run("terraform fmt", ["terraform", "fmt", "-check", "-recursive", str(TERRAFORM)], environment),
    ]
    for directory in (TERRAFORM, TERRAFORM / "bootstrap"):
        here = environment | {"TF_DATA_DIR": str(WORK / "check" / directory.name)}
        inside = ["terraform", f"-chdir={directory}"]
        init = [*inside, "init", "-backend=false", "-input=false", "-lockfile=readonly"]
        failures += [
            _run(f"terraform init {directory.name}", init, here),
            _run(f"terraform validate {directory.name}", [*inside, "validate"], here),
        ]
    return max(failures)


def _workflows(environment: dict[str, str]) -> list[int]:
    """Look at GitHub's workflows without a network: their security, their schema, the shell in them."""
    python = [sys.executable, "-m"]
    files = sorted(str(file) for file in workflows.FOLDER.glob("*.yml"))
    schema = ["check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    zizmor = str(Path(sys.executable).parent / "zizmor")
    return [
        _run("zizmor", [zizmor, "--offline", "--no-progress", "--persona=pedantic", *files], environment),
        _run("workflows' schema", [*python, *schema, *files], environment),
        _run("workflows' shell", [*python, "ops.ci.workflows"], environment),
    ]


def _run(name: str, command: list[str], environment: dict[str, str]) -> int:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    print(f"{'ok' if done.returncode == 0 else 'FAILED':8} {name}", flush=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr)
    return int(done.returncode != 0)
