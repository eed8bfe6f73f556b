"""Alerts about figures, snapshots, hosts, Mesos and the store, on real parts; told in order.

Each is made to fire by what it is about, and to be over again. The life of ``test_real_alerts`` is
another: here the store is a real ZooKeeper, and there are two clusters.
"""
from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from ..alerts.hooks import Hook
from .alerting import AT_ONCE, Alerting, hook, listed, told
from .service import Service, es_request, operations, run, spec, wait_for
from .writer import writer

pytestmark = [pytest.mark.system, pytest.mark.long, pytest.mark.timeout(1500)]
__all__ = ["hook"]                      # a fixture
QUIET = {"host_load": {"above": 1000}, "host_disk": {"above": 100}}
LOUD = {"host_load": {"above": 0.0001, "for_s": 0}, "host_disk": {"above": 0.01, "for_s": 0}}
EVERYWHERE = {"mesos_away": AT_ONCE, "store_trouble": AT_ONCE}
# A node that turns work away soon: one write at a time, and one that waits.
NARROW = {"thread_pool.write.size": 1, "thread_pool.write.queue_size": 1}
BURST, DOCUMENTS_A_REQUEST = 24, 300
FILL_MB, FILL_EVERY_S = 60, 10.0


class Measuring(Alerting):
    """One that measures often."""

    more = ("--measure", "3")


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Two agents and a ZooKeeper, which is the store, too."""
    principals = {"demo": "demo", "acme": "acme"}
    with temporary_data_centre(2, principals=principals, zookeeper=True) as centre:
        yield centre


@pytest.fixture(scope="module")
def shut(box: DataCentre) -> Iterator[Path]:
    """A directory for snapshots that nobody but root may write to, for now."""
    with tempfile.TemporaryDirectory(prefix="esaas-snapshots-") as directory:
        Path(directory).chmod(0o555)
        yield Path(directory)


@pytest.fixture(scope="module")
def service(box: DataCentre, hook: Hook, shut: Path,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerting]:
    """Two green clusters; demo wants snapshots where nobody may write."""
    found = Measuring(box, tmp_path_factory.mktemp("service"), ("demo", "acme"),
                      store=f"zk://{box.zookeeper_address}/esaas")
    found.told_to(hook, EVERYWHERE | LOUD)
    with found.start():
        found.client.post("/v1/clusters", wish(shut))
        found.client.post("/v1/clusters", spec("acme", "acme", 2))
        for name in ("demo", "acme"):
            found.green(name, 2)
        yield found


def wish(shut: Path, **limits: Any) -> dict[str, Any]:
    """The spec of demo with limits for alerts."""
    always = {"snapshot_failed": AT_ONCE, "snapshot_late": AT_ONCE,
              "snapshot_drill_failed": AT_ONCE,
              "disk_full_soon": {"above": 1e9, "for_s": 0}}
    return spec("demo", "demo", 2, settings=NARROW, alerts=always | limits, snapshots={
        "repository": {"type": "fs", "settings": {"location": f"{shut}/{{cluster}}"}}})


def limited(service: Service, shut: Path, **limits: Any) -> None:
    """Other limits for demo, which restart no node."""
    before = {node["name"]: node["task_id"] for node in service.show("demo")["nodes"]}
    service.client.put("/v1/clusters/demo", wish(shut, **limits))
    assert {node["name"]: node["task_id"] for node in service.show("demo")["nodes"]} == before


def over(service: Service, hook: Hook, *rules: str) -> None:
    """Wait until nothing of these rules is listed, and that was told."""
    for rule in rules:
        wait_for(f"{rule} to be over", lambda one=rule: listed(service, one) == [] and "over")
        wait_for(f"{rule} to be told over", lambda one=rule: told(hook, one, "resolved"))


@pytest.fixture(scope="module")
def filling(box: DataCentre) -> Iterator[None]:
    """A disk that fills while the tests of this module run: Mesos' own, a piece at a time."""
    stop = threading.Event()
    with tempfile.TemporaryDirectory(dir=box.places.root) as directory:
        def fill() -> None:
            number = 0
            while not stop.wait(FILL_EVERY_S) and shutil.disk_usage(directory).free > 2**33:
                Path(directory, str(number)).write_bytes(os.urandom(FILL_MB * 2**20))
                number += 1
        thread = threading.Thread(target=fill, name="filling")
        thread.start()
        yield
        stop.set()
        thread.join()


def test_hosts_above_their_limits(service: Alerting, hook: Hook, filling: None) -> None:
    for rule in LOUD:
        wait_for(rule, lambda one=rule: told(hook, one, "firing"))
    assert {one["subject"] for one in listed(service, "host_load")} == {"agent-1", "agent-2"}
    service.kill()
    service.told_to(hook, EVERYWHERE | QUIET)
    service.start()
    over(service, hook, *LOUD)


def test_a_repository_that_nobody_can_write_to(
        box: DataCentre, service: Service, hook: Hook, shut: Path) -> None:
    for rule in ("snapshot_failed", "snapshot_late"):
        wait_for(rule, lambda one=rule: told(hook, one, "firing"))
    [failed] = listed(service, "snapshot_failed")
    assert failed["runbook"] == "docs/runbooks.md#snapshot_failed"
    shut.chmod(0o777)


