"""From what the service answers to a configuration, and to commands; nothing real."""
from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from esaas.framework.discovery.render import Layout, RenderError, render
from esaas.framework.discovery.runtime import (
    RuntimeFailed,
    commands,
    servers_in_use,
    servers_of,
    takes_no_reload,
)
from esaas.framework.discovery.targets import (
    AnswerError,
    Server,
    Target,
    Targets,
    dump,
    load,
    targets_of,
    without_port,
)
from hypothesis import given
from hypothesis import strategies as st

LAYOUT = Layout("127.0.0.1", "/run/esaas/haproxy.sock")
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True)
NODES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 65535), st.sampled_from(
    ["10.0.0.1", "fd00::7", "agent-1.example"])), max_size=6, unique_by=lambda item: item[0])


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """Any answer of the service: names and ports are unique over it, as the service sees to."""
    names = draw(st.lists(NAMES, max_size=6, unique=True))
    ports = iter(draw(st.permutations(range(20000, 20030))))
    clusters = []
    for name in names:
        roles = draw(st.lists(st.sampled_from(["master", "data", "ingest"]), unique=True))
        clusters.append({
            "cluster": name, "tenant": "t", "version": "v", "secured": draw(st.booleans()),
            "virtual_ports": {role: next(ports) for role in ("http", *roles)},
            "nodes": [{"name": f"node-{number}", "address": f"{host}:{port}",
                       "roles": draw(st.lists(st.sampled_from(["master", "data"]), unique=True))}
                      for number, port, host in draw(NODES)]})
    return {"version": "v", "complete": draw(st.booleans()), "clusters": clusters}


def sections(text: str) -> dict[str, list[str]]:
    """The lines of a configuration by section."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            assert line not in found, f"{line} is there twice"
            lines = found[line] = []
        elif line.strip() and not line.startswith("#"):
            lines.append(line.strip())
    return found


@given(answers(), st.sampled_from(["127.0.0.1", "::1", "0.0.0.0"]))  # noqa: S104 (rendered only)
def test_every_server_is_there_once_and_every_port_is_another(
        answer: dict[str, Any], bind: str) -> None:
    targets = targets_of(answer)
    found = sections(render(targets, Layout(bind, LAYOUT.socket)))
    binds = [line.split()[1] for lines in found.values() for line in lines
             if line.startswith("bind ")]
    assert len(binds) == len(set(binds)) == sum(
        len(cluster["virtual_ports"]) for cluster in answer["clusters"])
    for cluster in answer["clusters"]:
        for role, port in cluster["virtual_ports"].items():
            name = f"{cluster['cluster']}.{role}"
            assert any(one.endswith(f":{port}") for one in binds)
            assert f"default_backend {name}" in found[f"frontend {name}"]
            servers = [line.split()[1:] for line in found[f"backend {name}"]
                       if line.startswith("server ")]
            wanted = [node for node in cluster["nodes"]
                      if role == "http" or role in node["roles"]]
            assert [server[0] for server in servers] == [node["name"] for node in wanted]
            mode = "mode tcp" if cluster["secured"] else "mode http"
            assert mode in found[f"frontend {name}"] and mode in found[f"backend {name}"]


@given(answers(), answers())
def test_what_is_known_is_kept_until_it_is_known_to_be_gone(
        before: dict[str, Any], now: dict[str, Any]) -> None:
    known = targets_of(before | {"complete": True})
    found = targets_of(now, known)
    told = {cluster["cluster"]: cluster for cluster in now["clusters"]}
    for target in known:
        if target.cluster not in told:
            taken = {other.port for other in found if other.cluster in told}
            assert (target in found) is (not now["complete"] and target.port not in taken)
    for target in found:
        if target.cluster in told and told[target.cluster]["nodes"] and target.role == "http":
            assert len(target.servers) == len(told[target.cluster]["nodes"])
    assert load(dump(found)) == found
    render(found, LAYOUT)


@given(answers(), answers())
def test_commands_lead_to_what_is_wanted(before: dict[str, Any], now: dict[str, Any]) -> None:
    loaded = targets_of(before)
    wanted = tuple(Target(target.cluster, target.role, target.port, target.secured,
                          target.servers[number % 2:][:3])
                   for number, target in enumerate(loaded))
    assert takes_no_reload(loaded, wanted)
    in_use = dict(servers_of(loaded))
    for command in commands(in_use, wanted):
        backend, _, name = command.split()[2].partition("/")
        place = backend, name
        assert place in servers_of(loaded)
        if command.endswith("state maint"):
            del in_use[place]
    assert in_use == servers_of(wanted)
    back = commands(servers_of(wanted), loaded)
    assert {command for command in back if command.endswith("ready")} == {
        f"set server {'/'.join(place)} state ready"
        for place in servers_of(loaded).keys() - servers_of(wanted).keys()}
    other = targets_of(now)
    if [(item.name, item.port, item.secured) for item in other] != [
            (item.name, item.port, item.secured) for item in loaded]:
        assert not takes_no_reload(loaded, other)


def demo(*servers: Server, port: int = 20000, role: str = "http", **more: Any) -> Target:
    """A target of the cluster demo."""
    return Target("demo", role, port, more.get("secured", False), servers)


ONE, TWO = Server("node-1", "10.0.0.1", 31100), Server("node-2", "fd00::7", 31102)


def test_one_as_it_stands() -> None:
    text = render((demo(ONE, TWO), demo(ONE, port=20001, role="ingest", secured=True)), LAYOUT)
    assert text.partition("init-addr last,libc,none\n")[2].strip() == """\
