"""Specs: every fault at once with its path, and nothing that a node could not be started with."""
from __future__ import annotations

from typing import Any

import orjson
import pytest
from esaas.executor import dialect, payload
from esaas.framework.core.launch import CONTAINER_PATH
from esaas.framework.core.spec import (
    MAX_HEAP_MB,
    SpecFaults,
    checked_settings,
    parse_spec,
    parse_text,
)
from esaas.framework.proto import esaas_pb2
from esaas.framework.store.codec import decode, encode
from hypothesis import given
from hypothesis import strategies as st

from .builders import body, group, spec


def faults(*groups: dict[str, Any], **more: Any) -> dict[str, str]:
    with pytest.raises(SpecFaults) as caught:
        parse_spec(body(*groups, **more))
    return {fault.path: fault.message for fault in caught.value.faults}


def test_all_faults_come_at_once_each_with_its_path() -> None:
    found = faults(group(count=-1, roles=["master", "cook"]), group("data", cpus=0, nonsense=1),
                   group("third", placement={"constraints": "rack FOO"}),
                   name="Demo", version="6.8", default_replicas=0)
    assert set(found) == {
        "name", "version", "default_replicas", "groups[0].count", "groups[0].roles[1]",
        "groups[1].cpus", "groups[1].nonsense", "groups[2].placement.constraints"}
    assert "here stands an operator" in found["groups[2].placement.constraints"]


@pytest.mark.parametrize("name", ["a", "a1", "es-logs", "a" * 40])
def test_names_are_lower_case_with_dashes(name: str) -> None:
    assert spec(name=name).name == name


@pytest.mark.parametrize("name", ["", "A", "1a", "a-", "-a", "a.b", "a/b", "a_b", "a" * 41, "a\n"])
def test_other_names_are_refused(name: str) -> None:
    assert set(faults(name=name)) == {"name"}
    assert set(faults(tenant=name)) == {"tenant"}
    assert set(faults(group(name))) == {"groups[0].name"}


@pytest.mark.parametrize(("version", "known"), [
    ("6.8.23", True), ("7.17.28", True), ("8.0.0", True), ("9.1.2", True), ("6.7.2", False),
    ("5.6.0", False), ("10.0.0", False), ("7.17", False), ("v7.1.1", False),
    ("\uff17.17.0", False), ("9" * 5000 + ".0.0", False)])
def test_a_version_that_the_executor_has_no_dialect_for_is_refused(
        version: str, known: bool) -> None:
    if known:
        assert spec(version=version).major == dialect_major(version)
    else:
        assert set(faults(version=version)) == {"version"}


def dialect_major(version: str) -> int:
    dialect.dialect_of(version)
    return int(version.split(".")[0])


@pytest.mark.parametrize(("mem_mb", "heap", "heap_mb"), [
    (2048, {}, 1024), (1000, {"percent": 30}, 300), (2048, {"mb": 512}, 512),
    (128 * 1024, {}, MAX_HEAP_MB), (256, {}, 128)])
def test_the_heap_follows_the_memory_up_to_compressed_pointers(
        mem_mb: int, heap: dict[str, int], heap_mb: int) -> None:
    assert spec(group(mem_mb=mem_mb, heap=heap)).groups[0].heap_mb == heap_mb


def test_a_heap_too_small_too_large_or_beyond_the_memory_is_refused() -> None:
    assert "less than 128" in faults(group(mem_mb=256, heap={"percent": 20}))["groups[0]"]
    assert "needs more than mem_mb" in faults(group(mem_mb=512, heap={"mb": 512}))["groups[0]"]
    assert set(faults(group(heap={"mb": 40_000}))) == {"groups[0].heap.mb"}


SOME_SETTINGS = [
    *sorted(dialect.RESERVED), *(f"{key}.0" for key in sorted(dialect.RESERVED)),
    *(prefix + "x" for prefix in sorted(dialect.RESERVED_PREFIXES)),
    *(prefix + "x" for prefix in sorted(dialect.FREE_PREFIXES)), *sorted(dialect.FREE_PREFIXES),
    "transport.port", "transport.tcp.port", "transport.host", "transport.profiles.a.port",
    "discovery.seed_hosts", "discovery.seed_hosts.0", "discovery.zen.ping.unicast.hosts",
    "discovery.zen.fdx", "cluster.names", "node.attr.rack", "node.processors", "indices.x",
    "http.ports", "http.compression", "path.repo", "network.tcp.no_delay", "xpack.ml.enabled"]


def accepted(key: str) -> bool:
    try:
        checked_settings({key: 1})
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("key", SOME_SETTINGS)
def test_a_setting_is_refused_where_the_executor_refuses_it(key: str) -> None:
    assert accepted(key) is not dialect.is_reserved(key) or key.endswith(".")


@given(st.from_regex(r"(transport|discovery|discovery\.zen|node|http|path|network|cluster)"
                     r"\.[a-z_]{1,12}(\.[a-z0-9_]{1,6})?", fullmatch=True))
def test_no_setting_passes_the_spec_and_fails_in_the_executor(key: str) -> None:
    assert not (accepted(key) and dialect.is_reserved(key))


def test_gateway_settings_follow_the_number_of_nodes_and_are_ours() -> None:
    assert not accepted("gateway.recover_after_nodes")
    assert not accepted("gateway.expected_data_nodes")
    assert "set by the service itself" in faults(
        settings={"cluster.name": "x"})["settings"]
    assert set(faults(group(settings={"node.name": "x", "a b": 1}))) == {"groups[0].settings"}


