"""One stand-in node: elects a master with its peers, follows it, and answers over HTTP.

The main thread serves both ports and never waits for a peer, but to pass a request on to the
master, who passes none on. The other thread looks for a master, asks for votes, and follows.

Between nodes a line of JSON is a message, over TCP on the transport port. A node that joins keeps
its connection; when it ends, the node has left. A master is elected by a majority in the sense of
``minimum_master_nodes``, once in a term: of those that are reached the one with the newest state,
then the lowest name.
"""
from __future__ import annotations

import _thread
import json
import os
import select
import signal
import socket
import time

from . import answers
from .state import MINIMUM, ClusterState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

TICK_S, BEAT_S, SILENT_S = 1.0, 5.0, 15.0
SEARCH_S, ASK_TIMEOUT_S = 0.2, 2.0
GRACE_S = 3.0                           # for the others to join a new master
PIECE_BYTES = 1 << 16


class Link:
    """A connection that somebody has made to us."""

    def __init__(self, sock: socket.socket, http: bool) -> None:
        self.sock, self.http = sock, http
        self.coming, self.going = b"", b""
        self.member: str | None = None
        self.heard_at = time.monotonic()


class Node:
    """A node by its settings, with its identity and state in ``path.data``."""

    def __init__(self, settings: dict[str, Any], seeds_path: str) -> None:
        self.settings, self._seeds_path = settings, seeds_path
        self.name, self.cluster_name = settings["node.name"], settings["cluster.name"]
        self.state = ClusterState()
        self._kept = os.path.join(settings["path.data"], "stand-in.json")
        self.id = self._load()
        host = settings["network.host"]
        self._http = (host, settings["http.port"])
        self._transport = (host, settings["transport.tcp.port"])
        self.info = {
            "name": self.name, "id": self.id, "ephemeral": os.urandom(11).hex(),
            "roles": [role for role in ("master", "data", "ingest")
                      if settings.get(f"node.{role}", True)],
            "http": f"{host}:{self._http[1]}", "transport": f"{host}:{self._transport[1]}",
            "pid": os.getpid()}
        self.master: dict[str, Any] | None = None       # None: not known
        self.recovered = False
        self._voted = self.state.term
        self._elected_at = 0.0
        self._awaited: set[str] = set()
        self._lost = ""                 # the last master that went
        self._lock = _thread.RLock()
        self._links: dict[int, Link] = {}
        self._joined: dict[str, tuple[Link, dict[str, Any]]] = {}
        self._beat_at = 0.0

    # ------------------------------------------------------------------- state

    def _load(self) -> str:
        try:
            with open(self._kept, encoding="utf-8") as file:
                body = json.load(file)
        except FileNotFoundError:
            return os.urandom(11).hex()
        self.state.load(body["state"])
        return str(body["id"])

    def _keep(self) -> None:
        with open(f"{self._kept}.new", "w", encoding="utf-8") as file:
            json.dump({"id": self.id, "state": self.state.dump()}, file)
        os.replace(f"{self._kept}.new", self._kept)

    @property
    def leads(self) -> bool:
        """Whether this node is the master."""
        return self.master is self.info

    @property
    def quorum(self) -> int:
        """How many nodes that can be master are needed for one."""
        default = str(self.settings.get(MINIMUM, 1))
        return int(self.state.setting(MINIMUM, default))

    def members(self) -> dict[str, dict[str, Any]]:
        """All nodes of the cluster, by name, as the master knows them."""
        return {self.name: self.info} | {name: info for name, (_, info) in self._joined.items()}

    def changed(self) -> None:
        """The master's state has changed: fit the copies, keep it, tell everybody."""
        self.state.version += 1
        self._allocate()
        self._publish()

    def _allocate(self) -> bool:
        data = {name for name, info in self.members().items() if "data" in info["roles"]}
        needed = int(self.settings.get("gateway.recover_after_data_nodes", 0))
        self.recovered = self.recovered or len(data) >= needed
        if not self.recovered:
            return False
        if time.monotonic() < self._elected_at + GRACE_S:
            data |= self._awaited
        return self.state.allocate(data, time.time())

    def _publish(self) -> None:
        self._keep()
        message = {"state": self.state.dump()}
        for link, _ in list(self._joined.values()):
            self._send(link, message)

    # --------------------------------------------------------------- elections

    def follow(self) -> None:
        """Look for a master, or become it; for ever."""
        while True:
            try:
                if self.leads:
                    self._still_leading()
                else:
                    self._look_for_master()
            except (OSError, ValueError):
                pass                    # a peer has gone in the middle; look again
            time.sleep(SEARCH_S)

    def _seeds(self) -> list[tuple[str, int]]:
        with open(self._seeds_path, encoding="utf-8") as file:
            pairs = [line.strip().rpartition(":") for line in file if line.strip()]
        return [(host, int(port)) for host, _, port in pairs
                if (host, int(port)) != self._transport]

    def _look_for_master(self) -> None:
        found = {}
        for seed in self._seeds():
            try:
                found[seed] = ask(seed, {"ask": "who", "cluster": self.cluster_name})
            except (OSError, ValueError):
                continue                # not there yet, or no more
        for answer in found.values():
            if answer["master"] and self._join(answer["master"]["transport"]):
                return
        can = {seed: answer for seed, answer in found.items() if answer["eligible"]}
        if "master" not in self.info["roles"] or len(can) + 1 < self.quorum:
            return
        mine = ([-number for number in self.state.age], self.name)
        if all(mine < ([-number for number in other["age"]], other["name"])
               for other in can.values()):
            self._stand(list(can), max([self._voted, *(other["voted"] for other in can.values())]))

    def _stand(self, peers: list[tuple[str, int]], last_term: int) -> None:
        """Ask for votes and lead when there are enough."""
        term = last_term + 1
        with self._lock:
            self._voted = term
        votes = 1
        for peer in peers:
            try:
                votes += ask(peer, {"ask": "vote", "term": term, "age": self.state.age})["vote"]
            except (OSError, ValueError):
                continue
        with self._lock:
            if votes < self.quorum or self._voted != term:
                return
            self.state.term = term
            if self.state.uuid == "_na_":
                self.state.uuid = os.urandom(11).hex()
            self._awaited = {copy["node"] for index in self.state.indices.values()
                             for copy in index["copies"] if copy["node"]} - {self._lost}
            self._elected_at, self.recovered, self.master = time.monotonic(), False, self.info
            print(f"stand-in master in term {term}", flush=True)
            self.changed()

    def _still_leading(self) -> None:
        with self._lock:
            count = sum("master" in info["roles"] for info in self.members().values())
            if count < self.quorum and time.monotonic() > self._elected_at + GRACE_S:
                print("stand-in master without a quorum steps down", flush=True)
                self.master = None
                for link, _ in list(self._joined.values()):
                    self._drop(link)

    def _join(self, address: str) -> bool:
        """Follow a master until it goes; False when it is none."""
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), ASK_TIMEOUT_S) as sock:
                sock.settimeout(SILENT_S + BEAT_S)
                sock.sendall(line({"ask": "join", "info": self.info}))
                with sock.makefile("rb") as coming:
                    while text := coming.readline():
                        self._learn(json.loads(text))
                        sock.sendall(line({"ask": "beat"}))
        except OSError:
            pass                        # it went without a word
        with self._lock:
            followed = self.master
            self._lost, self.master = followed["name"] if followed else self._lost, None
        return followed is not None

    def _learn(self, message: dict[str, Any]) -> None:
        with self._lock:
            self.master = message.get("master", self.master)
            if "state" in message:
                self.state.load(message["state"])
                self._voted = max(self._voted, self.state.term)
                self._keep()

    # ---------------------------------------------------------------- messages

    def _hear(self, link: Link, message: dict[str, Any]) -> None:
        """One message of a peer."""
        kind = message["ask"]
        if kind == "who":
            mine = message["cluster"] == self.cluster_name
            self._send(link, {
                "name": self.name, "master": self.master if mine else None,
                "eligible": mine and "master" in self.info["roles"],
                "age": self.state.age, "voted": self._voted})
        elif kind == "vote":
            granted = (self.master is None and message["term"] > self._voted
                       and tuple(message["age"]) >= self.state.age)
            if granted:
                self._voted = message["term"]
            self._send(link, {"vote": int(granted)})
        elif kind == "join" and self.leads:
            self._welcome(link, message["info"])
        elif kind == "join":
            self._drop(link)

    def _welcome(self, link: Link, info: dict[str, Any]) -> None:
        if known := self._joined.get(info["name"]):
            self._drop(known[0])
        link.member = info["name"]
        self._joined[info["name"]] = link, info
        self._send(link, {"master": self.info, "state": self.state.dump()})
        self.changed()

    def _send(self, link: Link, message: dict[str, Any]) -> None:
        self._write(link, line(message))

    # ----------------------------------------------------------------- serving

    def serve(self) -> NoReturn:
        """Both ports, for ever."""
        listeners = {}
        poll = select.poll()
        for address, http in ((self._http, True), (self._transport, False)):
            listener = socket.create_server(address, backlog=64)
            listeners[listener.fileno()] = listener, http
            poll.register(listener, select.POLLIN)
        _thread.start_new_thread(self.follow, ())
        self._poll = poll
        print("stand-in for Elasticsearch serves", self.info["http"], flush=True)
        while True:
            for number, event in poll.poll(TICK_S * 1000):
                with self._lock:
                    if number in listeners:
                        self._accept(*listeners[number])
                    elif number in self._links:
                        self._ready(self._links[number], event)
            with self._lock:
                self._tick()

    def _tick(self) -> None:
        if not self.leads:
            return
        if self._allocate():
            self._publish()
        now = time.monotonic()
        if now < self._beat_at + BEAT_S:
            return
        self._beat_at = now
        for link, _ in list(self._joined.values()):
            if now > link.heard_at + SILENT_S:
                self._drop(link)
            else:
                self._send(link, {"beat": True})

    def _accept(self, listener: socket.socket, http: bool) -> None:
        sock, _ = listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._links[sock.fileno()] = Link(sock, http)
        self._poll.register(sock, select.POLLIN)

    def _drop(self, link: Link) -> None:
        number = link.sock.fileno()
        if number < 0:
            return
        del self._links[number]
        self._poll.unregister(number)
        link.sock.close()
        if link.member and self._joined.get(link.member, (None,))[0] is link:
            del self._joined[link.member]
            if self.leads:
                self.changed()

    def _ready(self, link: Link, event: int) -> None:
        try:
            if event & select.POLLOUT:
                self._write(link, b"")
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                piece = link.sock.recv(PIECE_BYTES)
                if not piece:
                    self._drop(link)
                    return
                link.coming += piece
                link.heard_at = time.monotonic()
                self._requests(link) if link.http else self._messages(link)
        except BlockingIOError:
            return
        except (OSError, ValueError, KeyError) as error:
            print(f"stand-in drops a connection: {error!r}", flush=True)
            self._drop(link)

    def _messages(self, link: Link) -> None:
        while b"\n" in link.coming:
            text, _, link.coming = link.coming.partition(b"\n")
            self._hear(link, json.loads(text))

    def _write(self, link: Link, data: bytes) -> None:
        link.going += data
        try:
            link.going = link.going[link.sock.send(link.going):]
        except BlockingIOError:
            pass
        except OSError:
            link.going = b""            # its end is seen on reading
            return
        self._poll.modify(link.sock, select.POLLIN | (select.POLLOUT if link.going else 0))

    # -------------------------------------------------------------------- HTTP

    def _requests(self, link: Link) -> None:
        while b"\r\n\r\n" in link.coming:
            head, _, rest = link.coming.partition(b"\r\n\r\n")
            first, *headers = head.decode("latin-1").split("\r\n")
            length, passed_on = 0, False
            for header in headers:
                name, _, value = header.partition(":")
                if name.lower() == "content-length":
                    length = int(value)
                passed_on = passed_on or name.lower() == "x-stand-in"
            if len(rest) < length:
                return
            link.coming = rest[length:]
            method, target, _ = first.split(" ")
            status, body = self._answer(method, target, rest[:length], passed_on)
            self._write(link, f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n"
                              f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def _answer(self, method: str, target: str, body: bytes, passed_on: bool) -> tuple[int, bytes]:
        path, _, text = target.partition("?")
        path = unquoted(path)
        try:
            found = answers.local(self, path)
            if found is None and not self.leads:
                if self.master is None or passed_on:
                    raise answers.Refused(503, "master_not_discovered")
                return pass_on(self.master["http"], method, target, body)
            if found is None:
                query = dict(part.partition("=")[::2] for part in text.split("&"))
                found = answers.answer(self, method, path, query,
                                       json.loads(body) if body else None)
            return 200, json.dumps(found).encode()
        except answers.Refused as error:
            return error.status, json.dumps(error.body()).encode()
        except OSError as error:
            refused = answers.Refused(503, f"the master does not answer: {error}")
            return refused.status, json.dumps(refused.body()).encode()


def line(message: dict[str, Any]) -> bytes:
    """A message as it goes over the wire."""
    return json.dumps(message).encode() + b"\n"


def ask(address: tuple[str, int], message: dict[str, Any]) -> dict[str, Any]:
    """One question to a peer. Raises OSError and ValueError."""
    with socket.create_connection(address, ASK_TIMEOUT_S) as sock:
        sock.sendall(line(message))
        with sock.makefile("rb") as coming:
            found: dict[str, Any] = json.loads(coming.readline())
            return found


def pass_on(address: str, method: str, target: str, body: bytes) -> tuple[int, bytes]:
    """The master's answer to a request: status and body. Raises OSError."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), ASK_TIMEOUT_S) as sock:
        sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: {address}\r\nX-Stand-In: 1\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        with sock.makefile("rb") as coming:
            status, length = 0, 0
            while (text := coming.readline().strip().lower()):
                if not status:
                    status = int(text.split(b" ")[1])
                if text.startswith(b"content-length:"):
                    length = int(text.partition(b":")[2])
            if not status:
                raise OSError("the connection ended")
            return status, coming.read(length)


def unquoted(path: str) -> str:
    """A path without percent signs."""
    first, *rest = path.split("%")
    return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)


def read_settings(path: str) -> dict[str, Any]:
    """The settings that the executor wrote: a key and a value in JSON on each line."""
    settings = {}
    with open(path, encoding="utf-8") as file:
        for text in file:
            key, _, value = text.partition(": ")
            settings[json.loads(key)] = json.loads(value)
    return settings


def main() -> NoReturn:
    """Run until SIGTERM, with the exit code that Elasticsearch has then."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    folder = os.environ["ES_PATH_CONF"]
    settings = read_settings(os.path.join(folder, "elasticsearch.yml"))
    print("stand-in for Elasticsearch starts", settings["node.name"], flush=True)
    Node(settings, os.path.join(folder, "unicast_hosts.txt")).serve()