frontend demo.http
    mode http
    bind 127.0.0.1:20000
    default_backend demo.http

backend demo.http
    mode http
    option httpchk GET /
    http-check expect status 200
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
    server node-1 10.0.0.1:31100
    server node-2 [fd00::7]:31102

frontend demo.ingest
    mode tcp
    bind 127.0.0.1:20001
    default_backend demo.ingest

backend demo.ingest
    mode tcp
    server node-1 10.0.0.1:31100"""
    assert sections(text)["global"] == [
        "log stdout format raw daemon notice",
        "stats socket /run/esaas/haproxy.sock mode 600 level admin expose-fd listeners",
        "stats timeout 1m", "hard-stop-after 1h"]


@pytest.mark.parametrize(("targets", "words"), [
    ((demo(), demo(port=20001)), "demo.http is there 2 times"),
    ((demo(), demo(role="data")), "port 20000 is wanted 2 times"),
    ((demo(ONE, ONE),), "server node-1 is there 2 times"),
    ((demo(port=0),), "0 is no port"),
    ((demo(Server("node 1", "10.0.0.1", 1)),), "'node 1' is no name"),
    ((demo(Server("n", "10.0.0.1\n    server x 1.2.3.4:80", 1)),), "is no host"),
    ((demo(Server("n", "", 1)),), "is no host"),
    ((demo(Server("n", "10.0.0.1", 70000)),), "70000 of n is no port"),
    ((Target("a\nglobal", "http", 20000, False, ()),), "is no name")])
def test_what_can_be_no_configuration_is_refused(targets: Targets, words: str) -> None:
    with pytest.raises(RenderError, match=re.escape(words)):
        render(targets, LAYOUT)


@pytest.mark.parametrize(("layout", "words"), [
    (Layout("everywhere", "/run/x"), "no address"), (Layout("127.0.0.1", "x"), "no absolute path"),
    (Layout("127.0.0.1", "/a b"), "no absolute path"),
    (Layout("127.0.0.1", "/" + "x" * 100), "too long for a socket")])
def test_where_it_cannot_listen(layout: Layout, words: str) -> None:
    with pytest.raises(RenderError, match=words):
        render((), layout)


@pytest.mark.parametrize("answer", [
    {}, [], None, {"clusters": [{}], "complete": True}, {"clusters": []}, {
        "complete": True, "clusters": [{
            "cluster": "a", "secured": False, "virtual_ports": {"http": "x"}, "nodes": []}]}])
def test_what_is_no_answer(answer: Any) -> None:
    with pytest.raises(AnswerError):
        targets_of(answer)
    with pytest.raises(AnswerError):
        load("[{}]")


def test_clusters_without_a_port_are_named() -> None:
    answer = {"complete": True, "clusters": [
        {"cluster": "a", "secured": False, "virtual_ports": {}, "nodes": []}]}
    assert targets_of(answer) == () and without_port(answer) == ["a"]


@pytest.mark.parametrize(("wanted", "fits"), [
    ([demo(ONE)], True), ([demo(ONE, TWO)], True), ([demo()], True), ([], False),
    ([demo(ONE, port=20001)], False), ([demo(ONE, secured=True)], False),
    ([demo(ONE, Server("node-3", "10.0.0.3", 1))], False),
    ([demo(Server("node-1", "10.0.0.9", 31100))], True),
    ([demo(Server("node-1", "agent.example", 31100))], False)])
def test_when_a_reload_is_needed(wanted: Sequence[Target], fits: bool) -> None:
    assert takes_no_reload((demo(ONE, TWO),), tuple(wanted)) is fits


def test_commands_bring_in_before_they_take_out() -> None:
    moved = Server("node-1", "10.0.0.9", 31100)
    assert commands({("demo.http", "node-1"): ONE}, (demo(moved),)) == [
        "set server demo.http/node-1 addr 10.0.0.9 port 31100"]
    assert commands({("demo.http", "node-1"): ONE}, (demo(TWO),)) == [
        "set server demo.http/node-2 addr fd00::7 port 31102",
        "set server demo.http/node-2 state ready", "set server demo.http/node-1 state maint"]


def test_what_haproxy_says_of_its_servers() -> None:
    head = "1\n# be_name srv_name srv_addr srv_admin_state srv_port\n"
    assert servers_in_use(f"{head}demo.http node-1 10.0.0.1 0 31100\n"
                          "demo.http node-2 10.0.0.2 1 31100\n\n") == {
        ("demo.http", "node-1"): ("10.0.0.1", 31100)}
    assert servers_in_use(head) == {}
    with pytest.raises(RuntimeFailed):
        servers_in_use(f"{head}demo.http node-1\n")
