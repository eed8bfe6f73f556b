"""The application over the stand-in, on a loopback port in a thread of its own."""
from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import tornado.httpserver
import tornado.netutil
from esaas.ui.app import LOOPBACK_NAMES, make_app
from esaas.ui.stream import Streams
from standin_service import StandInService

T = TypeVar("T")
PATIENCE_S = 30


class LiveApp:
    """Serves until closed; ``call`` runs a function on the loop that serves."""

    def __init__(self, service: StandInService | None = None, *, heartbeat_s: float = 0.2,
                 executor_file: Path | None = None, stream_limit: int = 64) -> None:
        self.service = service or StandInService()
        self.streams = Streams(stream_limit)
        self._options = {"heartbeat_s": heartbeat_s, "executor_file": executor_file}
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._listening.wait(PATIENCE_S), "the application did not start"

    async def _serve(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        options: dict[str, Any] = self._options
        server = tornado.httpserver.HTTPServer(make_app(
            self.service, streams=self.streams, allowed_hosts=LOOPBACK_NAMES, **options))
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        server.add_sockets(sockets)
        self._listening.set()
        await self._stop.wait()
        server.stop()
        await self.streams.close()
        await server.close_all_connections()

    def call(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, run on the serving loop."""
        async def run() -> T:
            return work()
        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_S)

    def close(self) -> None:
        """Stop serving; the thread has ended afterwards."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the application did not stop"
