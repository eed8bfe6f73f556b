"""Builds the distribution of stand-ins: a zip that executors take for Elasticsearch 6.8.23.

Its nodes are the small programs of ``bench/standin_es``. They hold no data and say everywhere that
they stand in; what is measured with them is the service, Mesos and the executors, not search.
"""
from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from esaas.local.fetch.elasticsearch import CatalogEntry

from bench import standin_es

VERSION = "6.8.23"
NAME = f"stand-in-elasticsearch-{VERSION}"
SCRIPT = b"""#!/bin/sh
# No site-packages, nothing of the environment: it starts at once and stays small.
exec python3 -E -s -S "$(dirname "$0")/../lib/start.py"
"""
START = b"from standin_es.node import main\n\nmain()\n"
JAVA = b"#!/bin/sh\necho 'a stand-in has no Java' >&2\nexit 1\n"
EXECUTABLE, PLAIN = 0o755, 0o644
MADE = (1980, 1, 1, 0, 0, 0)            # the same bytes give the same hash


def build(target: Path) -> CatalogEntry:
    """Write the zip into a directory; its entry in a catalog of distributions."""
    members = {"bin/elasticsearch": (SCRIPT, EXECUTABLE), "jdk/bin/java": (JAVA, EXECUTABLE),
               "config/elasticsearch.yml": (b"", PLAIN), "lib/start.py": (START, PLAIN),
               "config/jvm.options": (b"# stand-in\n", PLAIN)}
    for path in sorted(Path(standin_es.__path__[0]).glob("*.py")):
        members[f"lib/standin_es/{path.name}"] = path.read_bytes(), PLAIN
    archive = target / f"{NAME}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, (content, mode) in members.items():
            member = zipfile.ZipInfo(f"{NAME}/{name}", MADE)
            member.external_attr = (0o100000 | mode) << 16
            zipped.writestr(member, content)
    archive.chmod(PLAIN)                # executors of another user read it
    return {"url": archive.as_uri(), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
