"""Writes docs/terraform.md: what the root module and its modules take and give, out of their own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ops.declared import load, variables
from ops.paths import ROOT, TERRAFORM

PAGE = ROOT / "docs" / "terraform.md"
HEADER = """# Terraform reference

Made by `./inv docs` out of the files below `terraform/`; a test sees that it is current.
Attributes of object variables, their defaults and their rules stand in each module's `variables.tf`.
"""


def page() -> str:
    """Return the reference as Markdown."""
    parts = [HEADER, _module("Root module", TERRAFORM)]
    parts += [_module(f"modules/{path.name}", path) for path in sorted((TERRAFORM / "modules").iterdir())]
    parts.append(_module("bootstrap", TERRAFORM / "bootstrap"))
    return "\n".join(parts)


def _module(title: str, directory: Path) -> str:
    lines = [f"## {title}", ""]
    declared = variables(directory)
    if declared:
        lines += ["| Variable | Default | Description |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {_default(block)} | {_text(block['description'])} |"
            for name, block in declared.items()
        ]
        lines.append("")
    given: dict[str, dict[str, Any]] = {}
    for file in sorted(directory.glob("*.tf")):
        for block in load(file).get("output", []):
            given |= block
    if given:
        lines += ["| Output | Description |", "|---|---|"]
        lines += [f"| `{name}` | {_text(block['description'])} |" for name, block in given.items()]
        lines.append("")
    return "\n".join(lines)


def _default(block: dict[str, Any]) -> str:
    if "default" not in block:
        return "required"
    default = block["default"]
    if default in ({}, []):
        return "`{}`" if default == {} else "`[]`"
    return (
        "none" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    )


def _text(description: str) -> str:
    """Return a description, heredoc or not, as one table cell."""
    lines = [line.strip().replace("<", "&lt;") for line in description.replace("<<-EOT", "").splitlines()]
    return "<br>".join(line for line in lines if line not in {"", "EOT"}).replace("|", "\\|")
