"""What the first release of the service stored, for tests of an upgrade.

``contract/records/first_release.json`` was written by the code of commit 862e4d4.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

RECORDS: dict[str, dict[str, Any]] = orjson.loads(
    (Path(__file__).parent / "contract" / "records" / "first_release.json").read_bytes())
_FIELDS = {record["kind"]: frozenset(record["body"]) for record in RECORDS.values()}


def as_first_release(path: str, data: bytes) -> bytes | None:
    """A record as that release would have stored it; None for one that it did not know."""
    if not path.startswith("clusters/"):
        return None
    record = orjson.loads(data)
    kept = _FIELDS.get(record.get("kind", ""))
    if kept is None:
        return None
    body = {name: value for name, value in record["body"].items() if name in kept}
    return orjson.dumps({**record, "body": body})
