"""The pure parts of the executor: payloads, dialects, configuration, outbox, settings, console."""
from __future__ import annotations

import base64
import io
import uuid

import pytest
import yaml
from esaas.executor import config, dialect, java, log, payload, process, supervisor, tools
from esaas.executor.driver import grace_of
from esaas.executor.errors import StartError
from esaas.executor.outbox import Outbox
from esaas.executor.probe import identity_of
from esaas.executor.seeds import SeedsFile
from esaas.executor.settings import Settings, SettingsError, duration_s
from esaas.framework.proto import esaas_pb2
from executor_helpers import launch_of, task_of

URL, SHA256 = "https://example.org/elasticsearch.zip", "0" * 64
XPACK = ["x-pack-core", "x-pack-security"]


def settings_of(tmp_path, version, modules=XPACK, **changes):
    """elasticsearch.yml as parsed YAML."""
    launch = launch_of(URL, SHA256, version)
    for name, value in changes.items():
        field = getattr(launch, name)
        if hasattr(field, "update"):
            field.update(value)
        else:
            field[:] = value
    assert payload.launch_faults(launch) == []
    text = config.yaml_text(config.node_settings(
        launch, tmp_path / "data", tmp_path / "logs", modules))
    return launch, yaml.safe_load(text)


# -- dialects ---------------------------------------------------------------------------------

COMMON = {"cluster.name": "tests", "node.name": "tests-data-0", "network.host": "127.0.0.1",
          "node.attr.rack": "r1",
          "cluster.routing.allocation.awareness.attributes": ["rack"]}


@pytest.mark.parametrize(("version", "own"), [
    ("6.8.23", {"node.master": True, "node.data": True, "node.ingest": False,
                "discovery.zen.hosts_provider": "file",
                "discovery.zen.ping.unicast.hosts": [],
                "discovery.zen.minimum_master_nodes": 1, "xpack.ml.enabled": False}),
    ("7.6.2", {"node.master": True, "node.data": True, "node.ingest": False,
               "discovery.seed_providers": "file",
               "cluster.initial_master_nodes": ["tests-data-0"],
               "xpack.security.enabled": False}),
    ("7.17.29", {"node.roles": ["data", "master"], "discovery.seed_providers": "file",
                 "cluster.initial_master_nodes": ["tests-data-0"],
                 "xpack.security.enabled": False}),
    ("9.5.3", {"node.roles": ["data", "master"], "discovery.seed_providers": "file",
               "cluster.initial_master_nodes": ["tests-data-0"],
               "xpack.security.enabled": False}),
])
def test_each_version_gets_its_own_words_and_no_others(tmp_path, version, own):
    launch, written = settings_of(tmp_path, version)
    port = "transport.tcp.port" if version.startswith("6") else "transport.port"
    assert written == {**COMMON, **own, port: launch.transport_port,
                       "http.port": launch.http_port, "path.data": str(tmp_path / "data"),
                       "path.logs": str(tmp_path / "logs")}


def test_distributions_without_x_pack_get_no_x_pack_settings(tmp_path):
    for version in ("6.8.23", "7.10.2"):
        _, written = settings_of(tmp_path, version, modules=["transport-netty4"])
        assert not [key for key in written if key.startswith("xpack")]


def test_security_stays_off_unless_asked_for(tmp_path):
    _, written = settings_of(tmp_path, "8.19.21", settings={"xpack.security.enabled": "true"})
    assert written["xpack.security.enabled"] is True


def test_null_takes_a_default_away(tmp_path):
    _, written = settings_of(tmp_path, "8.19.21", settings={"xpack.security.enabled": "null"})
    assert "xpack.security.enabled" not in written


def test_only_masters_get_the_initial_masters(tmp_path):
    _, written = settings_of(tmp_path, "7.17.29", roles=["data"])
    assert "cluster.initial_master_nodes" not in written


def test_a_node_without_roles_coordinates_only(tmp_path):
    _, zen = settings_of(tmp_path, "6.8.23", roles=[])
    assert [zen[f"node.{role}"] for role in ("master", "data", "ingest")] == [False] * 3
    _, written = settings_of(tmp_path, "9.5.3", roles=[])
    assert written["node.roles"] == []


