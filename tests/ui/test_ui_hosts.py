"""Hosts by API and command line: who may see and drain them, what is refused, waiting."""
from __future__ import annotations

import json

import pytest
from asking import ask
from esaas.framework.commands import agents
from esaas.framework.commands.frame import TIMED_OUT
from live_app import LiveApp
from people import ADMIN, bearer
from shell import esaas


def test_a_host_is_drained_and_put_back(live: LiveApp) -> None:
    host = ask(live, "GET", "/v1/agents").json[0]["host"]
    assert not ask(live, "GET", f"/v1/agents/{host}").json["empty"]
    drained = ask(live, "POST", f"/v1/agents/{host}/drain", {"lasts_s": 600})
    assert (drained.status, drained.json["maintenance"]["mode"]) == (200, "stop")
    assert drained.json["empty"]
    restored = ask(live, "DELETE", f"/v1/agents/{host}/drain")
    assert restored.status == 200 and restored.json["maintenance"] is None


def test_bad_requests_change_nothing(live: LiveApp) -> None:
    host = ask(live, "GET", "/v1/agents").json[0]["host"]
    got = ask(live, "POST", f"/v1/agents/{host}/drain", {"mode": "fast", "lasts_s": -1, "x": 1})
    assert got.status == 422 and {"mode", "lasts_s", "x"} <= got.faults.keys()
    assert ask(live, "POST", "/v1/agents/nowhere/drain", {}).status == 404
    assert ask(live, "GET", "/v1/agents/..%2fx").status == 404
    assert live.service.drained == {}


def test_only_an_admin_drains_and_others_nodes_are_not_shown(guarded: LiveApp) -> None:
    everything = ask(guarded, "GET", "/v1/agents", headers=ADMIN).json
    tenants = {seat["tenant"] for one in everything for seat in one["nodes"]}
    assert len(tenants) > 1
    operator = bearer(guarded, "operator", "flights")
    mine = ask(guarded, "GET", "/v1/agents", headers=operator).json
    assert {seat["tenant"] for one in mine for seat in one["nodes"]} == {"flights"}
    host = everything[0]["host"]
    assert ask(guarded, "POST", f"/v1/agents/{host}/drain", {}, operator).status == 403
    assert ask(guarded, "DELETE", f"/v1/agents/{host}/drain", None, operator).status == 403
    assert ask(guarded, "GET", "/v1/agents").status == 401


def test_the_command_line_waits_until_a_host_is_empty(
        live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "POLL_S", 0.01)
    host = ask(live, "GET", "/v1/agents").json[0]["host"]
    listed = esaas(live, "agent", "list")
    assert listed.exit_code == 0 and host in listed.stdout
    done = esaas(live, "agent", "drain", host, "--for", "600", "--wait")
    assert done.exit_code == 0 and "empty" in done.stdout
    assert esaas(live, "agent", "restore", host).exit_code == 0
    told = esaas(live, "agent", "drain", host, "--mode", "move", "--json")
    assert json.loads(told.stdout)[0]["maintenance"]["mode"] == "move"


def test_the_command_line_gives_up_when_the_time_is_over(
        live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "POLL_S", 0.01)
    live.service.slow_drains = True
    host = ask(live, "GET", "/v1/agents").json[0]["host"]
    late = esaas(live, "agent", "drain", host, "--wait", "--timeout", "0.05")
    assert late.exit_code == TIMED_OUT and "is not empty" in late.stderr


def test_an_orphan_that_is_not_there_is_refused(live: LiveApp) -> None:
    refused = esaas(live, "agent", "release-orphan", "demo", "node-9.1", text="node-9.1\n")
    assert refused.exit_code == 1 and "no orphan" in refused.stderr
