"""Request bodies: from bytes to plain values, whatever somebody sends."""
from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

import yaml
from esaas.framework.core.errors import Fault
from esaas.framework.core.spec import SpecFaults, faults_of, parse_spec
from esaas.framework.service.errors import Invalid, Malformed
from pydantic import BaseModel, ValidationError

from .problems import TooLarge, WrongMediaType

M = TypeVar("M", bound=BaseModel)
MAX_BODY_BYTES = 1024 * 1024
# PyYAML takes seconds for a megabyte; the largest sensible spec is some tens of KB.
MAX_YAML_BYTES = 256 * 1024
JSON_TYPE = "application/json"
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


class _Loader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases are not accepted", event.start_mark)
        return super().compose_node(parent, index)


def media_type(content_type: str) -> str:
    """The media type of a ``Content-Type`` header, without parameters, in lower case."""
    return content_type.split(";", 1)[0].strip().lower()


def _decode(text: str, *, as_yaml: bool) -> Any:
    try:
        if as_yaml:
            return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
        return json.loads(text)
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    except yaml.YAMLError as error:
        raise Malformed(f"the body is not YAML: {error}") from error
    except ValueError as error:
        kind = "YAML" if as_yaml else "JSON"
        raise Malformed(f"the body is not {kind}: {error}") from error


async def decode(body: bytes, content_type: str) -> Any:
    """A JSON or YAML body as plain values.

    Raises Malformed, TooLarge, or WrongMediaType. Runs in a thread, since a large body must not
    hold up the schedulers that share this event loop.
    """
    kind = media_type(content_type)
    as_yaml = kind in YAML_TYPES or kind.endswith("+yaml")
    if not as_yaml and kind != JSON_TYPE and not kind.endswith("+json"):
        raise WrongMediaType(f"send {JSON_TYPE} or {YAML_TYPES[0]}, not {kind or 'nothing'}")
    if as_yaml and len(body) > MAX_YAML_BYTES:
        raise TooLarge(f"YAML bodies may have {MAX_YAML_BYTES} bytes; send JSON instead")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8: {error}") from error
    if not text.strip():
        raise Malformed("the body is empty")
    return await asyncio.to_thread(_decode, text, as_yaml=as_yaml)


async def decode_secret(body: bytes, content_type: str) -> Any:
    """A JSON body of which nothing may be quoted; as ``decode`` otherwise.

    No YAML: its errors show the lines they are about, and it takes ``0123`` for a number.
    """
    kind = media_type(content_type)
    if kind != JSON_TYPE:
        raise WrongMediaType(f"send {JSON_TYPE}, not {kind or 'nothing'}")
    try:
        return await decode(body, kind)
    except Malformed:
        raise Malformed("the body is not JSON in UTF-8; it is not quoted, since it may hold "
                        "secrets") from None


async def decode_form_text(text: str) -> Any:
    """What somebody typed into a form: JSON when it starts with a brace, YAML otherwise."""
    kind = JSON_TYPE if text.lstrip().startswith("{") else YAML_TYPES[0]
    return await decode(text.encode("utf-8"), kind)


def check_name(name: str, body: Any) -> None:
    """A spec sent to a cluster's address must be of that cluster; Invalid with all its faults."""
    if not isinstance(body, dict) or body.get("name", name) == name:
        return
    faults = [Fault("name", f"must be {name!r}, the cluster that is changed, found "
                    f"{body['name']!r}", "name_is_the_address")]
    try:
        parse_spec(body)
    except SpecFaults as error:
        faults += [fault for fault in error.faults if fault.path != "name"]
    raise Invalid("this is the spec of another cluster", faults)


def whole_number(text: str) -> int | None:
    """A number from a form, a header or an address; None when it is none, or beyond any sense."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def checked(model: type[M], value: Any, what: str) -> M:
    """A value as its model; Invalid with every fault otherwise."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = faults_of(error)
        count = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
        raise Invalid(f"the {what} has {count}", faults) from error
