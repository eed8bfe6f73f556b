"""A real ZooKeeper for tests, and a stand-in for the network before it."""
from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from esaas.local import zookeeper

START_TIMEOUT_S = 60.0
POLL_S = 0.05


def until(holds: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    """Poll for a state."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(POLL_S)


def free_port() -> int:
    """A port of the kernel's choice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RealZooKeeper:
    """One server with its data in a temporary directory.

    ``members`` are lines of configuration that name an ensemble, ``number`` is its own in it; it
    serves only with a majority of them, so nobody waits for it.
    """

    def __init__(self, port: int = 0, number: int = 0, members: str = "") -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="esaas-zookeeper-"))
        self.port = port or free_port()
        self._number, self._members = number, members
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def hosts(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it; one that is alone is waited for."""
        command = zookeeper.command(self._directory, self.port)
        if self._members:
            with (self._directory / "zoo.cfg").open("a") as config:
                config.write(self._members)
            (self._directory / "data" / "myid").write_text(f"{self._number}\n")
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log,
                                             cwd=self._directory)
        if not self._members:
            until(lambda: zookeeper.serving(self.port), "ZooKeeper", START_TIMEOUT_S)

    def signal(self, number: int) -> None:
        """Pause, continue, end it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a crash."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Nothing of it is left."""
        assert self._process is not None
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self._directory)


class RealEnsemble:
    """Three servers that elect a leader."""

    COUNT = 3

    def __init__(self) -> None:
        ports = [[free_port() for _ in range(3)] for _ in range(self.COUNT)]
        members = "initLimit=20\nsyncLimit=5\n" + "".join(
            f"server.{number}=127.0.0.1:{ports[number - 1][1]}:{ports[number - 1][2]}\n"
            for number in range(1, self.COUNT + 1))
        self.servers = [RealZooKeeper(port=ports[index][0], number=index + 1, members=members)
                        for index in range(self.COUNT)]
        until(lambda: all(zookeeper.serving(server.port) for server in self.servers), "a leader")

    @property
    def hosts(self) -> str:
        """Where they listen."""
        return ",".join(server.hosts for server in self.servers)

    def close(self) -> None:
        """Nothing of them is left."""
        for server in self.servers:
            server.close()


@contextlib.contextmanager
def real_zookeeper() -> Iterator[RealZooKeeper]:
    """Gone at the end."""
    server = RealZooKeeper()
    try:
        yield server
    finally:
        server.close()


class StandInNetwork:
    """A TCP proxy that can lose answers, cut connections and refuse new ones.

    ``lose_answers`` lets requests through and swallows what comes back, until ``cut``.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._mutex = threading.Lock()
        self._links: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.open = True
        self.lose_answers = False
        self.lost = 0                       # answers that were swallowed
        self._spawn(self._accept)

    @property
    def hosts(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @staticmethod
    def _spawn(target: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.open:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._mutex:
                self._links += [client, server]
            self._spawn(self._pump, client, server, False)
            self._spawn(self._pump, server, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers and self.lose_answers:
                    self.lost += 1
                    continue
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            _shut(end)

    def cut(self) -> None:
        """End all connections; new ones are as ``open`` says."""
        with self._mutex:
            links, self._links = self._links, []
        for link in links:
            _shut(link)

    def close(self) -> None:
        """Nothing of it is left."""
        self.open = False
        self._listener.close()
        self.cut()


def _shut(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
    link.close()
