"""Real Mesos, real Elasticsearch, a real service process; everything is gone afterwards."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from .service import Service, allocation, url
from .writer import writer

TENANTS = ("demo", "acme")


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """One master and three agents; the tenants authenticate, each for its own roles."""
    with temporary_data_centre(3, principals={tenant: tenant for tenant in TENANTS}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service; its log is shown when a test of the module fails."""
    directory: Path = tmp_path_factory.mktemp("service")
    with Service(box, directory, TENANTS).start() as found:
        yield found


@pytest.fixture(scope="module")
def shared(box: DataCentre) -> Iterator[Path]:
    """A directory that every node reaches, and may write to; pytest's own are for root only."""
    with tempfile.TemporaryDirectory(prefix="esaas-snapshots-") as directory:
        if os.geteuid() == 0:
            shutil.chown(directory, box.executor_user)
        yield Path(directory)


@pytest.fixture
def written(service: Service) -> Iterator[None]:
    """Somebody writes all the while: nothing that was acknowledged is lost, and nothing is red."""
    with writer(service) as writing:
        yield
    writing.check(url(service))
    assert allocation(service) == {}