def test_gateway_settings_follow_the_bootstrap(tmp_path):
    launch = launch_of(URL, SHA256)
    launch.bootstrap.expected_data_nodes, launch.bootstrap.recover_after_data_nodes = 3, 2
    written = config.node_settings(launch, tmp_path, tmp_path, [])
    assert written["gateway.expected_data_nodes"] == 3
    assert written["gateway.recover_after_data_nodes"] == 2


@pytest.mark.parametrize("version", ["5.6.16", "6.7.2", "10.0.0", "6.8", "", "latest"])
def test_other_versions_are_refused(version):
    with pytest.raises(dialect.UnknownVersionError):
        dialect.dialect_of(version)


@pytest.mark.parametrize(("key", "reserved"), [
    ("cluster.name", True), ("cluster.initial_master_nodes", True),
    ("cluster.initial_master_nodes.0", True), ("node.roles", True), ("path.data", True),
    ("http.port", True), ("transport.port", True), ("transport.tcp.port", True),
    ("transport.profiles.x.port", True), ("discovery.seed_hosts", True),
    ("discovery.type", True), ("transport.compress", False),
    ("discovery.zen.fd.ping_timeout", False), ("node.attr.disk", False),
    ("indices.memory.index_buffer_size", False), ("path.repo", False)])
def test_reserved_settings(key, reserved):
    assert dialect.is_reserved(key) is reserved


# -- payloads ---------------------------------------------------------------------------------

def test_payloads_survive_the_journey():
    launch = launch_of(URL, SHA256, a__setting='{"b": [1, "ü"]}')
    assert payload.read_launch(task_of(launch)) == launch
    status = esaas_pb2.NodeStatus(exit_code=-9, log_tail=["ä"])
    assert payload.decode(esaas_pb2.NodeStatus, payload.encode(status)) == status


@pytest.mark.parametrize("data", ["", "%%%", base64.b64encode(b"\xff\xff").decode()])
def test_rubbish_is_a_fault_not_an_accident(data):
    with pytest.raises(payload.PayloadError):
        payload.read_launch({"data": data})


