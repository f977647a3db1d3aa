from __future__ import annotations

import inspect
import re
import shlex

import pytest

import tasks
from ops import bootstrap, reference, settings
from ops.paths import ROOT

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readme_lists_every_task_with_its_first_line() -> None:
    listed = dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", README, re.MULTILINE))
    listed = {name: text for name, text in listed.items() if not name.startswith("KENNEL_")}
    declared = {
        name: inspect.cleandoc(task.__doc__ or "").splitlines()[0]
        for name, task in ((name, tasks.namespace[name]) for name in tasks.namespace.task_names)
    }
    assert listed == declared


def commands() -> list[str]:
    """All `./inv …` commands of the documentation."""
    found: list[str] = []
    for page in PAGES:
        text = page.read_text()
        found += re.findall(r"^(\./inv [^#\n]*?)\s*(?:#.*)?$", text, re.MULTILINE)
        found += re.findall(r"`(\./inv [^`]*)`", text)
    return sorted(set(found))


@pytest.mark.parametrize("command", commands())
def test_every_command_in_the_documentation_is_one(command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if word not in {"TASK", "…"}]
    if words[0] in {"--list", "--help"}:
        return
    task = tasks.namespace[words[0]]
    flags = {name.rstrip("_").replace("_", "-") for name in inspect.signature(task.body).parameters}
    for word in words[1:]:
        if word.startswith("--"):
            assert word.removeprefix("--") in flags, f"{words[0]} has no {word}"


def test_the_readme_lists_every_setting() -> None:
    listed = set(re.findall(r"^\| `(KENNEL_\w+)`", README, re.MULTILINE))
    read = set(re.findall(r"KENNEL_[A-Z_]+", inspect.getsource(settings)))
    read |= set(re.findall(r"KENNEL_[A-Z_]+", (ROOT / "inv").read_text() + inspect.getsource(bootstrap)))
    assert listed == read


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_task_and_every_flag_is_explained() -> None:
    for name in tasks.namespace.task_names:
        task = tasks.namespace[name]
        parameters = inspect.signature(task.body).parameters
        flags = {flag.rstrip("_").replace("_", "-") for flag in parameters} - {"context"}
        assert flags == set(task.help), name


def test_the_terraform_reference_is_current() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run ./inv docs"
