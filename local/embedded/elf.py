"""Patches the ELF tables of the Mesos library so that Debian 12's loader accepts it.

Two libraries of OpenSSL 1.0 are renamed to those of OpenSSL 3, and versions of symbols that no
library of today defines are dropped (docs/embedded-mesos.md, "The ELF patch").
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import EmbeddedError

# Only TLS code and tokens call these; the new names are shorter, so they fit in place.
RENAMED = {
    b"libssl.so.1.0.0": b"libssl.so.3",
    b"libcrypto.so.1.0.0": b"libcrypto.so.3",
}
FOREIGN_VERSIONS = (b"OPENSSL_", b"CURL_")

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5
DT_VERSYM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFF0, 0x6FFFFFFE, 0x6FFFFFFF
VER_FLG_WEAK, VER_NDX_GLOBAL, VERSYM_HIDDEN = 2, 1, 0x8000


@dataclass(frozen=True, slots=True)
class Patched:
    """What a patch changed."""

    libraries_renamed: int
    versions_weakened: int
    symbols_unbound: int


class Elf:
    """The few tables of a 64-bit little-endian shared object that we change, in place."""

    def __init__(self, image: mmap.mmap | bytearray) -> None:
        self.image = image
        if bytes(image[:6]) != b"\x7fELF\x02\x01":
            raise EmbeddedError("not a 64-bit little-endian ELF file")
        self.loads: list[tuple[int, int, int]] = []
        self.needed: list[int] = []
        self.tags: dict[int, int] = {}
        self._read_dynamic(self._read_segments())
        self.strings = self.offset(self.tags[DT_STRTAB])

    def _read_segments(self) -> tuple[int, int]:
        (offset,) = self.read("Q", 32)
        size, count = self.read("HH", 54)
        dynamic = None
        for i in range(count):
            kind, _, at, address, _, length, _, _ = self.read("IIQQQQQQ", offset + i * size)
            if kind == PT_LOAD:
                self.loads.append((address, at, length))
            elif kind == PT_DYNAMIC:
                dynamic = (at, length)
        if dynamic is None:
            raise EmbeddedError("the ELF file has no dynamic section")
        return dynamic

    def _read_dynamic(self, dynamic: tuple[int, int]) -> None:
        for at in range(dynamic[0], sum(dynamic), 16):
            tag, value = self.read("qQ", at)
            if tag == DT_NULL:
                break
            if tag == DT_NEEDED:
                self.needed.append(value)
            else:
                self.tags[tag] = value

    def read(self, layout: str, at: int) -> tuple[Any, ...]:
        """Little-endian numbers at a file offset, as ``struct`` names them."""
        return struct.unpack_from("<" + layout, self.image, at)

    def offset(self, address: int) -> int:
        """File offset of a virtual address. Raises EmbeddedError if no segment has it."""
        for start, at, length in self.loads:
            if start <= address < start + length:
                return address - start + at
        raise EmbeddedError(f"address {address:#x} is in no segment")

    def string(self, index: int) -> bytes:
        """An entry of the dynamic string table."""
        start = self.strings + index
        return bytes(self.image[start : self.image.find(b"\0", start)])

    def rename_needed(self, names: dict[bytes, bytes]) -> int:
        """Put shorter names over needed libraries; how many. The table keeps its size."""
        count = 0
        for index in self.needed:
            old = self.string(index)
            if new := names.get(old):
                start = self.strings + index
                self.image[start : start + len(old)] = new.ljust(len(old), b"\0")
                count += 1
        return count

    def weaken_versions(self, prefixes: tuple[bytes, ...]) -> set[int]:
        """Flag needed versions of these names as weak; their indexes."""
        indexes: set[int] = set()
        at = self.offset(self.tags[DT_VERNEED])
        for _ in range(self.tags[DT_VERNEEDNUM]):
            _, count, _, aux, following = self.read("HHIII", at)
            entry = at + aux
            for _ in range(count):
                _, flags, index, name, next_entry = self.read("IHHII", entry)
                if self.string(name).startswith(prefixes):
                    struct.pack_into("<H", self.image, entry + 4, flags | VER_FLG_WEAK)
                    indexes.add(index)
                entry += next_entry
            at += following
        return indexes

    def unbind_symbols(self, indexes: set[int]) -> int:
        """Let symbols bound to these versions take any version; how many."""
        # .gnu.version lies right before .gnu.version_r: that gives its length.
        table = self.offset(self.tags[DT_VERSYM])
        changed = 0
        for i in range((self.tags[DT_VERNEED] - self.tags[DT_VERSYM]) // 2):
            (version,) = self.read("H", table + 2 * i)
            if version & ~VERSYM_HIDDEN in indexes:
                struct.pack_into("<H", self.image, table + 2 * i, VER_NDX_GLOBAL)
                changed += 1
        return changed


def patch(path: Path) -> Patched:
    """Patch a library file in place. Raises EmbeddedError if it is no such file."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as image:
        elf = Elf(image)
        renamed = elf.rename_needed(RENAMED)
        indexes = elf.weaken_versions(FOREIGN_VERSIONS)
        done = Patched(renamed, len(indexes), elf.unbind_symbols(indexes))
        image.flush()
    return done