@pytest.mark.parametrize(("change", "told"), [
    (lambda n: n.ClearField("cluster"), "cluster: "),
    (lambda n: n.ClearField("node"), "node: "),
    (lambda n: setattr(n.distribution, "url", "ftp://x/y.zip"), "distribution.url: "),
    (lambda n: setattr(n.distribution, "sha256", "12"), "distribution.sha256: "),
    (lambda n: setattr(n.distribution, "version", "5.0.0"), "distribution.version: "),
    (lambda n: n.roles.append("king"), "roles: 'king'"),
    (lambda n: n.roles.append("data"), "roles: one is there twice"),
    (lambda n: n.ClearField("heap_mb"), "heap_mb: "),
    (lambda n: n.jvm_options.append("-Xmx9g"), "jvm_options: "),
    (lambda n: n.jvm_options.append("9-:-Xms9g"), "jvm_options: "),
    (lambda n: n.jvm_options.append("-Da=b\n-Xmx9g"), "jvm_options: "),
    (lambda n: n.settings.update({"cluster.name": '"x"'}), "settings: cluster.name"),
    (lambda n: n.settings.update({"a.b": "{"}), "settings: a.b: "),
    (lambda n: n.settings.update({"a b: c": "1"}), "settings: 'a b: c'"),
    (lambda n: n.settings.update({"node.attr.rack": '"r2"'}), "settings: node.attr.rack"),
    (lambda n: n.awareness.append("zone"), "awareness: 'zone'"),
    (lambda n: n.ClearField("http_port"), "http_port: 0"),
    (lambda n: setattr(n, "transport_port", 70000), "transport_port: 70000"),
    (lambda n: setattr(n, "transport_port", n.http_port), "http_port and transport_port"),
    (lambda n: setattr(n, "bind_host", "_site_"), "bind_host: "),
    (lambda n: setattr(n, "data_path", "../data"), "data_path: "),
    (lambda n: setattr(n, "data_path", "/data"), "data_path: "),
    (lambda n: n.ClearField("data_path"), "data_path: "),
    (lambda n: n.seeds.addresses.append("nowhere"), "seeds.addresses: "),
    (lambda n: n.bootstrap.ClearField("minimum_master_nodes"), "bootstrap.minimum_master"),
    (lambda n: n.seeds.http_urls.append("a,b"), "seeds.http_urls: 'a,b'"),
    (lambda n: setattr(n.distribution, "url", "http://[x/y.zip"), "distribution.url: "),
    (lambda n: n.plugins.add(name="../x"), "plugins: '../x'"),
    (lambda n: n.plugins.add(name="--help"), "plugins: '--help'"),
    (lambda n: n.plugins.add(name="x", url=URL), "plugins: x: sha256: "),
    (lambda n: n.plugins.add(name="x", sha256=SHA256), "plugins: x: url: "),
    (lambda n: n.plugins.extend([esaas_pb2.Plugin(name="x")] * 2), "plugins: x is there twice"),
    (lambda n: n.files.add(path="../x"), "files: '../x'"),
    (lambda n: n.files.add(path="a/../../x"), "files: 'a/../../x'"),
    (lambda n: n.files.add(path="/etc/x"), "files: '/etc/x'"),
    (lambda n: n.files.add(path=""), "files: ''"),
    (lambda n: n.files.add(path="elasticsearch.yml"), "files: elasticsearch.yml is written"),
    (lambda n: n.files.add(path="jvm.options"), "files: jvm.options is written"),
    (lambda n: n.files.add(path="elasticsearch.keystore"), "files: elasticsearch.keystore is"),
    (lambda n: n.files.add(path="unicast_hosts.txt"), "files: unicast_hosts.txt is written"),
    (lambda n: n.files.add(path="x", url=URL), "files: x: sha256: "),
    (lambda n: n.files.add(path="x", url=URL, sha256=SHA256, content=b"x"), "files: x: has both"),
    (lambda n: n.files.extend([esaas_pb2.ConfigFile(path="x")] * 2), "files: x is there twice"),
    (lambda n: n.files.extend([esaas_pb2.ConfigFile(path=p) for p in ("x", "x/y")]),
     "files: x/y lies inside"),
    (lambda n: n.secure_settings.update({"a b": "v"}), "secure_settings: 'a b'"),
    (lambda n: n.secure_settings.update({"--force": "v"}), "secure_settings: '--force'"),
    (lambda n: n.secure_settings.update({"a.b": "two\nlines"}), "secure_settings: a.b: the value"),
    (lambda n: n.secure_settings.update({"a.b": ""}), "secure_settings: a.b: the value"),
])
def test_each_fault_of_a_launch_is_told(change, told):
    launch = launch_of(URL, SHA256)
    assert payload.launch_faults(launch) == []
    change(launch)
    [fault] = payload.launch_faults(launch)
    assert fault.startswith(told)


def sidecar_of(**fields):
    """A launch of a sidecar without faults, but for the fields."""
    return esaas_pb2.NodeLaunch(
        cluster="tests", node="tests-side-0", bind_host="127.0.0.1", http_port=1,
        transport_port=2, data_path="data", sidecar=esaas_pb2.Sidecar(command="run", **fields))


