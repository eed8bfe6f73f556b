"""One real ZooKeeper for all tests that share it."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from .zookeepers import RealZooKeeper, real_zookeeper


@pytest.fixture(scope="session")
def zookeeper() -> Iterator[RealZooKeeper]:
    """Each test has a root of its own in it, and leaves it running."""
    with real_zookeeper() as server:
        yield server
