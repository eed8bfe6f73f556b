"""The ELF patch, on a small image that has just the tables it changes."""

import struct

import pytest
from esaas.local.embedded.elf import (
    DT_NEEDED,
    DT_STRTAB,
    DT_VERNEED,
    DT_VERNEEDNUM,
    DT_VERSYM,
    PT_DYNAMIC,
    PT_LOAD,
    VER_FLG_WEAK,
    Elf,
    patch,
)
from esaas.local.embedded.errors import EmbeddedError

HEADERS, DYNAMIC, STRINGS, VERSYM, VERNEED, SIZE = 64, 176, 288, 400, 412, 512
SHIFT = 0x1000  # virtual addresses are not file offsets
STRTAB = b"\0libssl.so.1.0.0\0libz.so.1\0OPENSSL_1.0.0\0GLIBC_2.2\0"
VERSIONS = [0, 1, 2, 3, 0x8002, 3]  # local, global, OpenSSL, glibc, hidden OpenSSL, glibc


def at(name: bytes) -> int:
    return STRTAB.index(name)


def image() -> bytearray:
    out = bytearray(SIZE)
    out[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", out, 32, HEADERS)
    struct.pack_into("<HH", out, 54, 56, 2)
    segments = (PT_LOAD, 0, SHIFT, SIZE), (PT_DYNAMIC, DYNAMIC, DYNAMIC + SHIFT, 112)
    for i, (kind, offset, address, size) in enumerate(segments):
        entry = kind, 0, offset, address, 0, size, size, 0
        struct.pack_into("<IIQQQQQQ", out, HEADERS + 56 * i, *entry)
    dynamic = (
        (DT_NEEDED, at(b"libssl")), (DT_NEEDED, at(b"libz")), (DT_STRTAB, STRINGS + SHIFT),
        (DT_VERSYM, VERSYM + SHIFT), (DT_VERNEED, VERNEED + SHIFT), (DT_VERNEEDNUM, 2), (0, 0),
    )  # fmt: skip
    for i, pair in enumerate(dynamic):
        struct.pack_into("<qQ", out, DYNAMIC + 16 * i, *pair)
    out[STRINGS : STRINGS + len(STRTAB)] = STRTAB
    struct.pack_into(f"<{len(VERSIONS)}H", out, VERSYM, *VERSIONS)
    for i, (library, version, index) in enumerate(
        ((b"libssl", b"OPENSSL_", 2), (b"libz", b"GLIBC_", 3))
    ):
        start = VERNEED + 32 * i
        struct.pack_into("<HHIII", out, start, 1, 1, at(library), 16, 32 if i == 0 else 0)
        struct.pack_into("<IHHII", out, start + 16, 0, 0, index, at(version), 0)
    return out


def test_a_library_is_renamed_in_place() -> None:
    elf = Elf(image())
    assert elf.rename_needed({b"libssl.so.1.0.0": b"libssl.so.3"}) == 1
    again = Elf(elf.image)
    assert [again.string(i) for i in again.needed] == [b"libssl.so.3", b"libz.so.1"]


def test_foreign_versions_become_weak_and_their_symbols_global() -> None:
    elf = Elf(image())
    indexes = elf.weaken_versions((b"OPENSSL_",))
    assert indexes == {2}
    assert elf.unbind_symbols(indexes) == 2
    assert elf.read("6H", VERSYM) == (0, 1, 1, 3, 1, 3)
    assert elf.read("IHHII", VERNEED + 16)[1] == VER_FLG_WEAK
    assert elf.read("IHHII", VERNEED + 48)[1] == 0


def test_a_file_is_patched_once_for_all(tmp_path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(image())
    done = patch(path)
    assert (done.libraries_renamed, done.versions_weakened, done.symbols_unbound) == (1, 1, 2)
    assert path.stat().st_size == SIZE
    once = path.read_bytes()
    assert patch(path).libraries_renamed == 0
    assert path.read_bytes() == once


@pytest.mark.parametrize("start", [b"\x7fELF\x01\x01", b"#!/bin"])
def test_another_kind_of_file_is_refused(start: bytes) -> None:
    with pytest.raises(EmbeddedError, match="64-bit little-endian"):
        Elf(bytearray(start.ljust(100, b"\0")))


def test_an_address_outside_all_segments_is_an_error() -> None:
    with pytest.raises(EmbeddedError, match="in no segment"):
        Elf(image()).offset(SHIFT + SIZE)