@pytest.mark.parametrize(("change", "told"), [
    (lambda n: setattr(n.sidecar, "command", " "), "sidecar.command: "),
    (lambda n: n.sidecar.uris.add(url=URL), "sidecar.uris: sha256: "),
    (lambda n: n.sidecar.uris.add(url="ftp://h/x", sha256=SHA256), "sidecar.uris: url: "),
    (lambda n: n.sidecar.uris.add(url="http://h/", sha256=SHA256), "sidecar.uris: 'http://h/'"),
    (lambda n: n.sidecar.uris.add(url="file:///a/..%2Fb"), "sidecar.uris: 'file:///a/..%2Fb' ends"),
    (lambda n: n.sidecar.env.update({"ESAAS_PORT": "s3cret"}), "sidecar.env: 'ESAAS_PORT'"),
    (lambda n: n.sidecar.env.update({"A-B": "s3cret"}), "sidecar.env: 'A-B'"),
    (lambda n: n.sidecar.env.update({"A": "s3cret\0"}), "sidecar.env: A: "),
    (lambda n: n.roles.append("data"), "roles: a sidecar has none"),
    (lambda n: n.secure_settings.update({"a": "s3cret"}), "secure_settings: a sidecar has none"),
    (lambda n: n.ClearField("data_path"), "data_path: "),
    (lambda n: n.ClearField("http_port"), "http_port: 0"),
])
def test_each_fault_of_a_sidecar_is_told_without_values(change, told):
    launch = sidecar_of(uris=[esaas_pb2.Uri(url="file:///a/b.zip")], env={"A": "b"})
    assert payload.launch_faults(launch) == []
    change(launch)
    [fault] = payload.launch_faults(launch)
    assert fault.startswith(told) and "s3cret" not in fault


# -- configuration ----------------------------------------------------------------------------

DISTRIBUTED = """\
# a comment
-Xms1g
-Xmx1g
8-13:-XX:+UseConcMarkSweepGC
14-:-XX:+UseG1GC
-XX:+HeapDumpOnOutOfMemoryError
-XX:HeapDumpPath=data
-XX:ErrorFile=logs/hs_err_pid%p.log
8:-XX:+PrintGCDetails
8:-Xloggc:logs/gc.log
8:-XX:NumberOfGCLogFiles=32
9-:-Xlog:gc*,gc+age=trace:file=logs/gc.log:utctime,pid,tags:filecount=32,filesize=64m
"""


def test_jvm_options_keep_the_collector_and_lose_heap_logs_and_paths(tmp_path):
    text = config.jvm_options_text(DISTRIBUTED, 512, tmp_path, ["-Dmine=1"])
    assert text.splitlines() == [
        "# a comment", "8-13:-XX:+UseConcMarkSweepGC", "14-:-XX:+UseG1GC",
        "-XX:+HeapDumpOnOutOfMemoryError", "# Set by the executor.", "-Xms512m", "-Xmx512m",
        f"-XX:HeapDumpPath={tmp_path}", f"-XX:ErrorFile={tmp_path}/hs_err_pid%p.log",
        "-Dmine=1"]


def test_yaml_says_what_json_said():
    settings = {"a.b": ["x", 1, None], "c": {"d": 'quote " : # ü'}, "e": True, "f": "yes"}
    assert yaml.safe_load(config.yaml_text(settings)) == settings


def test_the_seeds_file_knows_old_news(tmp_path):
    path = tmp_path / "unicast_hosts.txt"
    seeds = SeedsFile(path, esaas_pb2.Seeds(addresses=["a:1", "b:2"], generation=5))
    assert path.read_text() == "a:1\nb:2\n"
    assert not seeds.update(esaas_pb2.Seeds(addresses=["c:3"], generation=4))
    assert (path.read_text(), seeds.generation) == ("a:1\nb:2\n", 5)
    assert seeds.update(esaas_pb2.Seeds(addresses=["c:3"], generation=6))
    assert (path.read_text(), seeds.generation) == ("c:3\n", 6)
    assert list(tmp_path.iterdir()) == [path]


# -- outbox -----------------------------------------------------------------------------------

def update(state="TASK_RUNNING"):
    """A status with a uuid of its own."""
    return {"state": state, "uuid": base64.b64encode(uuid.uuid4().bytes).decode()}


def test_the_outbox_keeps_order_and_forgets_only_what_is_acknowledged():
    outbox, updates = Outbox(), [update() for _ in range(3)]
    for status in updates:
        outbox.add(status)
    assert outbox.unsent() == updates
    outbox.mark_sent(updates[0])
    assert outbox.unsent() == updates[1:]
    assert outbox.acknowledge(updates[1]["uuid"])
    assert not outbox.acknowledge(updates[1]["uuid"])
    outbox.connection_lost()
    assert outbox.unsent() == [updates[0], updates[2]]
    assert outbox.for_subscribe() == [{"status": updates[0]}, {"status": updates[2]}]
    assert outbox.unsent() == []
    outbox.add(late := update())
    assert outbox.unsent() == [late]
    assert len(outbox) == 3


