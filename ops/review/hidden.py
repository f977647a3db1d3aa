"""Hides what is secret in a plan, so that all that is made of the plan has no secret to tell.

Equal values stay equal: each is replaced by "(hidden 1)", "(hidden 2)" and so on, and so a change is still seen as one.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ops.review import redact

ENVIRONMENTS = {"environment", "environment_variables", "environmentvariables"}  # in lower case
SCRIPTS = {"user_data", "user_data_base64", "on_start", "on_create", "userdata"}
MASKS = ("before_sensitive", "after_sensitive")
PUBLIC = {
    "name",
    "id",
    "arn",
    "bucket",
    "region",
    "image",
    "function_name",
    "endpoint_name",
    "stage",
    "prefix",
}

_BLOCK = re.compile(
    r"^(?P<indent>\s*)(?:[-+~#/<=>]+\s+)*\"?(?P<name>[\w.:-]+)\"?\s*(?:=\s*)?[\w(]*\s*[{\[(]+\s*$"
)
_LINE = re.compile(
    r"^(?P<before>\s*(?:[-+~#/<=>]+\s+)*\"?(?P<name>[\w.:/-]+)\"?\s*[=:]>?\s*)(?P<value>\S.*)$"
)
_MARKS = " +-~#/<=>"  # of what changes, before a name
_HEREDOC = re.compile(r"<<[-~]?EOT\b")
# Within what is left out: an entry, whose name is told, and a line of brackets or of Terraform's own words alone.
_ENTRY = re.compile(r"\s*(?:[-+~#/<=>]+\s+)*\"?[\w.:/-]+\"?\s+=\s+")
_FRAME = re.compile(r"\s*(?:[-+~]\s+)?(?:EOT|[\[\](){},]*)\s*(?:-> null\s*)?(?:# .*)?")


class Hider:
    """Knows the plan's secrets: `plan` is what is left of it, and `text` takes them out of anything else."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._scrub = redact.scrubber()
        self._numbers: dict[str, int] = {}
        self._secrets: set[str] = set()  # of any length that is not a word, to be found anywhere
        self._settings: set[str] = (
            set()
        )  # values of environments: secret unless they are something's name, too
        self._public: set[str] = set()
        self.plan = self._of_plan(plan)
        self._settings -= self._public
        known = {*self._secrets, *self._settings}
        self._known = sorted((value for value in known if len(value) >= redact.LEAST), key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return text without the plan's secrets, and without what looks like one."""
        for value in self._known:
            for form in {value, json.dumps(value)[1:-1], json.dumps(json.dumps(value)[1:-1])[1:-1]}:
                text = text.replace(form, redact.HIDDEN)
        return self._scrub(text)

    def value(self, value: Any) -> Any:
        """Return plain data with `text` done to all text in it."""
        return redact.each_text(value, self.text)

    def plan_text(self, text: str) -> str:
        """Return what `terraform show` prints of the plan, without its secrets: by what a line is in, or named."""
        lines: list[str] = []
        # Columns of the names of the environment, and of the script or text of several lines, that are left out.
        inside: int | None = None
        script: int | None = None
        for line in text.splitlines():
            indent, column = (len(line) - len(line.lstrip(marks)) for marks in (" ", _MARKS))
            if line.strip():
                inside = None if inside is not None and indent <= inside else inside
                script = None if script is not None and indent <= script else script
            found, block = _LINE.match(line), _BLOCK.match(line)
            if script is not None:
                lines.append(f"{line[:indent]}{redact.HIDDEN}" if line.strip() else line)
                continue
            secret = found and (
                found["name"].lower() in SCRIPTS or redact.says_secret(found["name"], setting=True)
            )
            if inside is not None and not block:
                lines.append(_without_value(line))
            elif found and secret:
                lines.append(f"{found['before']}{redact.HIDDEN}")
                inside = column if found["value"].endswith(("{", "[", "(")) and inside is None else inside
            else:
                lines.append(line)
            if _HEREDOC.search(line) and (inside is not None or secret):
                script = column
            if inside is None and block and block["name"].lower() in {*ENVIRONMENTS, "variables"}:
                inside = column
        return self.text("\n".join(lines))

    def _of_plan(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Hide by Terraform's masks first, so that their values are known everywhere else."""
        declared = plan.get("configuration", {}).get("root_module", {}).get("variables", {})
        found = dict(plan)
        found["variables"] = {
            name: {
                **entry,
                "value": self._masked(entry.get("value"), _is_secret(name, declared.get(name, {}))),
            }
            for name, entry in plan.get("variables", {}).items()
        }
        for part in ("resource_changes", "resource_drift"):
            if part in plan:
                changes = [{**each, "change": self._change(each["change"])} for each in plan[part]]
                found[part] = changes
        if "output_changes" in plan:
            found["output_changes"] = {
                name: self._change(each | dict.fromkeys(MASKS, True) if _is_secret(name, {}) else each)
                for name, each in plan["output_changes"].items()
            }
        for part in ("planned_values", "prior_state"):
            if part in plan:
                found[part] = self._state(plan[part])
        hidden: dict[str, Any] = self._named(found)
        return hidden

    def _change(self, change: dict[str, Any]) -> dict[str, Any]:
        masked = {
            side: self._masked(change.get(side), change.get(f"{side}_sensitive"))
            for side in ("before", "after")
        }
        return {**change, **masked}

    def _state(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._state(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "sensitive_values" in node:  # a resource, of whose values one may be called outputs, too
            return node | {"values": self._masked(node.get("values"), node["sensitive_values"])}
        found = {name: self._state(each) for name, each in node.items()}
        for name, output in (node.get("outputs") or {}).items():
            found["outputs"][name] = output | {
                "value": self._masked(output.get("value"), _is_secret(name, output))
            }
        return found

    def _masked(self, value: Any, mask: Any) -> Any:
        """Hide where Terraform's mask is true; it has the shape of the value."""
        if mask is True:
            return self._hide(value)
        if isinstance(mask, dict) and isinstance(value, dict):
            return {name: self._masked(each, mask.get(name)) for name, each in value.items()}
        if isinstance(mask, list) and isinstance(value, list):
            return [self._masked(each, mask[n] if n < len(mask) else None) for n, each in enumerate(value)]
        return value

    def _hide(self, value: Any, *, setting: bool = False) -> Any:
        """Replace every scalar below; what is no text is told by its form only."""
        if isinstance(value, dict):
            return {
                name: each if name == "references" else self._hide(each, setting=setting)
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [self._hide(each, setting=setting) for each in value]
        if value is None or isinstance(value, bool) or value == "":
            return value
        text = value if isinstance(value, str) else json.dumps(value)
        if re.fullmatch(r"\(hidden( \d+)?\)", text):
            return text
        if not setting:
            self._secrets.add(text)
        elif redact.is_setting("environment", text):
            self._settings.add(text)
        return f"(hidden {self._numbers.setdefault(text, len(self._numbers) + 1)})"

    def _named(self, value: Any, *, in_environment: bool = False, conditions: bool = False) -> Any:
        """Hide environments, scripts and what its name calls a secret, also in JSON that is text."""
        if isinstance(value, list):
            return [self._named(each, in_environment=in_environment, conditions=conditions) for each in value]
        if isinstance(value, str):
            return (
                self._hide(value, setting=True)
                if in_environment
                else self._text(value, conditions=conditions)
            )
        if not isinstance(value, dict):
            return value
        named = {
            name: self._entry(str(name), each, in_environment, conditions) for name, each in value.items()
        }
        if any(
            isinstance(value.get(name), str) and redact.says_secret(value[name], setting=True)
            for name in redact.PAIRS
        ):
            named |= {"value": self._hide(value["value"])} if "value" in value else {}
        return named

    def _entry(self, name: str, value: Any, in_environment: bool, conditions: bool) -> Any:
        lower = name.lower()
        if lower == "references":  # of a configuration: names of variables
            return value
        conditions = conditions or lower == "condition"
        is_condition = conditions and not lower.endswith(
            ":externalid"
        )  # which is as good as a password to many
        if lower in SCRIPTS or (not is_condition and _is_value(value) and redact.says_secret(name)):
            return self._hide(value)
        if lower in PUBLIC and isinstance(value, str) and not in_environment:
            self._public.add(value)
        if lower in {"tags", "tags_all"} and isinstance(value, dict):
            return {
                tag: self._hide(each) if redact.says_secret(tag, setting=True) else self._named(each)
                for tag, each in value.items()
            }
        inside = in_environment or lower in ENVIRONMENTS
        return self._named(value, in_environment=inside, conditions=conditions)

    def _text(self, text: str, *, conditions: bool) -> str:
        """Look into JSON; other text loses what looks like a secret."""
        if text[:1] in "{[" and len(text) > 2:
            try:
                parsed = json.loads(text)
            except ValueError:
                return self._scrub(text)
            return json.dumps(self._named(parsed, conditions=conditions))
        return self._scrub(text)


def _without_value(line: str) -> str:
    """Return a line of an environment: the name without the value, and nothing of what stands in a list."""
    if _FRAME.fullmatch(line):
        return line
    entry = _ENTRY.match(line)
    return f"{entry[0] if entry else line[: -len(line.lstrip(_MARKS))]}{redact.HIDDEN}"


def _is_secret(name: str, declared: dict[str, Any]) -> bool:
    """Tell whether a variable or an output is one, by its declaration or its name."""
    return bool(declared.get("sensitive")) or redact.says_secret(name, setting=True)


def _is_value(value: Any) -> bool:
    """Tell what a secret can be: text, or a list of it; a block's contents are looked at one by one."""
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )
