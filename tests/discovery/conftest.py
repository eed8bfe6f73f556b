"""What the tests of discovery share."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .standins import StandInEndpoints


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name: the path of a socket has room for 107 characters."""
    with TemporaryDirectory(prefix="esaas-lb-") as folder:
        yield Path(folder)


@pytest.fixture
def service() -> Iterator[StandInEndpoints]:
    """A service that tells of endpoints, as the test sets them."""
    found = StandInEndpoints()
    yield found
    found.close()
