"""What the tests of discovery share."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name: the path of a socket has room for 107 characters."""
    with TemporaryDirectory(prefix="esaas-lb-") as folder:
        yield Path(folder)
