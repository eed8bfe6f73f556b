"""Plugins, files, the keystore and nodes on hold, with a real Elasticsearch."""
from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import re
import shlex
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from esaas.executor import plugins
from esaas.framework.proto import esaas_pb2
from executor_helpers import is_alive, launch_of, poll, task_of, unprivileged_user

START_S = 240.0
SECRET = "a-secret-that-is-nowhere-else-4711"
SYNONYMS = "kitten, kitty => cat\n"
RELEASES = {"6.8.23": "6.7.0", "7.17.29": "7.16.0"}  # of the plugin minhash
VERSIONS = list(RELEASES)


@pytest.fixture
def real_launch(real_zip):
    """A launch of a real version, see ``launch_of``."""
    def make(version: str, **settings: str) -> esaas_pb2.NodeLaunch:
        path = real_zip(int(version.partition(".")[0]))
        return launch_of(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest(), version,
                         **settings)

    return make


def start(agent, executor, launch) -> esaas_pb2.NodeStatus:
    """Launch and wait until it runs; its status."""
    agent.launch(task_of(launch))
    agent.wait(lambda: {"TASK_RUNNING", "TASK_FAILED"} & set(agent.states()), START_S)
    assert "TASK_FAILED" not in agent.states(), agent.wait_state("TASK_FAILED")
    status = agent.wait_state("TASK_RUNNING")
    if status.pid:
        executor.pids.append(status.pid)
    return status