@pytest.mark.parametrize("value", [
    {"a": 1}, [[1]], float("nan"), float("inf"), 2**63, -(2**70), [10**400]])
def test_a_value_that_no_record_can_hold_is_one_fault(value: Any) -> None:
    assert set(faults(settings={"indices.x": value})) == {"settings.indices.x"}


def test_sizes_have_bounds_that_records_can_hold() -> None:
    assert set(faults(group(mem_mb=2**70, disk_mb=2**70))) == {
        "groups[0].mem_mb", "groups[0].disk_mb"}
    assert set(faults(group(cpus=float("nan")))) == {"groups[0].cpus"}


def test_the_attribute_that_nodes_are_spread_over_is_the_agents_own() -> None:
    assert "node.attr.rack" in faults(group(settings={"node.attr.rack": "x"}))["groups[0]"]
    spec(group(settings={"node.attr.box_type": "hot"}))


@pytest.mark.parametrize("option", ["-Xmx1g", "-Xms1g", "Xlog", "-", "- a", "-Da=b\n-Xmx9g",
                                    "-Da=b\r-Xmx9g", "8:-Xmx1g"])
def test_an_option_of_the_jvm_is_one_line_and_not_the_heap(option: str) -> None:
    assert set(faults(jvm_options=[option])) == {"jvm_options"}


@given(st.text(min_size=1, max_size=12).map(lambda text: f"-{text}"))
def test_no_option_passes_the_spec_and_fails_in_the_executor(option: str) -> None:
    try:
        spec(jvm_options=[option])
    except SpecFaults:
        return
    launch = esaas_pb2.NodeLaunch(
        cluster="c", node="n", heap_mb=1, data_path=CONTAINER_PATH, bind_host="10.0.0.1",
        http_port=1, transport_port=2, jvm_options=[option],
        distribution=esaas_pb2.Distribution(version="7.17.0", url="http://x/y", sha256="0" * 64))
    assert payload.launch_faults(launch) == []


def test_without_a_word_a_host_seats_as_many_nodes_as_there_are_replicas() -> None:
    found = spec(group(count=4), default_replicas=2)
    assert found.max_per_host(found.groups[0]) == 2
    found = spec(group(placement={"max_per_host": 3}))
    assert found.max_per_host(found.groups[0]) == 3


def test_a_cluster_needs_a_master_and_data_nodes_for_its_replicas() -> None:
    found = faults(group(roles=["ingest"]))["(body)"]
    assert "no node has the role master" in found and "no node has the role data" in found
    assert "needs at least 4 data nodes, found 3" in faults(default_replicas=3)["(body)"]


def test_group_names_must_not_look_like_nodes_of_each_other() -> None:
    assert "distinct" in faults(group(), group())["groups"]
    assert "node and node-7" in faults(group(), group("node-7"))["groups"]
    assert "between 1 and 50" in faults(*(group(f"g{i}x") for i in range(51)))["groups"]


def test_roles_are_kept_in_one_order_and_named_once() -> None:
    assert spec(group(roles=["data", "master"])).groups[0].roles == ("master", "data")
    assert "twice" in faults(group(roles=["data", "data"]))["groups[0].roles"]


def test_constraints_may_be_marathons_lists() -> None:
    found = spec(group(placement={"constraints": [["rack", "GROUP_BY", 3]]}))
    assert found.groups[0].placement.constraints == 'rack GROUP_BY "3"'
    assert "looks like" in faults(group(placement={"constraints": [["rack"]]}))[
        "groups[0].placement.constraints"]
    assert spec(group(placement={"constraints": "  "})).groups[0].placement.constraints is None


def test_only_the_count_of_one_group_changes_when_it_is_scaled() -> None:
    old = spec(group(), group("data", settings={"a.b": True}), description="x")
    new = old.with_count("data", 5)
    assert [item.count for item in new.groups] == [3, 5]
    assert new.with_count("data", 3) == old


@pytest.mark.parametrize("text", ["{", "a: [", "[1]", "text", "", "{\"a\":" * 100_000])
def test_text_that_is_no_spec_is_a_fault_of_the_body(text: str) -> None:
    with pytest.raises(SpecFaults) as caught:
        parse_text(text)
    assert caught.value.faults[0].path == "(body)"


def test_yaml_and_json_say_the_same() -> None:
    assert parse_text(orjson.dumps(body()).decode()) == spec()
    assert parse_text("name: demo\ntenant: acme\nversion: 6.8.23\ngroups:\n- {name: node, count: 3,"
                      " roles: [master, data], mem_mb: 1024, disk_mb: 2000}\n") == spec()


PLAIN = st.one_of(st.text(max_size=5), st.integers(-2**63 + 1, 2**63 - 1), st.booleans(), st.none(),
                  st.floats(-1e15, 1e15, allow_nan=False))


@given(st.dictionaries(st.from_regex(r"indices\.[a-z]{1,5}", fullmatch=True),
                       PLAIN | st.lists(PLAIN, max_size=3), max_size=3))
def test_whatever_settings_pass_are_stored_and_read_back_alike(settings: dict[str, Any]) -> None:
    try:
        found = spec(settings=settings)
    except SpecFaults:                                  # text that is no Unicode
        assert not str(settings).isascii() or "\\u" in repr(settings)
        return
    assert decode(encode(found), type(found)) == found
