"""An empty store of each kind, for all that every store does."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from esaas.framework.store import opening
from esaas.framework.store.contract import Store

from ..zookeepers import RealZooKeeper

Open = Callable[[], Store]


@pytest.fixture(params=["sqlite", pytest.param("zookeeper", marks=pytest.mark.system)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind, by what ``open_store`` takes."""
    if request.param == "sqlite":
        return str(tmp_path)
    server: RealZooKeeper = request.getfixturevalue("zookeeper")
    return f"zk://{server.hosts}/{tmp_path.name}"


@pytest.fixture
def open_store(place: str) -> Iterator[Open]:
    """Opens the same store again and again; all are closed at the end."""
    opened: list[Store] = []

    def make() -> Store:
        opened.append(opening.open_store(place))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()
