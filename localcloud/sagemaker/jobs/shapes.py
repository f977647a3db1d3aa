"""Requests against the service model that botocore has of SageMaker, refused in AWS's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from moto.sagemaker.exceptions import ValidationError

_CLASSES = {r"\p{Alnum}": "a-zA-Z0-9", r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s"}
_NUMBERS = {"integer", "long", "float", "double"}


@cache
def service_model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def check(operation: str, request: dict[str, Any]) -> None:
    """Raise AWS's ValidationException when a member breaks a constraint of its shape."""
    shape = service_model().operation_model(operation).input_shape
    errors = list(_errors(shape, request, ""))
    if errors:
        plural = "error" if len(errors) == 1 else "errors"
        raise ValidationError(f"{len(errors)} validation {plural} detected: {'; '.join(errors)}")


def _errors(shape: Shape | None, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            here = f"{path}.{_camel(name)}" if path else _camel(name)
            if value.get(name) is not None:
                yield from _errors(member, value[name], here)
            elif name in shape.required_members:
                yield f"Value null at '{here}' failed to satisfy constraint: Member must not be null"
    elif isinstance(shape, ListShape):
        yield from _size_errors(shape, value, path)
        for number, item in enumerate(value, start=1):
            yield from _errors(shape.member, item, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        yield from _size_errors(shape, value, path)
        for key, item in value.items():
            yield from _errors(shape.key, key, path)
            yield from _errors(shape.value, item, f"{path}.{key}")
    elif isinstance(shape, StringShape):
        yield from _string_errors(shape, value, path)
    elif shape is not None and shape.type_name in _NUMBERS:
        limits = shape.metadata
        said = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value"
        if value < limits.get("min", value):
            yield f"{said} greater than or equal to {limits['min']}"
        if value > limits.get("max", value):
            yield f"{said} less than or equal to {limits['max']}"


def _size_errors(shape: Shape, value: Any, path: str) -> Iterator[str]:
    limits = shape.metadata
    said = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have length"
    if len(value) < limits.get("min", 0):
        yield f"{said} greater than or equal to {limits['min']}"
    if len(value) > limits.get("max", len(value)):
        yield f"{said} less than or equal to {limits['max']}"


def _string_errors(shape: StringShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        raise ValidationError(f"Value '{value}' at '{path}' can not be converted to a String")
    yield from _size_errors(shape, value, path)
    said = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy"
    if shape.enum and value not in shape.enum:
        yield f"{said} enum value set: [{', '.join(shape.enum)}]"
    pattern = shape.metadata.get("pattern")
    if pattern and _compiled(pattern).fullmatch(value) is None:
        yield f"{said} regular expression pattern: {pattern}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Java's classes of characters as Python has them; all stand within brackets."""
    for java, python in _CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.DOTALL)


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]
