"""Files of a repository become specs, and every fault is told with its file."""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from esaas.framework.releases.layout import (
    LayoutFaults,
    chosen_groups,
    in_order,
    merged,
    specs_of,
)
from hypothesis import given
from hypothesis import strategies as st

from .repository import CLUSTER, NODE


def files(tree: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: (content if isinstance(content, bytes) else
                   json.dumps(content).encode() if name.endswith(".json") else
                   yaml.safe_dump(content).encode()) for name, content in tree.items()}


TREE = {"logs/cluster.yaml": CLUSTER, "logs/master.json": {"count": 3, "roles": ["master"]},
        "logs/data.yaml": {"count": 2, "roles": ["data"], "disk_mb": 5000},
        "README.md": b"# nothing of ours", ".github/ci.yaml": {"a": 1}, "notes/todo.yaml": {"b": 2},
        "environments/live/defaults.yaml": {"default_replicas": 1, "description": "live"},
        "environments/live/logs/data.yaml": {"count": 4, "settings": {"node.attr.tier": "hot"}},
        "environments/test/logs/cluster.yml": {"version": "7.17.29"}}


def faults(tree: Mapping[str, Any], environment: str = "") -> list[str]:
    with pytest.raises(LayoutFaults) as caught:
        specs_of(files(tree), environment)
    return [str(fault) for fault in caught.value.faults]


def test_a_folder_is_a_cluster_and_a_file_a_group() -> None:
    found = specs_of(files(TREE))
    assert list(found) == ["logs"]
    assert [(one.name, one.count) for one in found["logs"].groups] == [("master", 3), ("data", 2)]


def test_an_environment_lies_over_it() -> None:
    live, test = (specs_of(files(TREE), name)["logs"] for name in ("live", "test"))
    data = live.group("data")
    assert data is not None and (data.count, data.disk_mb) == (4, 5000)
    assert data.settings == {"node.attr.tier": "hot"} and live.description == "live"
    assert (test.version, live.version) == ("7.17.29", "6.8.23")


def test_every_fault_of_every_file_at_once() -> None:
    told = faults({
        "a/cluster.yaml": CLUSTER | {"surplus": 1}, "a/node.yaml": NODE | {"count": -1},
        "b/cluster.yaml": b"{", "c/cluster.yaml": ["no", "object"],
        "d/cluster.yaml": CLUSTER | {"name": "e", "groups": []}, "d/node.yaml": NODE,
        "f/cluster.yaml": CLUSTER, "f/node.yaml": NODE | {"name": "other"},
        "g/cluster.yaml": CLUSTER, "g/node.yaml": NODE, "g/node.json": NODE})
    assert [line.split(": ")[0:2] for line in told if line.startswith("a/")] == [
        ["a/node", "count"], ["a/cluster", "surplus"]]
    assert any(line.startswith("b/cluster.yaml: neither YAML nor JSON") for line in told)
    assert "c/cluster.yaml: must hold an object, not list" in told
    assert {"d/cluster: groups: each group is a file of its own",
            "d/cluster: name: the folder is called d",
            "f/node: name: the file is called node",
            "g/node.yaml: the same file stands there with another ending"} <= set(told)


def test_a_slip_in_a_name_does_not_go_unseen() -> None:
    tree = TREE | {"environments/live/lgos/data.yaml": {"count": 9}}
    assert faults(tree, "live") == ["environments/live/lgos/data: there is no cluster lgos"]
    assert faults(TREE, "live2") == [
        "environments/live2: there is no such environment; there are: live, test"]
    assert faults({"README.md": b"#"}) == [": no folder holds a cluster.yaml"]


def test_who_is_searched_goes_first() -> None:
    tree = {f"{name}/node.yaml": NODE for name in "abcd"} | {
        "a/cluster.yaml": CLUSTER | {"remotes": [{"name": "r", "cluster": "d"}]},
        "b/cluster.yaml": CLUSTER | {"remotes": [{"name": "r", "cluster": "c"}]},
        "c/cluster.yaml": CLUSTER | {"remotes": [{"name": "r", "cluster": "b"}]},
        "d/cluster.yaml": CLUSTER}
    assert in_order(specs_of(files(tree))) == ["d", "a", "c", "b"]


def test_chosen_groups_alone_change() -> None:
    wanted = specs_of(files(TREE), "live")["logs"]
    running = specs_of(files(TREE))["logs"].model_dump(mode="json")
    found = chosen_groups(running, wanted, ("data",))
    assert [(one["name"], one["count"]) for one in found["groups"]] == [("master", 3), ("data", 4)]
    assert found["description"] == ""
    extra = running | {"groups": [*running["groups"], {"name": "old", "count": 1}]}
    assert [one["name"] for one in chosen_groups(extra, wanted, ("old",))["groups"]] == [
        "master", "data"]
    with pytest.raises(LayoutFaults, match="logs/nobody: there is no such group"):
        chosen_groups(running, wanted, ("nobody",))


VALUES = st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: (
    st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2)),
    max_leaves=8)


@given(VALUES, VALUES)
def test_what_lies_over_wins(under: Any, over: Any) -> None:
    found = merged(under, over)
    if not isinstance(under, dict) or not isinstance(over, dict):
        assert found == over
        return
    assert found.keys() == (under.keys() | over.keys()) - {
        key for key, value in over.items() if value is None}
    for key, value in found.items():
        assert value == (under[key] if key not in over else value)
    assert merged(found, {}) == found