def test_garbage_and_the_old_generation(service: Service, hook: Hook, shut: Path) -> None:
    limited(service, shut, gc_time={"above": 0, "for_s": 0},
            old_generation={"above": 0.01, "for_s": 0})
    with writer(service):
        for rule in ("gc_time", "old_generation"):
            wait_for(rule, lambda one=rule: told(hook, one, "firing"))
    limited(service, shut)
    over(service, hook, "gc_time", "old_generation")


def burst(service: Service) -> int:
    """Many heavy writes at once; how many were turned away."""
    urls = [f"http://{node['http_address']}" for node in service.nodes("demo").values()]
    body = "".join(f'{{"index":{{"_index":"many","_type":"_doc"}}}}\n{{"text":"{"x" * 500}"}}\n'
                   for _ in range(DOCUMENTS_A_REQUEST))

    def one(number: int) -> int:
        try:
            answer = es_request(urls[number % len(urls)], "/_bulk", "POST", body)
        except HTTPError as error:
            return int(error.code == 429)
        return sum(item["index"]["status"] == 429 for item in answer["items"])
    with ThreadPoolExecutor(BURST) as pool:
        return sum(pool.map(one, range(2 * BURST)))


def test_requests_that_are_turned_away(service: Service, hook: Hook, shut: Path) -> None:
    limited(service, shut, rejections={"above": 0, "for_s": 0})
    wait_for("rejections", lambda: burst(service) > 0 and told(hook, "rejections", "firing"))
    over(service, hook, "rejections")


def test_a_node_that_starts_again_and_again(service: Service, hook: Hook, shut: Path) -> None:
    limited(service, shut, node_restarting={"above": 0, "for_s": 0})
    os.kill(service.nodes("demo")["node-2"]["pid"], signal.SIGKILL)
    wait_for("it", lambda: told(hook, "node_restarting", "firing"))
    assert [one["subject"] for one in listed(service, "node_restarting")] == ["node-2"]
    limited(service, shut)              # it counts for an hour: over with the limit alone
    over(service, hook, "node_restarting")
    service.green("demo", 2)


def test_a_disk_that_fills(service: Service, hook: Hook, shut: Path, filling: None) -> None:
    """Any pace is too fast for a limit like this one; a trend takes samples of five minutes."""
    wait_for("the trend", lambda: told(hook, "disk_full_soon", "firing"), 900)
    limited(service, shut, disk_full_soon={"above": 0})     # over in a quarter of an hour


def test_a_cluster_that_does_not_answer(service: Service, hook: Hook, shut: Path) -> None:
    limited(service, shut, cluster_unseen=AT_ONCE, disk_full_soon={"above": 0})
    launches = {name: node["launch"] for name, node in service.nodes("demo").items()}
    pids = [node["pid"] for node in service.nodes("demo").values()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_for("it", lambda: told(hook, "cluster_unseen", "firing"))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    over(service, hook, "cluster_unseen")
    assert {name: node["launch"] for name, node in service.nodes("demo").items()} == launches


def test_a_drill_that_cannot_restore(
        service: Service, hook: Hook, shut: Path) -> None:
    """What failed is tried again after five minutes, so the first snapshot comes late."""
    wait_for("the first snapshot", lambda: any(
        one["status"] == "done" for one in operations(service, "expire_snapshots")), 600)
    over(service, hook, "snapshot_failed", "snapshot_late")
    assert run(service, "snapshot")["status"] == "done"
    [kept] = shut.iterdir()
    away = kept.rename(shut / "away")
    assert run(service, "restore_drill")["status"] == "failed"
    wait_for("it", lambda: told(hook, "snapshot_drill_failed", "firing"))
    away.rename(kept)
    assert run(service, "restore_drill")["status"] == "done"
    over(service, hook, "snapshot_drill_failed")


def kept_leading(box: DataCentre) -> bool:
    """The master is started again when it has ended itself: it may have lost its lead."""
    if not box.master(1).running:
        box.master(1).start()
    return True


def test_a_master_that_hangs_is_one_alert_for_all(
        box: DataCentre, service: Service, hook: Hook) -> None:
    master = box.master(1)
    master.stop()
    try:
        wait_for("it", lambda: told(hook, "mesos_away", "firing"))
    finally:
        master.cont()
    wait_for("the schedulers to be registered", lambda: kept_leading(box) and all(
        service.show(name)["connected"] for name in ("demo", "acme")))
    over(service, hook, "mesos_away")


def test_a_store_that_is_away(box: DataCentre, service: Service, hook: Hook) -> None:
    """Nothing can be stored of it: it is told at once, and again when it is over."""
    before = {name: {node["name"]: node["task_id"] for node in service.show(name)["nodes"]}
              for name in ("demo", "acme")}
    keeper = box.daemon("zookeeper")
    keeper.kill()
    wait_for("it", lambda: told(hook, "store_trouble", "firing"))
    keeper.start()
    wait_for("it to be over", lambda: kept_leading(box) and told(hook, "store_trouble", "resolved"))
    wait_for("the schedulers to be registered", lambda: kept_leading(box) and all(
        service.show(name)["connected"] for name in before))
    for name, tasks in before.items():
        service.green(name, 2)
        assert {node["name"]: node["task_id"] for node in service.show(name)["nodes"]} == tasks


def test_the_disk_is_told_over_at_last(service: Service, hook: Hook) -> None:
    """For demo, which has no limit any more; acme has that of everybody, and its disk does fill."""
    wait_for("it to be over", lambda: "demo" not in {
        one["cluster"] for one in listed(service, "disk_full_soon")}, 1200)
    wait_for("it to be told over", lambda: told(hook, "disk_full_soon", "resolved"))
