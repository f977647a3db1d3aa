"""Makes the copy of a plan that the scanner reads: what a module is handed is followed to the resource that it is of.

A scanner connects resources by what their expressions refer to. Inside a module that is a variable, such as
`var.bucket.id`, and there checkov stops: a bucket whose public-access block a module makes has none, as far as it sees.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

POLICIES = {"aws_iam_policy", "aws_iam_role_policy", "aws_iam_user_policy", "aws_iam_group_policy"}
NO_RESOURCE = {"local", "each", "count", "path", "self", "terraform", "data"}


@dataclass(frozen=True)
class Module:
    """A module's configuration, and the call of it."""

    configuration: dict[str, Any]
    call: dict[str, Any]
    caller: Module | None

    def inner(self, name: str) -> Module | None:
        """Return the module that this one calls so."""
        call = self.configuration.get("module_calls", {}).get(name)
        return Module(call["module"], call, self) if call else None


def follow(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the plan with each list of references preceded by the resources that they lead to."""
    found = copy.deepcopy(plan)
    _module(Module(found.get("configuration", {}).get("root_module", {}), {}, None))
    _name_policies(found.get("planned_values", {}).get("root_module", {}))
    return found


def _name_policies(module: dict[str, Any]) -> None:
    """Give each policy a name of its own: checkov judges all of one name, as for_each makes them, by the first."""
    for resource in module.get("resources", []):
        if resource.get("type") in POLICIES:
            resource["name"] = re.sub(r"\W+", "_", resource["address"])
    for inner in module.get("child_modules", []):
        _name_policies(inner)


def _module(module: Module) -> None:
    for resource in module.configuration.get("resources", []):
        _expressions(resource.get("expressions", {}), module)
    for name in module.configuration.get("module_calls", {}):
        inner = module.inner(name)
        if inner is not None:
            _module(inner)


def _expressions(value: Any, module: Module) -> None:
    if isinstance(value, list):
        for each in value:
            _expressions(each, module)
    elif isinstance(value, dict):
        references = value.get("references")
        if isinstance(references, list):
            followed = [target for each in references for target in _targets(each, module)]
            value["references"] = [*dict.fromkeys([*followed, *references])]
        else:
            for each in value.values():
                _expressions(each, module)


def _targets(reference: str, module: Module) -> Iterator[str]:
    """Yield the resources that a reference to a variable or to another module's output leads to."""
    kind, _, rest = reference.partition(".")
    name, _, attribute = rest.partition(".")
    name = name.partition("[")[0]
    if kind == "var" and module.caller is not None:
        handed = module.call.get("expressions", {}).get(name)
        where: Module | None = module.caller
    elif kind == "module":
        where = module.inner(name)
        output = attribute.partition(".")[0].partition("[")[0]
        handed = where.configuration.get("outputs", {}).get(output, {}).get("expression") if where else None
        attribute = ""  # an output is one thing, whatever is taken of it
    else:
        return
    references = handed.get("references", []) if isinstance(handed, dict) else []
    # Of an object, {id = x.id, arn = x.arn}, the references stand in one list: those of the attribute are meant.
    meant = [each for each in references if attribute and each.endswith(f".{attribute}")] or references
    for each in meant:
        if each.split(".")[0] in {"var", "module"}:
            found = list(_targets(each, where)) if where is not None else []
            if not found and each.startswith("module."):
                found = [each]  # not known of what, but of something
            yield from found
        elif each.split(".")[0] not in NO_RESOURCE:
            yield each