def test_one_uuid_is_one_update():
    outbox, status = Outbox(), update()
    outbox.add(status)
    with pytest.raises(ValueError, match="already in the outbox"):
        outbox.add(status)


# -- environment, console, words --------------------------------------------------------------

AGENT = {"MESOS_AGENT_ENDPOINT": "127.0.0.1:5051", "MESOS_FRAMEWORK_ID": "f",
         "MESOS_EXECUTOR_ID": "e"}


def test_settings_are_read_from_what_an_agent_gives(tmp_path):
    settings = Settings.of({**AGENT, "MESOS_SANDBOX": str(tmp_path), "MESOS_CHECKPOINT": "1",
                            "MESOS_SLAVE_PID": "slave(3)@127.0.0.1:5051",
                            "MESOS_RECOVERY_TIMEOUT": "2mins"})
    assert settings.api_path == "/slave(3)/api/v1/executor"
    assert (settings.checkpoint, settings.recovery_timeout_s) == (True, 120)
    assert settings.shutdown_grace_s == 5
    assert settings.cache_dir.name.startswith("esaas-")


def test_a_missing_agent_is_told():
    with pytest.raises(SettingsError, match=r"MESOS_AGENT_ENDPOINT, .*EXECUTOR_ID"):
        Settings.of({})


@pytest.mark.parametrize(("text", "expected_s"), [
    ("15mins", 900), ("2secs", 2), ("1.5hrs", 5400), ("500ms", 0.5), ("3weeks", 1814400)])
def test_durations(text, expected_s):
    assert duration_s(text) == expected_s


@pytest.mark.parametrize("text", ["", "15", "15 parsecs", "-1secs"])
def test_other_durations_are_refused(text):
    with pytest.raises(SettingsError):
        duration_s(text)


def test_grace_periods():
    assert grace_of({"grace_period": {"nanoseconds": 2_500_000_000}}) == 2.5
    assert grace_of({}) is None and grace_of(None) is None


def test_the_console_is_bounded_on_disk_and_in_memory(tmp_path):
    console = process.Console(tmp_path / "console.log", limit_bytes=1000)
    console.pump(io.BytesIO(b"".join(b"line %03d\n" % n for n in range(300)) + b"\xff" * 9000))
    assert {path.name for path in tmp_path.iterdir()} == {"console.log", "console.1"}
    assert (tmp_path / "console.1").stat().st_size <= 1000 + 4096
    tail = console.tail()
    assert len("\n".join(tail).encode()) <= process.TAIL_BYTES
    assert len(tail) <= process.TAIL_LINES


def test_reasons_are_one_line():
    tail = ["fine", "java.lang.Exception: bad", "at x"]
    assert supervisor.exit_reason("Elasticsearch", -9, []) == "Elasticsearch was killed by signal 9"
    assert supervisor.exit_reason("Elasticsearch", 1, tail) == (
        "Elasticsearch exited with code 1: java.lang.Exception: bad")
    assert tools.telling_line(["Likely root cause: java.lang.ClassNotFoundException: x.Y",
                               "\tat java.lang.ClassLoader.Error: z",
                               "ERROR: Elasticsearch did not exit normally - check the logs"]) == (
        "Likely root cause: java.lang.ClassNotFoundException: x.Y")
    assert tools.telling_line(["ERROR: it did not exit normally", "bye"]).startswith("ERROR: it")
    assert tools.telling_line(["bye"]) == ""
    assert "\n" not in supervisor.one_line("a\nb") and len(supervisor.one_line("x" * 999)) == 400


def test_log_lines_are_one_line(caplog):
    caplog.set_level("INFO")
    log.event("It happened", a=1, b="two words", c="two\nlines", d="", e='x="y"')
    assert caplog.messages == [
        r'It happened a=1 b="two words" c="two\nlines" d="" e="x=\"y\""']
    caplog.records[0].exc_info = None
    assert "\n" not in log.OneLine().format(caplog.records[0])


