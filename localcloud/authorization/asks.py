"""What a request asks for: an action on a resource, and the context in which it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


class Context:
    """By lower-case key; remembers which keys conditions asked for, and finds what costs something only then."""

    def __init__(
        self,
        values: Mapping[str, list[str]],
        lazy: Mapping[str, Callable[[str], list[str] | None]] | None = None,
    ) -> None:
        self._values = dict(values)
        self._lazy = lazy or {}  # by the prefix of the key, with its slash, or the key
        self.asked: dict[str, list[str]] = {}

    def get(self, key: str, /) -> list[str] | None:
        found = self._values.get(key)
        if found is None and self._lazy:
            prefix, slash, name = key.partition("/")
            finder = self._lazy.get(prefix + slash)
            if finder is not None:
                found = finder(name)
        if found is not None:
            self.asked[key] = found
        return found


@dataclass(frozen=True)
class Ask:
    action: str  # "s3:GetObject"
    resource: str  # its ARN, or "*"
    context: Mapping[str, list[str]] = field(default_factory=dict)
    owner: str = ""  # account, where the ARN has none
