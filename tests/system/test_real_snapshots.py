"""Snapshots of real clusters: made on a timer, kept, drilled, restored here and elsewhere."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.client import Refused
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from .service import Service, operations, run, spec, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
DOCUMENTS = 200


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Three agents."""
    with temporary_data_centre(3, principals={"demo": "demo"}) as centre:
        yield centre


def wish(shared: Path, **more: Any) -> dict[str, Any]:
    """The repository of everybody."""
    return {"repository": {"type": "fs", "settings": {
        "location": f"{shared}/{{tenant}}/{{cluster}}"}}, "keep": 2} | more


class WithDefault(Service):
    """One whose platform has a repository for everybody."""

    @property
    def default(self) -> Path:
        """The file with what clusters get."""
        return self.directory / "snapshots.json"

    def options(self) -> list[str]:
        """With the repository."""
        return ["--snapshots", str(self.default)]


@pytest.fixture(scope="module")
def service(box: DataCentre, shared: Path,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A green cluster of two nodes with snapshots, and documents in it."""
    directory = tmp_path_factory.mktemp("service")
    found = WithDefault(box, directory, ("demo",))
    found.default.write_text(json.dumps(wish(shared)))
    found.start()
    with found:
        found.client.post("/v1/clusters", spec("demo", "demo", 2))
        found.green("demo", 2)
        for number in range(DOCUMENTS):
            found.es("demo", f"/pets/_doc/{number}", "PUT", {"name": f"cat {number}"})
        found.es("demo", "/pets/_flush", "POST")
        yield found


def counted(service: Service, index: str, cluster: str = "demo") -> int:
    """Documents of an index."""
    service.es(cluster, f"/{index}/_refresh", "POST")
    return int(service.es(cluster, f"/{index}/_count")["count"])


def test_the_first_one_is_made_without_being_asked_for(service: Service) -> None:
    first = wait_for("the first snapshot", lambda: next(
        (one for one in operations(service, "snapshot") if one["status"] == "done"), None), 300)
    [checked] = operations(service, "put_repository")
    assert checked["status"] == "done" and checked["message"].startswith("2 nodes")
    listed = service.es("demo", "/_snapshot/esaas/_all")["snapshots"]
    assert [one["snapshot"] for one in listed] == [first["parameters"]["snapshot"]]
    told = service.client.get("/v1/clusters/demo/snapshots")
    # It may have been made before there was an index.
    assert [(one["name"], one["status"], one["own"], one["indices"]) for one in told["listed"]] == [
        (first["parameters"]["snapshot"], "SUCCESS", True, listed[0]["indices"])]
    assert told["newest"] == told["listed"][0]["name"] and told["next_at"] > told["at"]


def test_a_crash_in_the_middle_makes_no_second_one_and_old_ones_go(service: Service) -> None:
    begun = service.client.post("/v1/clusters/demo/operations", {"kind": "snapshot"})
    service.kill()
    service.start()
    done = wait_for("it to end", lambda: next(
        (one for one in operations(service, "snapshot")
         if one["id"] == begun["id"] and one["status"] == "done"), None), 300)
    assert run(service, "snapshot")["status"] == "done"

    def names() -> list[str]:
        return [one["snapshot"] for one in service.es(
            "demo", "/_snapshot/esaas/_all")["snapshots"]]

    wait_for("the oldest to be deleted", lambda: len(names()) == 2, 200)
    assert names()[0] == done["parameters"]["snapshot"]


def test_indices_come_back_under_new_names_and_nothing_is_written_over(service: Service) -> None:
    newest = service.es("demo", "/_snapshot/esaas/_all")["snapshots"][-1]["snapshot"]
    service.es("demo", "/pets/_doc/0", "DELETE")
    restored = run(service, "restore", snapshot=newest, index="pets", prefix="back-")
    assert restored["status"] == "done", restored["message"]
    assert counted(service, "back-pets") == DOCUMENTS
    assert counted(service, "pets") == DOCUMENTS - 1
    again = run(service, "restore", snapshot=newest, index="pets", prefix="back-")
    assert again["status"] == "failed" and "back-pets" in again["message"]
    with pytest.raises(Refused) as caught:
        service.client.post("/v1/clusters/demo/operations", {
            "kind": "restore", "snapshot": "No Name", "prefix": "/", "from_cluster": "other"})
    assert caught.value.status == 422


def test_a_drill_restores_counts_and_leaves_nothing(service: Service) -> None:
    drilled = run(service, "restore_drill")
    assert drilled["status"] == "done" and "documents in" in drilled["message"]
    listed = service.es("demo", "/_cat/indices?format=json&h=index")
    assert not [one for one in listed if one["index"].startswith("esaas-drill-")]


def test_another_cluster_restores_it_and_may_not_write_there(
        service: Service, shared: Path) -> None:
    theirs = wish(shared)
    theirs["repository"]["settings"] = {"location": f"{shared}/demo/demo"}
    with pytest.raises(Refused) as caught:
        service.client.post("/v1/clusters", spec("copy", "demo", 2, snapshots=theirs))
    assert caught.value.status == 422 and [fault.rule for fault in caught.value.faults] == [
        "repository_not_shared"]
    service.client.post("/v1/clusters", spec("copy", "demo", 2, snapshots=wish(shared)))
    service.green("copy", 2)
    newest = service.es("demo", "/_snapshot/esaas/_all")["snapshots"][-1]["snapshot"]
    wait_for("its own first snapshot", lambda: any(
        one["status"] == "done" for one in operations(service, "expire_snapshots", "copy")), 300)
    restored = run(service, "restore", "copy", snapshot=newest, index="pets",
                   from_cluster="demo")
    assert restored["status"] == "done", restored["message"]
    assert counted(service, "restored-pets", "copy") == DOCUMENTS
    [there] = service.es("copy", "/_snapshot/esaas-from-demo").values()
    assert there["settings"]["readonly"] == "true"
