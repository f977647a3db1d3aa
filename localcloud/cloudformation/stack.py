"""A stack's life: its resources are made one after another, in a thread, and undone where one fails."""

from __future__ import annotations

import contextvars
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from graphlib import TopologicalSorter
from typing import Any

from moto.cloudformation import models
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Event
from moto.cloudformation.parsing import clean_json, generate_resource_name

from localcloud.cloudformation import rights
from localcloud.cloudformation.resources import TYPES, Resource, ResourceError

log = logging.getLogger(__name__)

_IN_SUB = re.compile(r"\$\{(\w+)")
_UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


class _FailedError(Exception):
    def __init__(self, logical_id: str) -> None:
        super().__init__(logical_id)
        self.logical_id = logical_id


class Stack(models.Stack):
    """moto's stack, with operations that go on after their requests have been answered, one at a time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _refuse_other_types(self.template_dict)
        self.stack_status_reason: str | None = None
        self._made: dict[str, Resource] = {}
        self._at_work = threading.Lock()

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    def is_created(self) -> bool:
        return True

    # What moto answers from

    @property
    def stack_resources(self) -> Iterable[Any]:
        return list(self._made.values())

    @property
    def outputs(self) -> list[dict[str, Any]] | None:
        """moto's would make what is not there yet."""
        there = self._made.keys() >= self.template_dict["Resources"].keys()
        return super().outputs if there and not self.status.startswith(("DELETE", "ROLLBACK")) else None

    # Operations

    def begin_creation(self) -> None:
        self._move("CREATE_IN_PROGRESS", "User Initiated")
        self._in_background(self._create, "CREATE_FAILED")

    def begin_update(
        self, template: str, role_arn: str | None, parameters: dict[str, Any], tags: dict[str, str] | None
    ) -> None:
        if self.status not in _UPDATABLE:
            raise ValidationError(
                message=f"Stack:{self.stack_id} is in {self.status} state and can not be updated."
            )
        wanted = Stack(
            stack_id=self.stack_id,
            name=self.name,
            template=template,
            parameters=parameters or self.parameters,
            account_id=self.account_id,
            region_name=self.region_name,
            tags=self.tags if tags is None else tags,
            role_arn=role_arn,
        )
        same = ("template_dict", "parameters", "tags")
        if all(getattr(wanted, name) == getattr(self, name) for name in same):
            raise ValidationError(message="No updates are to be performed.")
        self._move("UPDATE_IN_PROGRESS", "User Initiated")
        self._in_background(lambda: self._update(wanted), "UPDATE_FAILED")

    def begin_deletion(self, forget: Callable[[], None]) -> None:
        def delete() -> None:
            self._move("DELETE_IN_PROGRESS", "User Initiated")
            if self._undo(lambda: self._delete_all(reversed(list(self._made.values()))), "DELETE_FAILED"):
                forget()
                self._move("DELETE_COMPLETE")

        self.status = "DELETE_IN_PROGRESS"
        self._in_background(delete, "DELETE_FAILED")

    def _create(self) -> None:
        try:
            for logical_id in _in_order(self.template_dict):
                resource = self._resource(logical_id, self)
                self._made[logical_id] = resource
                self._do("CREATE", resource, resource.create)
                self.resource_map._parsed_resources[logical_id] = resource
        except _FailedError as error:
            reason = f"The following resource(s) failed to create: [{error.logical_id}]. Rollback requested by user."
            self._move("ROLLBACK_IN_PROGRESS", reason)
            everything = reversed(list(self._made.values()))
            if self._undo(lambda: self._delete_all(everything), "ROLLBACK_FAILED"):
                self._move("ROLLBACK_COMPLETE")
            return
        self._move("CREATE_COMPLETE")

    def _update(self, wanted: Stack) -> None:
        undone: list[Callable[[], None]] = []
        made: dict[str, Resource] = {}
        try:
            for logical_id in _in_order(wanted.template_dict):
                made[logical_id] = self._updated(logical_id, wanted, undone)
                wanted.resource_map._parsed_resources[logical_id] = made[logical_id]
        except _FailedError as error:
            reason = f"The following resource(s) failed to update: [{error.logical_id}]."
            self._move("UPDATE_ROLLBACK_IN_PROGRESS", reason)
            if self._undo(lambda: [act() for act in reversed(undone)], "UPDATE_ROLLBACK_FAILED"):
                self._move("UPDATE_ROLLBACK_COMPLETE")
            return
        outdated = [one for logical_id, one in self._made.items() if made.get(logical_id) is not one]
        self._made = made
        for name in ("template", "template_dict", "parameters", "tags", "role_arn", "description"):
            setattr(self, name, getattr(wanted, name))
        self.resource_map, self.output_map = wanted.resource_map, wanted.output_map
        self._move("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._undo(lambda: self._delete_all(reversed(outdated)), "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._move("UPDATE_COMPLETE")

    def _updated(self, logical_id: str, wanted: Stack, undone: list[Callable[[], None]]) -> Resource:
        """The resource as `wanted` has it; what takes the change back is added to `undone`."""
        resource, old = self._resource(logical_id, wanted), self._made.get(logical_id)
        if old is not None and old.properties == resource.properties:
            return old
        try:
            replaced = old is None or type(old) is not type(resource) or old.replaced_by(resource.properties)
        except ResourceError as error:
            self._tell(resource, "UPDATE_FAILED", str(error))
            raise _FailedError(logical_id) from None
        if old is not None and not replaced:
            before = old.properties
            self._do("UPDATE", old, lambda: old.update(resource.properties))
            undone.append(lambda: old.update(before))
            return old
        undone.append(resource.delete)
        self._do("CREATE", resource, resource.create)
        return resource

    def _resource(self, logical_id: str, stack: Stack) -> Resource:
        """As the template has it, with what it refers to put in."""
        definition = stack.template_dict["Resources"][logical_id]
        properties = dict(clean_json(definition.get("Properties", {}), stack.resource_map))
        kind = TYPES[definition["Type"]]
        old = self._made.get(logical_id)
        name = old.name if old else generate_resource_name(kind.kind, self.name, logical_id)
        properties.setdefault(kind.name_property, name)
        tags = [{"Key": key, "Value": value} for key, value in stack.tags.items()]
        return kind(logical_id, properties, tags, (self.account_id, self.region_name))

    def _do(self, verb: str, resource: Resource, act: Callable[[], None]) -> None:
        self._tell(resource, f"{verb}_IN_PROGRESS")
        try:
            rights.demand(verb, resource, self.role_arn)
            act()
        except Exception as error:
            log.info("stack %s: %s %s", self.name, resource.logical_resource_id, verb, exc_info=True)
            self._tell(resource, f"{verb}_FAILED", str(getattr(error, "message", None) or error))
            raise _FailedError(resource.logical_resource_id) from None
        self._tell(resource, f"{verb}_COMPLETE")

    def _delete_all(self, resources: Iterable[Resource]) -> None:
        for resource in resources:
            self._do("DELETE", resource, resource.delete)
            if self._made.get(resource.logical_resource_id) is resource:
                del self._made[resource.logical_resource_id]

    def _undo(self, act: Callable[[], object], failed: str) -> bool:
        try:
            act()
        except Exception as error:
            self._move(failed, f"The following resource(s) failed: [{error}].")
            return False
        return True

    # State

    def _move(self, status: str, reason: str | None = None) -> None:
        self.status, self.stack_status_reason = status, reason
        self._add_stack_event(status, reason)
        log.info("stack %s is %s; reason: %s", self.name, status, reason)

    def _tell(self, resource: Resource, status: str, reason: str | None = None) -> None:
        event = Event(
            self.stack_id,
            self.name,
            resource.logical_resource_id,
            resource.physical_resource_id,
            resource.kind,
            status,
            reason,
            None,
        )
        self.events.append(event)

    def _in_background(self, work: Callable[[], None], failed: str) -> None:
        def run() -> None:
            with self._at_work:
                try:
                    work()
                except Exception as error:
                    log.exception("stack %s", self.name)
                    self._move(failed, f"The embedded cloud failed: {error!r}")

        # In the context of the request: who asked for it is in there.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(run,), name=f"stack {self.name}", daemon=True).start()


def _refuse_other_types(template: dict[str, Any]) -> None:
    for definition in template.get("Resources", {}).values():
        if definition.get("Type") not in TYPES:
            raise NotImplementedError(f"stacks with {definition.get('Type')}")
        for name in ("Condition", "DeletionPolicy", "UpdateReplacePolicy", "UpdatePolicy", "CreationPolicy"):
            if name in definition:
                raise NotImplementedError(f"stacks with {name} of a resource")


def _in_order(template: dict[str, Any]) -> list[str]:
    """Logical ids, each after those that it needs."""
    resources = template["Resources"]
    needs = {
        logical_id: {name for name in _references(definition) if name in resources}
        for logical_id, definition in resources.items()
    }
    return list(TopologicalSorter(needs).static_order())


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _references(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in ("Ref", "DependsOn", "Fn::GetAtt"):
                names = [one] if isinstance(one, str) else one
                yield from (str(name).partition(".")[0] for name in names)
            elif key == "Fn::Sub":
                yield from _IN_SUB.findall(one if isinstance(one, str) else one[0])
            yield from _references(one)
