"""Where executors ship logs: wanted, known, told to them; never a reason to restart a node."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.apply import apply
from esaas.framework.core.config import outdated, wanted
from esaas.framework.core.decide import decide
from esaas.framework.core.facts import ClusterState
from esaas.framework.core.spec import ClusterSpec, SpecFaults, parse_spec
from esaas.framework.mesos.translate import seeds_out
from esaas.framework.store.codec import from_records, to_records
from esaas.framework.store.contract import Stored

from .builders import NOW, connected, formed, group, spec

URLS = ("http://10.0.1.1:31000", "http://10.0.1.2:31000")


def shipping(**target: Any) -> ClusterSpec:
    return parse_spec(spec(group(count=3)).model_dump() | {"logs": target})


def started(wish: ClusterSpec | None = None) -> ClusterState:
    return connected(formed(3, wish))


def sent(state: ClusterState) -> list[op.SendSeeds]:
    return [one for one in decide(state, (), NOW).operations if isinstance(one, op.SendSeeds)]


def test_explicit_urls_go_to_every_executor() -> None:
    state = started(shipping(urls=["http://logs.example:9200"]))
    found = decide(state, (), NOW)
    assert found.state.seeds.log_urls == ("http://logs.example:9200",)
    assert found.state.seeds.generation == state.seeds.generation + 1
    told = [one for one in found.operations if isinstance(one, op.SendSeeds)]
    assert {one.task_id for one in told} == {
        state.task_id(record) for record in state.nodes.values()}
    assert all(seeds_out(one.seeds).log_urls == ["http://logs.example:9200"] for one in told)
    again = decide(found.state, (), NOW)
    assert again.state.seeds == found.state.seeds, "decided twice is decided once"


def test_a_cluster_is_followed_and_while_it_is_unknown_nothing_changes() -> None:
    state = started(shipping(cluster="logs"))
    assert not sent(state)
    known = apply(state, ev.LogTargetSeen(NOW, "logs", URLS))
    assert apply(known, ev.LogTargetSeen(NOW, "logs", URLS)) == known
    aimed = decide(known, (), NOW).state
    assert aimed.seeds.log_urls == URLS
    # After a restart of the service the target is not known: executors keep what they have.
    forgotten = replace(aimed, log_targets={})
    assert decide(forgotten, (), NOW).state.seeds == aimed.seeds
    moved = decide(apply(aimed, ev.LogTargetSeen(NOW, "logs", URLS[1:])), (), NOW).state
    assert moved.seeds.log_urls == URLS[1:]
    other = decide(apply(aimed, ev.LogTargetSeen(NOW, "other", ("http://x:1",))), (), NOW).state
    assert other.seeds == aimed.seeds


def test_what_is_wanted_no_more_is_told_too() -> None:
    aimed = decide(started(shipping(urls=["http://a:1"])), (), NOW).state
    ended = decide(replace(aimed, spec=spec(group(count=3))), (), NOW)
    assert ended.state.seeds.log_urls == () and len(
        [one for one in ended.operations if isinstance(one, op.SendSeeds)]) == 3


def test_it_is_durable_and_survives_new_seeds() -> None:
    state = decide(started(shipping(urls=["http://a:1"])), (), NOW).state
    stored = {path: Stored(data, 1) for path, data in to_records(state).items()}
    assert from_records(stored, state.identity.name).seeds == state.seeds
    # A node that goes changes the addresses, not where logs are shipped.
    gone = apply(apply(state, ev.RetireIntended(NOW, "node-3", "why")),
                 ev.NodePlanned(NOW, "node-4", "node"))
    assert gone.seeds.generation >= state.seeds.generation
    assert gone.seeds.log_urls == ("http://a:1",)


def test_no_node_is_outdated_by_it() -> None:
    plain, with_logs = started(), started(shipping(cluster="logs"))
    for name, record in plain.nodes.items():
        assert wanted(plain, record) == wanted(with_logs, with_logs.nodes[name])
    record = replace(plain.nodes["node-1"], config=wanted(plain, plain.nodes["node-1"]))
    assert not outdated(with_logs.with_node(record), record)


@pytest.mark.parametrize("target", [
    {}, {"cluster": "logs", "urls": ["http://a:1"]}, {"urls": ["ftp://a"]},
    {"urls": ["http://user:secret@a:1"]}, {"urls": ["http://a:1/path"]}, {"cluster": "No"},
    {"urls": ["http://a:1"] * 21}, {"urls": ["http://a:1 "]}])
def test_a_bad_target_is_refused(target: dict[str, Any]) -> None:
    with pytest.raises(SpecFaults) as refused:
        shipping(**target)
    assert all(fault.path.startswith("logs") for fault in refused.value.faults)
