"""The doors over the service itself, without a Mesos master: the stand-in does not flatter."""
from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask, post_form
from esaas.framework.service.clusters import Clusters
from esaas.framework.settings import Settings
from esaas.ui import present
from live_app import PATIENCE_S, LiveApp

SPEC = {"name": "demo", "tenant": "t", "version": "6.8.23", "groups": [{"name": "n", "count": 3}]}
DEMO = "/v1/clusters/demo"


@pytest.fixture
def real(tmp_path: Path) -> Iterator[LiveApp]:
    """The application over the service, with one cluster that nobody has placed yet."""
    service = Clusters(Settings.model_validate({
        "mesos_master": "127.0.0.1:1", "state_dir": str(tmp_path),
        "distributions": {"6.8.23": {"url": "https://host/es.zip", "sha256": "a" * 64}}}))
    app = LiveApp(service, executor_file=service.executor_file)  # type: ignore[arg-type]

    def run(work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, app.loop).result(PATIENCE_S)

    run(service.start())
    assert ask(app, "POST", "/v1/clusters", SPEC).status == 202
    yield app
    run(service.stop())
    app.close()


def test_a_change_and_the_way_back_by_rest(real: LiveApp) -> None:
    spec = ask(real, "GET", DEMO).json["spec"]
    same = ask(real, "PUT", f"{DEMO}?dry_run=1", spec)
    assert (same.status, same.json["changed"]) == (200, False)
    spec["groups"][0]["count"] = 5
    dry = ask(real, "PUT", f"{DEMO}?dry_run=1", spec)
    assert (dry.status, dry.json["preview"]["starts"]) == (200, ["n-4", "n-5"])
    assert ask(real, "PUT", DEMO, spec).status == 202
    found = ask(real, "GET", f"{DEMO}/revisions").json
    assert [(one["revision"], one["changes"]) for one in found] == [
        (2, ["groups.n.count: 3 -> 5"]), (1, [])]
    back = ask(real, "POST", f"{DEMO}/rollback?dry_run=1", {"revision": 1})
    assert back.status == 409
    assert "cluster_formed" in {fault["rule"] for fault in back.json["error"]["faults"]}
    assert ask(real, "POST", f"{DEMO}/rollback", {"revision": 7}).status == 404
    odd = ask(real, "POST", f"{DEMO}/scale?override=nonsense", {"group": "n", "count": 6})
    assert set(odd.faults) == {"override"}


def test_pause_restart_and_delete_by_rest(real: LiveApp) -> None:
    for tail, status in (("pause", 202), ("pause", 200), ("continue", 202), ("continue", 200),
                         ("restart", 202), ("nodes/n-1/restart", 202), ("nodes/x/restart", 404)):
        assert ask(real, "POST", f"{DEMO}/{tail}", {}).status == status, tail
    assert ask(real, "DELETE", f"{DEMO}?confirm=demo").status == 202
    # Without Mesos the deletion cannot end: the cluster is still there to refuse.
    assert ask(real, "POST", f"{DEMO}/restart", {}).status == 409
    assert ask(real, "PUT", DEMO, SPEC | {"description": "x"}).status == 409


def test_a_change_by_page(real: LiveApp) -> None:
    path = "/clusters/demo/edit"
    text = present.spec_text(ask(real, "GET", DEMO).json["spec"])
    as_it_is = post_form(real, path, path, {"spec": text, "go": "preview"})
    assert "that already" in as_it_is.text
    less = post_form(real, path, path, {"spec": text.replace("count: 3", "count: 2")})
    assert less.status == 409
    assert "can override one rule only" in less.text
    text = text.replace("count: 3", "count: 4")
    preview = post_form(real, path, path, {"spec": text, "go": "preview"})
    assert "<strong>n-4</strong>" in preview.text
    seal = re.findall(r'name="previewed" value="(\w+)"', preview.text)[0]
    done = post_form(real, path, path, {"spec": text, "go": "apply", "previewed": seal})
    assert done.headers["Location"] == "/clusters/demo?notice=updated"
    for page in ("", "/revisions", "/edit"):
        assert ask(real, "GET", f"/clusters/demo{page}").status == 200
    assert ask(real, "GET", "/clusters/demo/revisions?to=1").status == 409
    assert ask(real, "GET", "/clusters/demo/revisions?to=9").status == 404


def test_the_executor_of_today_is_served(real: LiveApp) -> None:
    file = real.service.executor_file  # type: ignore[attr-defined]
    got = ask(real, "GET", f"/v1/executor/{file.name}")
    assert (got.status, got.body) == (200, file.read_bytes())
