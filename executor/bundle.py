"""Builds the one-file executor: a zip that Python 3.11 runs, with all it needs inside.

Deterministic: the same installed distributions give the same bytes.
"""
from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import marshal
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

SHEBANG = b"#!/usr/bin/env python3\n"
FILE_NAME = "esaas-executor.pyz"
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold

_MAIN = '''\
import os
import sys

# The bundle has protobuf's pure-Python part only.
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"

from esaas.executor.__main__ import main

sys.exit(main(sys.argv[1:]))
'''
# Packages whose own __init__ would pull in, or name, what the executor does not need.
_STUBS = ("esaas", "esaas.framework", "google")
# Modules and packages to take; of packages all modules but those below.
_TAKEN = ("esaas.executor", "esaas.framework.proto", "pymesos", "addict", "six", "http_parser",
          "h11", "google.protobuf")
# pymesos asks for kazoo only to find a master over ZooKeeper; executors never do.
_LEFT_OUT = (
    "esaas.executor.bundle", "pymesos.detector", "pymesos.zkpython",
    "pymesos.subprocess", "h11.tests", "google.protobuf.testdata", "google.protobuf.compiler",
    "google.protobuf.pyext", "google.protobuf.util",
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The file that was built, and the hash of its bytes (64 hex digits)."""

    path: Path
    sha256: str


class BundleError(Exception):
    """A distribution that the executor needs is not installed."""


def build(target: Path) -> Bundle:
    """Write the one-file executor; ``target``: a file, or a directory for ``FILE_NAME``.

    The file appears whole or not at all. Raises ``BundleError`` and ``OSError``.
    """
    path = target / FILE_NAME if target.is_dir() else target
    content = content_of_bundle()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.chmod(temporary, 0o755)
    os.replace(temporary, path)
    return Bundle(path, hashlib.sha256(content).hexdigest())


def content_of_bundle() -> bytes:
    """The bytes of the one-file executor. Raises ``BundleError``."""
    sources = {"__main__.py": _MAIN.encode()}
    sources |= {f"{name.replace('.', '/')}/__init__.py": b"" for name in _STUBS}
    for name in _TAKEN:
        sources |= _sources_of(name)
    version = importlib.metadata.version("esaas")
    buffer = io.BytesIO()
    buffer.write(SHEBANG)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        _add(archive, f"esaas-{version}.dist-info/METADATA",
             f"Metadata-Version: 2.1\nName: esaas\nVersion: {version}\n".encode())
        for name, source in sorted(sources.items()):
            _add(archive, name, source)
            if name != "__main__.py":
                _add(archive, f"{name}c", _compiled(name, source))
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, _TIME)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    member.create_system = 3
    archive.writestr(member, content)


def _compiled(name: str, source: bytes) -> bytes:
    """Byte code that is never checked against its source; other Pythons take the source.

    Marshalled as version 2: from 3 on the bytes depend on which strings the building process
    happens to share, so that two processes would build two different files.
    """
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    is_hash_based, is_checked = 0b01, 0b00  # PEP 552
    return (importlib.util.MAGIC_NUMBER + (is_hash_based | is_checked).to_bytes(4, "little")
            + importlib.util.source_hash(source) + marshal.dumps(code, 2))


def _sources_of(name: str) -> dict[str, bytes]:
    """Archive path to source of a module, or of all wanted modules of a package."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise BundleError(f"{name} is not installed: the executor cannot be built")
    origin = Path(spec.origin)
    folder = name.replace(".", "/")
    # Not by submodule_search_locations: six gives itself an empty one once it is imported.
    if origin.name != "__init__.py":
        return {f"{folder}.py": origin.read_bytes()}
    found = {}
    for path in sorted(origin.parent.rglob("*.py")):
        inner = path.relative_to(origin.parent)
        module = ".".join([name, *inner.with_suffix("").parts])
        if not any(module == out or module.startswith(out + ".") for out in _LEFT_OUT):
            found[f"{folder}/{inner.as_posix()}"] = path.read_bytes()
    return found
