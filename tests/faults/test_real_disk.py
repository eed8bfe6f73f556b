"""A node whose disk is full, and free again; on real disks of a few hundred megabytes."""
from __future__ import annotations

import contextlib
import errno
import subprocess
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest
from esaas.local.spec import AgentSpec, Disk
from esaas.local.testing import FIRST_TASK_PORT, temporary_data_centre

from ..system.service import es_request, spec, wait_for
from . import rows
from .ground import NAME, NODES, Ground
from .test_real_faults import first, processes

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(1500)]
SIZE_MB = 400
BLOCK = 1 << 12
FULL_S = 45.0                       # Elasticsearch looks at its disks twice a minute


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """A small file system for each agent."""
    found = []
    for number in range(1, NODES + 1):
        path = tmp_path_factory.mktemp(f"disk-{number}")
        for above in (path, *path.parents[:2]):
            above.chmod(0o755)          # the executor's user goes through it
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=755", "esaas",
                               str(path)], check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file systems can be mounted here: {done.stderr.strip()}")
        found.append(path)
    yield found
    for path in found:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture(scope="module")
def ground(disks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A green cluster whose nodes have those disks."""
    agents = [AgentSpec(
        hostname=f"agent-{number}", attributes={"rack": f"rack-{number}"},
        ports=(FIRST_TASK_PORT + 100 * number, FIRST_TASK_PORT + 100 * number + 99),
        disks=(Disk(type="MOUNT", size_mb=SIZE_MB, path=str(path)),))
        for number, path in enumerate(disks, start=1)]
    with temporary_data_centre(agents, principals={"demo": "demo"}, masters=3,
                               zookeeper=True) as box:
        pair = processes(box, tmp_path_factory)
        with pair[0], pair[1]:
            body = spec(NAME, "demo", NODES)
            body["groups"][0] |= {"disk_type": "MOUNT", "disk_mb": SIZE_MB // 2}
            pair[0].client.post("/v1/clusters", body)
            pair[0].green(NAME, NODES)
            yield Ground(box, pair)
            rows.write()


class _Full(Exception):
    """There is no room left."""


def write_or_full(file: FileIO) -> None:
    """A block more; _Full when there is no room for it."""
    try:
        file.write(bytes(BLOCK))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _Full from error


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left on a disk."""
    filler = disk / "filler"
    try:
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(_Full):
            while True:
                write_or_full(file)
        yield
    finally:
        filler.unlink()


def allow_writes(ground: Ground) -> None:
    """What the person on call does on 6.x once there is room: indices are writable again."""
    url = ground.show()["endpoints"]["http"][0]
    es_request(url, "/_all/_settings", "PUT", {"index.blocks.read_only_allow_delete": None})


def test_a_full_disk_loses_nothing(ground: Ground, disks: list[Path]) -> None:
    def hit(ground: Ground) -> None:
        host = ground.nodes()[first(ground)]["host"]
        with filled(disks[int(host.rpartition("-")[2]) - 1]):
            time.sleep(FULL_S)
        wait_for("no copy to be missing", lambda: (
            allow_writes(ground), ground.show()["health"] == "green")[1], 300)

    row = ground.measure("disk of a node full for 45 s", hit)
    rows.keep(row)
    assert row.found == row.acknowledged > 0 and row.leaks == 0
    assert row.worst_health != "red"


def test_nothing_is_left(ground: Ground, disks: list[Path]) -> None:
    ground.service.client.delete(f"/v1/clusters/{NAME}", confirm=NAME)
    wait_for("the cluster to be gone", lambda: ground.service.client.get("/v1/clusters") == [])
    assert [list(disk.rglob("nodes")) for disk in disks] == [[]] * NODES
