"""Fixtures of the executor's tests: a place to work in, a stand-in agent, a running executor."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from esaas.executor import bundle
from esaas.framework.proto import esaas_pb2
from esaas.local.errors import LocalError
from esaas.local.fetch import plugins
from esaas.local.settings import Settings as LocalSettings
from executor_helpers import (
    WAIT_S,
    Executor,
    is_alive,
    launch_of,
    poll,
    stand_in_distribution,
    unprivileged_user,
)
from stand_in_agent import StandInAgent


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the executor's user owns and can reach; pytest's own is root's only."""
    directory = Path(tempfile.mkdtemp(prefix="esaas-test-"))
    os.chmod(directory, 0o755)
    user = unprivileged_user()
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def executor_file() -> Iterator[Path]:
    """The one-file executor, readable by all."""
    directory = Path(tempfile.mkdtemp(prefix="esaas-test-bundle-"))
    os.chmod(directory, 0o755)
    yield bundle.build(directory).path
    shutil.rmtree(directory)


@pytest.fixture
def agent() -> Iterator[StandInAgent]:
    """A stand-in agent, listening."""
    standing_in = StandInAgent()
    yield standing_in
    standing_in.go_away()


@pytest.fixture
def start_executor(place: Path, executor_file: Path,
                   agent: StandInAgent) -> Iterator[Callable[..., Executor]]:
    """Starts an executor as an agent does: unprivileged, in a sandbox, by the environment."""
    running: list[Executor] = []

    def start(as_root: bool = False, **environment: str) -> Executor:
        sandbox = place / "sandbox"
        (sandbox / "data").mkdir(parents=True)
        user = None if as_root else unprivileged_user()
        if user is not None:
            for directory in (sandbox, sandbox / "data"):
                os.chown(directory, user.pw_uid, user.pw_gid)
        environ = {
            "PATH": os.environ["PATH"], "MESOS_SANDBOX": str(sandbox),
            "MESOS_AGENT_ENDPOINT": agent.endpoint, "MESOS_FRAMEWORK_ID": "framework",
            "MESOS_EXECUTOR_ID": "executor", "MESOS_CHECKPOINT": "1",
            "MESOS_RECOVERY_TIMEOUT": "15mins", "ESAAS_CACHE_DIR": str(place / "cache"),
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "30secs", **environment}
        system_python = Path("/usr/bin/python3")
        python = str(system_python) if system_python.exists() else sys.executable
        with open(sandbox / "stderr", "wb") as stderr:
            executor = Executor(subprocess.Popen(
                [python, "-u", str(executor_file)], env=environ, cwd=sandbox, stderr=stderr,
                stdin=subprocess.DEVNULL, start_new_session=True,
                user=user.pw_uid if user else None, group=user.pw_gid if user else None,
                extra_groups=[] if user else None), sandbox)
        running.append(executor)
        return executor

    yield start
    for executor in running:
        if executor.process.poll() is None:
            executor.process.send_signal(signal.SIGKILL)
        executor.process.wait(WAIT_S)
        for pid in executor.pids:
            poll(lambda pid=pid: not is_alive(pid))


@pytest.fixture
def stand_in_launch(place: Path) -> Callable[..., esaas_pb2.NodeLaunch]:
    """A launch of the stand-in node; keyword arguments are settings, see ``launch_of``."""
    url, sha256 = stand_in_distribution(place)
    return lambda **settings: launch_of(url, sha256, **settings)


@pytest.fixture(scope="session")
def real_zip() -> Callable[[int], Path]:
    """The zip of a real Elasticsearch by major; skips the test when there is none.

    The one place to wire ``esaas.local``'s downloads to: until then the variables
    ESAAS_TEST_ES_6_ZIP, ESAAS_TEST_ES_7_ZIP and ESAAS_TEST_ES_9_ZIP name the files.
    """
    def find(major: int) -> Path:
        name = f"ESAAS_TEST_ES_{major}_ZIP"
        path = os.environ.get(name, "")
        if not path:
            pytest.skip(f"{name} names no zip of a real Elasticsearch")
        return Path(path)

    return find


@pytest.fixture(scope="session")
def real_plugin() -> Callable[[str], esaas_pb2.Plugin]:
    """A release of the plugin minhash, see ``esaas.local.fetch.plugins``."""
    def find(release: str) -> esaas_pb2.Plugin:
        try:
            path = plugins.fetch_plugin(LocalSettings.load().cache, release)
        except LocalError as error:
            pytest.skip(str(error))
        known = plugins.PLUGINS[release]
        return esaas_pb2.Plugin(name=known.name, url=path.as_uri(), sha256=known.zip.sha256)

    return find


@pytest.fixture(scope="session")
def real_cache() -> Iterator[Path]:
    """A cache of distributions for all tests of a session, the executor's user's own."""
    directory = Path(tempfile.mkdtemp(prefix="esaas-test-cache-"))
    os.chmod(directory, 0o755)
    user = unprivileged_user()
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)
    yield directory
    shutil.rmtree(directory)
