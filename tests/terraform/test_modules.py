"""Each Terraform directory passes its own tests, refuses what it says it refuses, and is described."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ops.declared import load
from ops.paths import ROOT, TERRAFORM
from tests.terraform.roots import Initialize

Block = tuple[str, dict[str, Any]]  # label, body

DIRECTORIES = [TERRAFORM, TERRAFORM / "bootstrap", *sorted((TERRAFORM / "modules").iterdir())]
INGRESS_RULES = ("aws_security_group_rule", "aws_vpc_security_group_ingress_rule")
SECURITY_GROUPS = ("aws_default_security_group", "aws_security_group")

parsed = cache(load)


def blocks(directory: Path, kind: str, pattern: str = "*.tf") -> list[Block]:
    """Return the top-level blocks of one kind in a directory's files."""
    found: list[dict[str, dict[str, Any]]] = []
    for file in sorted(directory.glob(pattern)):
        found += parsed(file).get(kind, [])
    return [(label, body) for block in found for label, body in block.items()]


each_directory = pytest.mark.parametrize(
    "directory", DIRECTORIES, ids=[str(directory.relative_to(ROOT)) for directory in DIRECTORIES]
)
each_variable = pytest.mark.parametrize(
    ("directory", "variable"),
    [
        pytest.param(directory, variable, id=f"{directory.name}-{variable[0]}")
        for directory in DIRECTORIES
        for variable in blocks(directory, "variable")
    ],
)


def refusals(directory: Path) -> Counter[str]:
    """Count the runs of a directory's tests that expect a refusal, by what is to refuse: `var.prefix`."""
    runs = blocks(directory, "run", "tests/*.tftest.hcl")
    return Counter(
        re.sub(r"^\$\{|\}$", "", str(address))
        for _, run in runs
        for address in run.get("expect_failures", [])
    )


@pytest.mark.terraform
@pytest.mark.slow
@each_directory
def test_a_directorys_terraform_tests_pass(
    directory: Path, initialize: Initialize, running_provider: dict[str, str]
) -> None:
    environment = initialize(directory)
    if not blocks(
        directory, "provider", "tests/*.tftest.hcl"
    ):  # one that is not mocked takes one configuration only
        environment = environment | running_provider
    done = subprocess.run(
        ["terraform", "test"], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! [1-9]\d* passed, 0 failed", done.stdout), done.stdout


@each_variable
def test_each_validation_has_a_run_that_it_refuses(directory: Path, variable: Block) -> None:
    name, declaration = variable
    validations = len(declaration.get("validation", []))
    runs = refusals(directory)[f"var.{name}"]
    assert runs >= validations, f"var.{name}: {validations} validations, {runs} runs that expect a refusal"


@each_variable
def test_each_validations_message_names_its_variable(directory: Path, variable: Block) -> None:
    name, declaration = variable
    assert [v for v in declaration.get("validation", []) if name not in v["error_message"]] == []


@each_variable
def test_each_variable_is_described_and_typed(directory: Path, variable: Block) -> None:
    _, declaration = variable
    assert declaration.get("description")
    assert "any" not in re.findall(r"\w+", declaration.get("type", "any"))


@each_directory
def test_each_output_is_described(directory: Path) -> None:
    assert [name for name, output in blocks(directory, "output") if not output.get("description")] == []


@each_directory
def test_no_security_group_is_open_to_the_world(directory: Path) -> None:
    for kind, named in blocks(directory, "resource"):
        for name, body in named.items():
            if kind in INGRESS_RULES:
                assert not re.search(r"0\.0\.0\.0|::/0", str(body)), f"{kind}.{name}"
            if kind in SECURITY_GROUPS:
                assert "ingress" not in body, f"{kind}.{name}: rules belong in resources of their own"
