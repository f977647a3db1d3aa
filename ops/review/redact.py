"""Takes secrets out of what is shown or kept: out of a plan, and out of text that others wrote."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

HIDDEN = "(hidden)"
PAIRS = ("name", "key", "Name", "Key")  # of a setting whose value stands beside it, as `value`
DOCUMENTS = 200  # beginnings of JSON in a text that turn out to be none
LONGEST = 4096  # letters of a value that is looked into
LEAST = 8  # letters of a value that is taken out of any text: shorter ones are words, too

_SAYS_SECRET = re.compile(
    r"(?i)secret|passw(or)?d|passphrase|passcode|credential|token|:external_?id$"
    r"|(api|access|private|signing|encryption|ssh|auth|account|license|customer)[_.-]?key"
    r"|(^|[_.-])(pwd|pass|pat|auth|authorization)$"
)
# Attributes and settings whose names only sound like it.
_SAYS_NOTHING = re.compile(
    r"(?i)^(http_tokens|(next|max)_?tokens?|.*token_?(count|limit)|.*(secret|credential|token|key)s?_?(arn|id|name|prefix|"
    r"policy|rotation|enabled|provider|type|usage|version|ttl|url|endpoint|age|hours|days|seconds)s?)$"
)
_KEY_AT_THE_END = re.compile(
    r"(?i)(^|[_.-])key$|[a-z]Key$"
)  # as a name of a setting or tag, not of an attribute

_FORMATS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*"), HIDDEN),
    (re.compile(r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,})"), HIDDEN),
    (re.compile(r"\bxox[abeprs]-[\w-]{8,}|\bxapp-[\w-]{8,}"), HIDDEN),
    (re.compile(r"\b(?:sk|rk)_(?:live|test)_\w{16,}|\bsk-[\w-]{20,}|\bAIza[\w-]{35}|\bhf_\w{20,}"), HIDDEN),
    (re.compile(r"\bnpm_\w{30,}|\bpypi-[\w-]{30,}|\bhvs\.[\w-]{20,}"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w+/=.~-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(Signature=)[0-9a-f]{32,}"), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^\s/@:\"'<>]*:)[^\s/@\"'<>]+@"), rf"\1{HIDDEN}@"),
)
# name=value, "name": "value", name = "value"; after a colon alone only what has a digit: "ExpiredToken: The token …".
_ASSIGNED = re.compile(
    r"""(?P<name>[\w.-]*[A-Za-z][\w.-]*)(?P<mid>\\?["']?\s*(?:=>?|:)\s*)"""
    r"""(?P<value>\\?"(?:[^"\\\n]|\\(?!").)*\\?"|'[^'\n]*'|(?:[^\s"',;{}\[\]()\\]|\\(?!["']))+)"""
)

_ORDINARY = re.compile(r"[a-z]{2}(-[a-z]+)+-\d|[\d.]+|/[\w./-]+")  # a region, a number, a path

_DECODER = json.JSONDecoder()
_remembered: set[str] = set()


@functools.lru_cache(maxsize=4096)
def says_secret(name: str, *, setting: bool = False) -> bool:
    """Tell whether a name promises a secret; a `setting` is a tag's or a variable's, which "…_key" is enough for."""
    if _SAYS_NOTHING.search(name):
        return False
    if setting and _KEY_AT_THE_END.search(name) and "kms" not in name.lower():
        return True
    return bool(_SAYS_SECRET.search(name))


def remember(values: Iterable[str]) -> None:
    """Take these out of any text from now on, as long as this process lives."""
    _remembered.update(value for value in values if len(value) >= LEAST)


def scrub(text: str) -> str:
    """Return text that others wrote without what is secret in it, by its format, its name, or since it is known."""
    return scrubber()(text)


def scrubber() -> Callable[[str], str]:
    """Return `scrub` for many texts: what is known is asked for once."""
    known = frozenset({*_remembered, *_of_environment()})
    return lambda text: _scrub(text, known)


@functools.lru_cache(maxsize=8192)
def _scrub(text: str, known: frozenset[str]) -> str:
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    if '{"' in text:
        text = _without_documents(text, known)
    for pattern, instead in _FORMATS:
        text = pattern.sub(instead, text)
    return _without_assigned(text) if "=" in text or ":" in text else text


def scrubbed(value: Any) -> Any:
    """Return plain data with all its text scrubbed."""
    return each_text(value, scrubber())


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return plain data, or dataclasses, with this done to all text in it."""
    if isinstance(value, str):
        return change(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fresh = {
            each.name: each_text(getattr(value, each.name), change) for each in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **fresh)
    if isinstance(value, Mapping):
        return {each_text(key, change): each_text(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(each_text(each, change) for each in value)
    return value


def secrets_of(values: Any, name: str = "") -> Iterator[str]:
    """Yield what is secret in the values of a tfvars file: by name, and all values of environments."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            inside = name == "environment" and not says_secret(str(key), setting=True)
            yield from secrets_of(value, name if inside else str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from secrets_of(value, name)
    elif isinstance(values, str) and (says_secret(name, setting=True) or is_setting(name, values)):
        yield values


def is_setting(name: str, value: str) -> bool:
    """Tell whether it is an environment's value, and none that much else is called by."""
    return name == "environment" and not _ORDINARY.fullmatch(value)


def _without_documents(text: str, known: frozenset[str]) -> str:
    """Hide what is below a name that says a secret in the JSON that text has in it, such as an error's `got {…}`."""
    parts, done, tries = [], 0, 0
    at = text.find('{"')
    while at >= 0 and tries < DOCUMENTS:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            tries, end = tries + 1, at + 1
        else:
            clean = _below_names(value, known)
            if clean != value:
                separators = (", ", ": ") if '": ' in text[at:end] else (",", ":")
                parts += [text[done:at], json.dumps(clean, ensure_ascii=False, separators=separators)]
                done = end
        at = text.find('{"', end)
    return "".join([*parts, text[done:]])


def _below_names(value: Any, known: frozenset[str], *, secret: bool = False) -> Any:
    if isinstance(value, dict):
        beside = any(says_secret(str(value.get(name)), setting=True) for name in PAIRS)
        return {
            name: _below_names(
                each, known, secret=secret or says_secret(name) or (beside and name == "value")
            )
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_below_names(each, known, secret=secret) for each in value]
    if secret and value not in (None, "") and not isinstance(value, bool):
        return HIDDEN
    return _scrub(value, known) if isinstance(value, str) else value


def _without_assigned(text: str) -> str:
    """Hide the values of names that say a secret, also in the values of others: command = "login --password=…"."""
    parts, done, start = [], 0, 0
    while found := _ASSIGNED.search(text, start):
        value = found["value"]
        mark = value[: len(value) - len(value.lstrip("\\\"'"))]
        if _is_secret(found):
            parts += [text[done : found.start("value")], f"{mark}{HIDDEN}{mark}"]
            done = start = found.end()
        else:
            look_inside = "=" in value and len(value) <= LONGEST
            start = found.start("value") + len(mark) if look_inside else found.end()
    return "".join([*parts, text[done:]])


def _is_secret(found: re.Match[str]) -> bool:
    name, mid, value = found["name"], found["mid"], found["value"]
    bare = value.strip("\\\"'")
    if not says_secret(name) or not bare or bare.startswith(HIDDEN) or bare in {"true", "false", "null"}:
        return False
    return value != bare or ":" not in mid or (len(bare) >= 6 and bool(re.search(r"[^A-Za-z.]", bare)))


def _of_environment() -> Iterator[str]:
    """Yield the secrets of this process's own environment, such as the session token of the credentials."""
    for name, value in os.environ.items():
        if len(value) >= 16 and says_secret(name, setting=True) and not value.startswith("/"):
            yield value
