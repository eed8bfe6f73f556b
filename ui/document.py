"""Writes the OpenAPI document of the API: ``python -m esaas.ui.document [FILE]``."""
from __future__ import annotations

import json
import sys
from pathlib import Path

from .openapi import document
from .routes import ROUTES


def text() -> str:
    """The document as it is kept in the tree."""
    return json.dumps(document(ROUTES), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())