def ask(launch, method: str, path: str, body: object = None, password: str = ""):
    """Status and body of an answer of the node; JSON is parsed."""
    connection = http.client.HTTPConnection(launch.bind_host, launch.http_port, timeout=60)
    headers = {"Content-Type": "application/json"}
    if password:
        pair = base64.b64encode(f"elastic:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    return response.status, json.loads(text) if text[:1] in "{[" else text


def holders_of(text: str, *folders: Path) -> set[str]:
    """Names of the files below that hold a text."""
    wanted = text.encode()
    return {path.name for folder in folders for path in folder.rglob("*")
            if path.is_file() and wanted in path.read_bytes()}


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_node_has_its_plugin_files_and_secrets(
        agent, start_executor, real_launch, real_plugin, real_cache, version):
    executor = start_executor(ESAAS_CACHE_DIR=str(real_cache))
    launch = real_launch(version, xpack__security__enabled="true")
    launch.plugins.append(real_plugin(RELEASES[version]))
    launch.files.add(path="analysis/synonyms.txt", content=SYNONYMS.encode())
    launch.secure_settings["bootstrap.password"] = SECRET
    launch.secure_settings["xpack.security.http.ssl.keystore.secure_password"] = SECRET + "2"
    status = start(agent, executor, launch)
    assert "Plugin installed plugin=minhash" in executor.log()
    poll(lambda: ask(launch, "GET", "/_cat/health", password=SECRET)[0] == 200)
    assert ask(launch, "GET", "/_cat/health")[0] == 401
    _, listed = ask(launch, "GET", "/_cat/plugins?h=name,component,version", password=SECRET)
    assert listed.split() == ["tests-data-0", "minhash", RELEASES[version]]
    if version.startswith("6"):  # the other lacks the module analysis-common
        check_synonyms(launch)
    assert (executor.sandbox / "config" / "analysis" / "synonyms.txt").read_text() == SYNONYMS
    check_secrets(executor, agent, status, real_cache)
    agent.kill("task-1")
    agent.wait_state("TASK_KILLED", 120)
    assert executor.wait() == 0
    assert holders_of(SECRET, executor.sandbox) == set()


def check_synonyms(launch) -> None:
    """A real index analyses with the file."""
    analysis = {"filter": {"pets": {"type": "synonym", "synonyms_path": "analysis/synonyms.txt"}},
                "analyzer": {"mine": {"tokenizer": "standard", "filter": ["pets"]}}}
    status, answer = ask(launch, "PUT", "/animals", {"settings": {"analysis": analysis}}, SECRET)
    assert status == 200, answer
    _, found = ask(launch, "POST", "/animals/_analyze", {"analyzer": "mine", "text": "kitty"},
                   SECRET)
    assert [token["token"] for token in found["tokens"]] == ["cat"]


def check_secrets(executor, agent, status, cache) -> None:
    """The secret is in the keystore, and nowhere else."""
    store = executor.sandbox / "config" / "elasticsearch.keystore"
    assert store.stat().st_mode & 0o777 == 0o600
    user = unprivileged_user()
    [home] = [path for path in cache.glob("*/*") if str(path) in (
        Path(f"/proc/{status.pid}/cmdline").read_text())]
    variables = dict(entry.split("=", 1) for entry in (
        Path(f"/proc/{status.pid}/environ").read_text().split("\0")) if "=" in entry)
    listed = subprocess.run([home / "bin" / "elasticsearch-keystore", "list"], check=True,
                            env=variables, capture_output=True, text=True,
                            user=user.pw_uid if user else None)
    assert {"bootstrap.password",
            "xpack.security.http.ssl.keystore.secure_password"} <= set(listed.stdout.split())
    assert holders_of(SECRET, executor.sandbox) == set()  # the keystore obfuscates its values
    assert SECRET not in json.dumps(agent.statuses, ensure_ascii=False)
    process = Path(f"/proc/{executor.process.pid}")
    for file in ("environ", "cmdline"):
        assert SECRET.encode() not in (process / file).read_bytes()
        assert SECRET.encode() not in Path(f"/proc/{status.pid}/{file}").read_bytes()


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_plugin_for_another_version_fails_with_a_reason(
        agent, start_executor, real_launch, real_plugin, real_cache, place, version):
    executor = start_executor(ESAAS_CACHE_DIR=str(real_cache))
    launch, plugin = real_launch(version), real_plugin("6.7.0")
    content = built_for(Path(plugin.url.removeprefix("file://")), "6.2.4")
    (place / "old.zip").write_bytes(content)
    launch.plugins.add(name="minhash", url=(place / "old.zip").as_uri(),
                       sha256=hashlib.sha256(content).hexdigest())
    agent.launch(task_of(launch))
    reason = agent.wait_state("TASK_FAILED", START_S).reason
    assert executor.wait() == 0
    assert reason == ("cannot prepare the node: plugin minhash: Plugin [minhash] was built for "
                      f"Elasticsearch version 6.2.4 but version {version} is running")
    assert not (real_cache / plugins.key_of(launch.distribution.sha256, launch.plugins)).exists()


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_plugin_that_does_not_load_fails_the_task_and_is_told(
        agent, start_executor, real_launch, real_plugin, real_cache):
    executor = start_executor(ESAAS_CACHE_DIR=str(real_cache))
    launch = real_launch("7.17.29")
    launch.plugins.append(real_plugin("7.9.0"))  # names no version, so that it installs
    agent.launch(task_of(launch))
    status = agent.wait_state("TASK_FAILED", START_S)
    assert executor.wait() == 0
    assert "Plugin installed plugin=minhash" in executor.log()
    assert status.exit_code == 1 and "org.elasticsearch." in status.reason
    assert "did not exit normally" not in status.reason


def built_for(zipped: Path, version: str) -> bytes:
    """The zip of a plugin with another version of Elasticsearch in its descriptor."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(zipped) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "plugin-descriptor.properties":
                text = re.sub(rb"(?m)^elasticsearch.version=.*$",
                              f"elasticsearch.version={version}".encode(), text)
            new.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", [*VERSIONS, "9.5.3"])
def test_a_node_on_hold_can_be_examined_with_the_tools(
        agent, start_executor, real_launch, real_cache, version):
    executor = start_executor(ESAAS_CACHE_DIR=str(real_cache))
    launch = real_launch(version)
    launch.paused = True
    launch.secure_settings["bootstrap.password"] = SECRET
    status = start(agent, executor, launch)
    assert (status.phase, status.pid) == (esaas_pb2.NodeStatus.PAUSED, 0)
    assert status.reason.startswith("held for debugging: Elasticsearch is not started; ")
    assert "healthy" not in agent.updates()[-1]
    text = (executor.sandbox / "README.debugging").read_text()
    assert str(executor.sandbox / "data") in text and SECRET not in text
    [command] = [line for line in text.splitlines() if "elasticsearch-keystore list" in line]
    user = unprivileged_user()
    shown = subprocess.run(shlex.split(command), env={"PATH": os.environ["PATH"]}, check=True,
                           capture_output=True, text=True, user=user.pw_uid if user else None)
    assert "bootstrap.password" in shown.stdout
    started_at = time.monotonic()
    agent.kill("task-1")
    assert agent.wait_state("TASK_KILLED").reason == "killed on request"
    assert executor.wait() == 0 and time.monotonic() - started_at < 10


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_kill_while_a_plugin_is_installed_leaves_no_process(
        agent, start_executor, real_launch, real_plugin, real_cache):
    executor = start_executor(ESAAS_CACHE_DIR=str(real_cache))
    launch = real_launch("6.8.23")
    launch.plugins.append(real_plugin("7.9.0"))  # in no other test: it has to be installed
    agent.launch(task_of(launch))
    [installer] = poll(lambda: installers(real_cache))
    executor.process.kill()
    poll(lambda: not is_alive(installer))


def installers(cache: Path) -> list[int]:
    """Pids of the installers of plugins that work in a cache."""
    listed = subprocess.run(["pgrep", "-f", f"{cache}/.*new/tree/.*PluginCli"],
                            capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]
