"""Logs of Elasticsearch as documents: where lines belong together, and what they say. Pure.

The layout of lines is that of the ``log4j2.properties`` that 6.8 to 9.x come with: plain lines in
the machine's time zone with stack traces below them, and JSON, one object a line. What a file is
cut into depends on its bytes alone, so that a repeat gives the same documents with the same ids.
"""
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

INDEX = "esaas-logs"
MAX_MESSAGE_CHARS = 32 << 10
FIRST_BYTES = 256                   # of the first line of a file, which tells it from others
_BEGIN = re.compile(rb"\[\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d|\{")
_PLAIN = re.compile(r"\[(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d,\d{3}(?:Z|[+-]\d\d:?\d\d)?)\]"
                    r"\[ *([A-Z]+) *\]\[([^\]]*)\] ?(?:\[[^\]]*\] ?)?(.*)", re.DOTALL)
_ROLLED = re.compile(r"(-\d{4}-\d\d-\d\d)?(-\d{1,6})?$")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose logs they are; the same in every document."""

    cluster: str
    tenant: str
    node: str
    host: str
    launch: str                     # number of the volume, number of the start on it
    identity: str                   # of this start of the node, unlike any other anywhere

    def fields(self) -> dict[str, str]:
        """As they stand in documents."""
        return {"cluster": self.cluster, "tenant": self.tenant, "node": self.node,
                "host": self.host, "launch": self.launch}


@dataclass(frozen=True, slots=True)
class Document:
    """One event of a log, ready to be sent."""

    index: str
    id: str
    body: dict[str, str]


def stem_of(name: str) -> tuple[str, str] | None:
    """What a log is called whatever was rolled over, and its kind (log, json); None: no log.

    ``demo-2026-11-30-1.log.gz`` and ``demo.log`` are one log, ``demo``.
    """
    plain = name.removesuffix(".gz")
    base, dot, kind = plain.rpartition(".")
    if not dot or kind not in ("log", "json"):
        return None
    return _ROLLED.sub("", base, count=1), kind


def wanted(names: Iterable[str], cluster: str) -> dict[str, str]:
    """The logs to ship, of all names in the directory of logs: stem by name.

    Versions write some logs twice, as lines and as JSON; then the lines are taken.
    """
    found = {name: parts for name in names if (parts := stem_of(name)) is not None
             and re.fullmatch(re.escape(cluster) + r"(_[A-Za-z0-9_]+)?", parts[0])}
    as_lines = {stem for stem, kind in found.values() if kind == "log"} | {f"{cluster}_server"}
    return {name: stem for name, (stem, kind) in found.items()
            if kind == "log" or stem not in as_lines}


def fingerprint(stem: str, first: bytes, *, ended: bool = False) -> str | None:
    """What tells a file from those before it, however it is renamed; None: it is too young.

    ``first``: the begin of the file, ``FIRST_BYTES`` or all that there is; ``ended``: nobody
    writes to it any more. Elasticsearch begins every line with the moment, so no two files begin
    alike.
    """
    line, end, _ = first.partition(b"\n")
    if not first or (not end and len(first) < FIRST_BYTES and not ended):
        return None
    return hashlib.sha256(stem.encode() + b"\n" + line).hexdigest()[:16]


def events(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each event begins and ends: a line with a moment, and lines below it without one."""
    begin = at = 0
    while at < len(data):
        if at > begin and _BEGIN.match(data, at):
            yield begin, at
            begin = at
        end = data.find(b"\n", at)
        at = len(data) if end < 0 else end + 1
    if data:
        yield begin, len(data)


def cut(data: bytes, *, quiet: bool, ended: bool, full: bool) -> int:
    """How much of what a file goes on with can be sent: whole events.

    ``quiet``: nothing was written for a while, so the last event is whole, too. ``ended``: nobody
    writes to it any more. ``full``: there may be more than ``data``, which was as much as may be
    read.
    """
    if ended and not full:
        return len(data)
    whole = data.rfind(b"\n") + 1
    if quiet and not full:
        return whole
    *_, (begin, _) = (0, 0), *events(data[:whole])      # of the last event, which may go on
    if begin == 0 and full:
        return whole or len(data)   # one event as long as all that may be read: in pieces
    return begin


def documents(data: bytes, offset: int, stem: str, file_identity: str, origin: Origin,
              since: str) -> list[Document]:
    """The events in ``data``, which begins at ``offset`` of a file.

    ``since``: the moment (UTC, ISO) that an event without one gets; those after it, that of the
    one before.
    """
    made = []
    for begin, end in events(data):
        text = data[begin:end].decode("utf-8", "replace").rstrip("\r\n")
        if not text.strip():
            continue
        found = parsed(text)
        since = found.setdefault("@timestamp", since)
        ident = hashlib.sha256(
            f"{origin.identity}/{file_identity}/{offset + begin}".encode()).hexdigest()[:32]
        made.append(Document(f"{INDEX}-{since[:10].replace('-', '.')}", ident,
                             {**origin.fields(), "log": stem, **found}))
    return made


def parsed(text: str) -> dict[str, str]:
    """An event's moment, level, logger and message, as far as it has them."""
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return _of_json(found, text)
    match = _PLAIN.match(text)
    moment = utc(match[1]) if match is not None else None
    if match is None or moment is None:
        return {"message": _short(text)}
    return {"@timestamp": moment, "level": match[2], "logger": match[3].strip(),
            "message": _short(match[4])}


def _of_json(found: Mapping[str, object], text: str) -> dict[str, str]:
    """7.x and 8.x call the same things differently."""
    trace = found.get("stacktrace") or found.get("error.stack_trace") or ()
    message = found.get("message")
    lines = [str(message) if message is not None else text,
             *([trace] if isinstance(trace, str) else map(str, trace)
               if isinstance(trace, list) else ())]
    known = {"message": _short("\n".join(lines))}
    for name, others in (("level", ("log.level", "level")),
                         ("logger", ("log.logger", "component"))):
        value = next((found[one] for one in others if isinstance(found.get(one), str)), None)
        if value is not None:
            known[name] = str(value).strip()
    moment = utc(str(found.get("@timestamp") or found.get("timestamp") or ""))
    return known if moment is None else known | {"@timestamp": moment}


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS - 1] + "…"


def utc(text: str) -> str | None:
    """A moment of a log in UTC, to the millisecond; without a zone it is in this machine's."""
    try:
        moment = datetime.fromisoformat(text.replace(",", "."))
        return (moment.astimezone(UTC).isoformat(timespec="milliseconds")
                .replace("+00:00", "Z"))
    except (ValueError, OverflowError, OSError):
        return None