def test_what_pymesos_cannot_read_is_not_logged(caplog):
    logger = log.logging.getLogger("pymesos.process")
    logger.addFilter(log.without_events)
    logger.error("Failed parse json %s", b"a launch with s3cret")
    logger.error("Remote %s closed", "127.0.0.1:5051")
    logger.removeFilter(log.without_events)
    assert caplog.messages == ["Failed parse json (not shown)", "Remote 127.0.0.1:5051 closed"]


def test_identities_of_6_and_9():
    node = {"name": "n", "version": "6.8.23", "transport_address": "h:2",
            "http": {"publish_address": "h:1"}, "process": {"id": 7}}
    identity = identity_of({"nodes": {"abc": node}})
    assert (identity.es_node_id, identity.http_address, identity.transport_address,
            identity.server_pid) == ("abc", "h:1", "h:2", 7)
    for body in ({}, {"nodes": {}}, {"nodes": {"a": node, "b": node}}):
        with pytest.raises(ValueError, match="one local node"):
            identity_of(body)


def jdk(home, major=17, modules="java.base"):
    """A JDK without anything in it, at ``home``."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    (home / "release").write_text(f'JAVA_VERSION="{major}.0.1"\nMODULES="{modules}"\n')
    return home


def chosen(tmp_path, version, environ, **configured):
    """The JDK of a node whose distribution is at ``home``, on a machine with a ``jvm``."""
    settings = Settings.of({**AGENT, **configured})
    return java.java_home(settings, version, tmp_path / "home", environ, tmp_path / "jvm")


def test_the_distributions_own_java_comes_before_the_machines(tmp_path):
    machine, asked = jdk(tmp_path / "machine"), jdk(tmp_path / "asked")
    environ, on_path = {"JAVA_HOME": str(machine), "PATH": ""}, {"PATH": str(machine / "bin")}
    assert chosen(tmp_path, "7.17.29", environ) == machine
    assert chosen(tmp_path, "7.17.29", on_path) == machine.resolve()
    own = jdk(tmp_path / "home" / "jdk")
    assert chosen(tmp_path, "7.17.29", environ) == own
    assert chosen(tmp_path, "7.17.29", environ, ESAAS_JAVA_HOME=str(asked)) == asked
    with pytest.raises(StartError, match="no Java: .* has no bin/java"):
        chosen(tmp_path, "7.17.29", environ, ESAAS_JAVA_HOME=str(tmp_path / "none"))
    with pytest.raises(StartError, match="put java on the path"):
        chosen(tmp_path / "bare", "7.17.29", {"PATH": ""})


def test_elasticsearch_9_finds_a_jdk_that_it_starts_on(tmp_path):
    vector = "java.base jdk.incubator.vector"
    old = jdk(tmp_path / "jvm" / "java-17", 17, vector)
    environ = {"JAVA_HOME": str(old), "PATH": ""}
    jdk(tmp_path / "jvm" / "java-22-headless", 22)  # a JRE without the module
    with pytest.raises(StartError, match=r"9\.5\.3 needs a JDK 21 or later"):
        chosen(tmp_path, "9.5.3", environ)
    jdk(tmp_path / "jvm" / "java-25", 25, vector)
    lowest = jdk(tmp_path / "jvm" / "java-24", 24, vector)
    assert chosen(tmp_path, "9.5.3", environ) == lowest
    assert chosen(tmp_path, "7.17.29", environ) == old
    # One for all versions that is too old for this one does not stand in the way.
    assert chosen(tmp_path, "9.5.3", environ, ESAAS_JAVA_HOME=str(old)) == lowest
    asked = jdk(tmp_path / "asked", 26, vector)
    both = {"ESAAS_JAVA_HOME": str(old), "ESAAS_JAVA21_HOME": str(asked)}
    assert chosen(tmp_path, "9.5.3", environ, **both) == asked
    assert chosen(tmp_path, "7.17.29", environ, **both) == old
    (asked / "release").unlink()  # says nothing of itself: taken at people's word
    assert chosen(tmp_path, "9.5.3", environ, **both) == asked
