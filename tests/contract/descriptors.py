"""Mesos' own message descriptors, out of the library that the data centre in a box runs."""
from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

ROOTS = ("mesos/v1/mesos.proto", "mesos/v1/scheduler/scheduler.proto")
_VARINT, _LENGTH = 0, 2
# Fields of FileDescriptorProto (descriptor.proto) and their wire types.
_FIELDS = {1: _LENGTH, 2: _LENGTH, 3: _LENGTH, 4: _LENGTH, 5: _LENGTH, 6: _LENGTH, 7: _LENGTH,
           8: _LENGTH, 9: _LENGTH, 10: _VARINT, 11: _VARINT, 12: _LENGTH}
_SINGULAR = {1, 2, 8, 9, 12}


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80 or shift > 35:
            return value, at


def serialized(data: mmap.mmap, name: str) -> bytes:
    """The FileDescriptorProto that is embedded for a file; LookupError when there is none."""
    key = b"\x0a" + bytes([len(name)]) + name.encode()
    start = data.find(key)
    if start < 0:
        raise LookupError(f"{name} is not in the library")
    at, seen = start, set()
    while True:
        tag, after = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if _FIELDS.get(number) != wire or (number in _SINGULAR and number in seen):
            return data[start:at]
        seen.add(number)
        value, after = _varint(data, after)
        at = after + value if wire == _LENGTH else after


class MesosMessages:
    """Messages of the v1 API by name, for instance ``mesos.v1.scheduler.Call``."""

    def __init__(self, library: Path) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        self._added: set[str] = set()
        with library.open("rb") as file, mmap.mmap(
                file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for name in ROOTS:
                self._add(data, name)

    def _add(self, data: mmap.mmap, name: str) -> None:
        if name in self._added:
            return
        self._added.add(name)
        blob = serialized(data, name)
        for needed in descriptor_pb2.FileDescriptorProto.FromString(blob).dependency:
            self._add(data, needed)
        self._pool.AddSerializedFile(blob)

    def empty(self, name: str) -> Any:
        """A new message."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(name))()

    def parse(self, name: str, body: dict[str, Any]) -> Any:
        """The message that Mesos reads; ParseError for what it does not know."""
        found = json_format.ParseDict(body, self.empty(name), ignore_unknown_fields=False)
        assert found.IsInitialized(), found.FindInitializationErrors()
        return found

    @staticmethod
    def as_json(message: Any) -> dict[str, Any]:
        """A message in the JSON of Mesos: names of fields as in the file."""
        found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
        return found
