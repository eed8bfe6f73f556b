"""The application over the stand-in, on a loopback port in a thread of its own."""
from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import tornado.httpserver
import tornado.netutil
from argon2 import PasswordHasher
from esaas.framework.service.access.access import Access
from esaas.framework.service.access.passwords import Passwords
from esaas.framework.service.access.throttle import Throttle
from esaas.framework.service.oplog.book import Book
from esaas.framework.store.sqlite import SqliteStore
from esaas.ui.app import LOOPBACK_NAMES, make_app
from esaas.ui.peer_key import PeerKey
from esaas.ui.peers import Peers
from esaas.ui.stream import Streams
from standin_service import StandInService

T = TypeVar("T")
PATIENCE_S = 30
PEER_KEY = b"p" * 32
ADMIN_TOKEN = "the-token-of-the-admin-in-tests-0123456789"


def quick_passwords() -> Passwords:
    """Real Argon2, with as little work as it takes."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class LiveApp:
    """Serves until closed; ``call`` runs a function on the loop that serves.

    Without ``login`` everybody is an admin. With it ``ADMIN_TOKEN`` is an admin's, and ``admin``
    has the password in ``state / "admin-password"``.
    """

    def __init__(self, service: StandInService | None = None, *, heartbeat_s: float = 0.2,
                 executor_file: Path | None = None, stream_limit: int = 64,
                 login: bool = False, throttle: Throttle | None = None,
                 peers: Peers | None = None) -> None:
        self.peers = peers
        self.service = service or StandInService()
        self.streams = Streams(stream_limit)
        self.login, self._throttle = login, throttle
        self._directory = tempfile.TemporaryDirectory(prefix="esaas-access-")
        self.state = Path(self._directory.name)
        self.late_s = 0.0               # tests turn the clock of sessions and tokens
        self._options = {"heartbeat_s": heartbeat_s, "executor_file": executor_file}
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._listening.wait(PATIENCE_S), "the application did not start"

    async def _serve(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        options: dict[str, Any] = self._options
        store = SqliteStore(self.state)
        self.access = Access(store, self.state, b"k" * 32, "test", passwords=quick_passwords(),
                             throttle=self._throttle, file_token=ADMIN_TOKEN,
                             clock=lambda: time.time() + self.late_s)
        self.book = Book(store, "test")
        if self.login:
            await self.access.start()
        server = tornado.httpserver.HTTPServer(make_app(
            self.service, access=self.access, book=self.book, login=self.login,
            streams=self.streams, allowed_hosts=LOOPBACK_NAMES, peer_key=PeerKey(PEER_KEY),
            peers=self.peers, **options))
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        server.add_sockets(sockets)
        self._listening.set()
        await self._stop.wait()
        server.stop()
        await self.streams.close()
        await server.close_all_connections()
        await self.book.close()
        store.close()

    def call(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, run on the serving loop."""
        async def run() -> T:
            return work()
        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_S)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives, run on the serving loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def close(self) -> None:
        """Stop serving; the thread has ended afterwards."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the application did not stop"
        self._directory.cleanup()
