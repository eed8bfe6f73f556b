"""What the processes of one service tell each other of their clusters."""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import structlog
from esaas.framework.service.errors import Unauthenticated
from esaas.framework.service.foreign import Word
from pydantic import ValidationError
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.routing import URLSpec
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from .base import Guarded
from .peer_key import HEADER, PeerKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from esaas.framework.service.access.people import Role

log = structlog.get_logger()

WORDS = "/v1/peers/words"
LOOK_S = 1.0                        # how soon a new process is listened to
AGAIN_S = 1.0
HEARTBEAT_S = 10.0
MOST = 4096                         # requests and streams passed on at a time


class Peers(Protocol):
    """What the service knows of its other processes."""

    def peers(self) -> Mapping[str, str]:
        """URLs by name."""

    def hear(self, member: str, word: Word) -> None:
        """What another process tells."""

    def listen(self) -> AsyncIterator[Word]:
        """What this process tells."""


class PeerFeed(Guarded):
    """``GET /v1/peers/words``: words on the clusters of this process, a line each, without end."""

    def initialize(self, peers: Peers) -> None:
        """``peers`` is the service."""
        self._peers = peers
        self._task: asyncio.Task[None] | None = None

    def needed_role(self) -> Role | None:
        """No person: the signature counts."""
        return None

    async def prepare(self) -> None:
        """Only other processes of this service may listen."""
        await super().prepare()
        if not self.from_peer():
            raise Unauthenticated("this is for other processes of the service")

    async def get(self) -> None:
        """Write words until the other side goes away; an empty line now and then."""
        self.set_header("Content-Type", "application/x-ndjson")
        self._task = self.context.streams.start(self._tell)
        await asyncio.gather(self._task, return_exceptions=True)

    async def _tell(self) -> None:
        words = self._peers.listen()
        following = asyncio.ensure_future(anext(words))
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=HEARTBEAT_S)
                self.write(b"\n")
                if done:
                    self.write(following.result().model_dump_json().encode() + b"\n")
                    following = asyncio.ensure_future(anext(words))
                await self.flush()
        except StreamClosedError:
            return
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def on_connection_close(self) -> None:
        """The other side went away."""
        if self._task is not None:
            self._task.cancel()


def peer_rules(peers: Peers) -> list[URLSpec]:
    """Tornado's rule for the feed."""
    return [URLSpec(WORDS, PeerFeed, {"peers": peers})]


class Ears:
    """Listens to every other process, again and again."""

    def __init__(self, peers: Peers, key: PeerKey, ca_file: str | None = None) -> None:
        self._peers, self._key, self._ca_file = peers, key, ca_file
        self._client = SimpleAsyncHTTPClient(force_instance=True, max_clients=MOST)
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                wanted = set(self._peers.peers().items())
                for gone in self._tasks.keys() - wanted:
                    self._tasks.pop(gone).cancel()
                for member, url in wanted - self._tasks.keys():
                    self._tasks[member, url] = asyncio.create_task(self._listen(member, url))
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._client.close()

    async def _listen(self, member: str, url: str) -> None:
        while True:
            lines = Lines(lambda line: self._heard(member, line))
            try:
                await self._client.fetch(HTTPRequest(
                    f"{url}{WORDS}", headers={HEADER: self._key.sign("GET", WORDS)},
                    streaming_callback=lines.feed, request_timeout=0, connect_timeout=5,
                    ca_certs=self._ca_file))
            except (OSError, HTTPClientError, StreamClosedError) as error:
                log.debug("peer_is_not_heard", peer=member, url=url, error=str(error))
            await asyncio.sleep(AGAIN_S)

    def _heard(self, member: str, line: bytes) -> None:
        try:
            self._peers.hear(member, Word.model_validate_json(line))
        except ValidationError as error:        # of another release
            log.warning("peer_is_not_understood", peer=member, faults=error.error_count())


class Lines:
    """Whole lines out of pieces; empty ones are heartbeats."""

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._tell, self._rest = tell, b""

    def feed(self, data: bytes) -> None:
        """Take a piece."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._tell(line)
