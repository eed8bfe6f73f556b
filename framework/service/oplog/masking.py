"""Keeps secrets out of the log: by the names of fields, by what texts look like, and by value."""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel, RootModel, SecretStr

MASK = "***"
MAX_DEPTH, MAX_TEXT, MAX_ITEMS = 20, 4000, 500
MAX_BYTES = 48 * 1024               # of one part of a line
MAX_WHOLE = 2**53
# Shorter ones would be found in every other word.
MIN_SECRET_CHARS = 4
_NAMES = re.compile(
    r"pass(word|wd|phrase|code)?(?!ive|ed|es)|pwd|secret|token(?!i[sz]|_filter)|cookie"
    r"|authori[sz]ation|credential"
    r"|private|api[-_.]?key|access[-_.]?key|session|xsrf|csrf|keystore|signature|sha?red[-_.]?key",
    re.IGNORECASE)
_FINE = frozenset({"token_name", "password_set_at", "secrets", "tokens"})
_SHOWN = frozenset({"name", "user", "role", "tenants", "disabled", "token_name"})
_OF_PEOPLE = re.compile(r"^(users|tokens)\[.*?\]\.?")
_TEXTS = (
    (re.compile(r"(?<=://)[^/\s@]+(?=@)"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {MASK}"),
    (re.compile(r"\besaas_[\w-]{16,}"), MASK),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
                re.DOTALL), MASK),
    (re.compile(r"(?i)([\w.-]*(?:password|passwd|secret|token|api_key)[\w.-]*\s*[=:]\s*)"
                r"(\"[^\"]*\"|'[^']*'|[^\s,;}&]+)"), rf"\1{MASK}"),
)


class Masker:
    """Makes values fit for the log, and remembers what was masked to take it out of texts, too."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def masked(self, value: Any, *, secret: bool = False) -> Any:
        """Plain values without secrets; ``secret``: nothing is shown but the names of fields."""
        made = self._value(value, "", secret, 0)
        size = len(orjson.dumps(made))
        return made if size <= MAX_BYTES else f"(left out: {size} bytes)"

    def model(self, body: BaseModel) -> Any:
        """A checked body of which nothing may be told but what is known to be harmless."""
        if isinstance(body, RootModel):
            return self.masked(body.model_dump(), secret=True)
        shown = body.model_dump(include=set(_SHOWN), exclude_none=True, mode="json")
        for name in type(body).model_fields.keys() - _SHOWN:
            self._note(getattr(body, name))
        return self._value(shown, "", False, 0)

    def leaves(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Values by path, as ``differences`` gives them, without secrets."""
        made = {self.text(path): self._value(value, _OF_PEOPLE.sub("", path), False, 0)
                for path, value in found.items()}
        size = len(orjson.dumps(made))
        return made if size <= MAX_BYTES else {"(left out)": f"{size} bytes"}

    def text(self, text: str) -> str:
        """A text for people, without what was masked elsewhere."""
        made = _clean(text)
        for known in sorted(self._secrets, key=len, reverse=True):
            made = made.replace(known, MASK)
        for pattern, instead in _TEXTS:
            made = pattern.sub(instead, made)
        return made

    def _value(self, value: Any, name: str, secret: bool, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return "(nested too deeply)"
        if isinstance(value, BaseModel):
            value = value.model_dump()
        hidden = secret or (name not in _FINE and _NAMES.search(name) is not None)
        if isinstance(value, Mapping):
            return self._mapping(value, hidden, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            items = [self._value(item, "", hidden, depth + 1) for item in list(value)[:MAX_ITEMS]]
            return items if len(value) <= MAX_ITEMS else [*items, f"({len(value)} in all)"]
        if value is None or isinstance(value, bool):
            return value if not hidden or value is None else MASK
        if hidden or isinstance(value, (SecretStr, bytes)):
            self._note(value)
            return MASK
        return self._plain(value)

    def _mapping(self, value: Mapping[Any, Any], hidden: bool, depth: int) -> dict[str, Any]:
        # {"key": "x.password", "value": ...} names its secret beside it.
        beside = any(isinstance(value.get(key), str) and _NAMES.search(value[key])
                     for key in ("name", "key", "setting"))
        made = {}
        for key, item in list(value.items())[:MAX_ITEMS]:
            made[self.text(str(key))] = self._value(
                item, str(key), hidden or (beside and key == "value"), depth + 1)
        return made

    def _plain(self, value: Any) -> Any:
        if isinstance(value, int):
            return value if abs(value) <= MAX_WHOLE else _clean(hex(value))
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        return self.text(str(value))

    def _note(self, value: Any) -> None:
        """Remember a secret, whatever it is made of."""
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, bool):
            return
        if isinstance(value, (str, int, float)) and len(str(value)) >= MIN_SECRET_CHARS:
            # As a message may quote it, too.
            self._secrets |= {str(value), _clean(str(value)), repr(value)[1:-1]
                              if isinstance(value, str) else str(value)}


def _clean(text: str) -> str:
    """A text that any store can hold, of a sensible length."""
    made = text.encode("utf-8", "replace").decode("utf-8")
    return made if len(made) <= MAX_TEXT else f"{made[:MAX_TEXT]}… ({len(made)} characters)"


def differences(old: Any, new: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs, as it was and as it is, by path; what is nowhere has no entry."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    same = {path for path in before.keys() & after.keys() if before[path] == after[path]}
    return ({path: value for path, value in before.items() if path not in same},
            {path: value for path, value in after.items() if path not in same})


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):          # an empty one is as good as none
        return [leaf for key, item in value.items()
                for leaf in _leaves(item, f"{path}.{key}" if path else str(key))]
    if isinstance(value, (list, tuple)) and value and all(
            isinstance(item, Mapping) for item in value):
        return [leaf for index, item in enumerate(value)
                for leaf in _leaves(item, f"{path}[{item.get('name', index)}]")]
    return [(path, list(value) if isinstance(value, tuple) else value)] if path else []
