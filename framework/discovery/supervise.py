"""The work of ``esaas haproxy``: answers in, HAProxy up to date, whatever happens on the way."""
from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from ..client import Client
from ..core.errors import EsaasError
from .follow import PATH, Follower
from .haproxy import Applier, Files, HaproxyError, Master, run_command
from .targets import Targets, targets_of, without_port

log = structlog.get_logger(__name__)

LOOK_S = 0.2
AGAIN_S = 5.0                       # after HAProxy has not taken something, or has died


@dataclass(frozen=True, slots=True)
class Chosen:
    """What people have chosen."""

    client: Client
    directory: Path
    bind: str
    binary: str
    runs: bool
    reload_command: str | None


def once_only(chosen: Chosen, check_only: bool = False) -> None:
    """Ask once; put a configuration in place, or only have it checked. EsaasError."""
    files = Files(chosen.directory, chosen.bind, chosen.binary)
    answer = chosen.client.get(PATH)
    targets = targets_of(answer, files.known())
    if check_only:
        files.check(targets)
        log.info("haproxy takes the configuration", ports=len(targets))
        return
    changed = files.install(targets)
    if changed and chosen.reload_command:
        run_command(chosen.reload_command)
    log.info("configuration is in place", file=str(files.config), ports=len(targets),
             changed=changed, without_port=list(without_port(answer)))


def follow(chosen: Chosen, stop: threading.Event) -> None:
    """Follow the service until ``stop``; HAProxy that was started here ends with it.

    EsaasError when HAProxy cannot be used at all.
    """
    files = Files(chosen.directory, chosen.bind, chosen.binary)
    keeper = Keeper(files, _reloader(chosen), Master(files) if chosen.runs else None)
    keeper.begin()
    follower = Follower(chosen.client)
    follower.start()
    try:
        while not stop.is_set():
            try:
                answer = follower.answers.get(timeout=LOOK_S)
            except queue.Empty:
                keeper.look()
                continue
            keeper.take(answer)
    finally:
        follower.stop()
        keeper.end()


def _reloader(chosen: Chosen) -> Callable[[], None]:
    def reload() -> None:
        if chosen.reload_command:
            run_command(chosen.reload_command)
        else:
            log.info("reload haproxy now: neither --run nor --reload-command was given")
    return reload


class Keeper:
    """Keeps HAProxy at the last answer; ``master`` is the process to look after, if it is ours."""

    def __init__(self, files: Files, reload: Callable[[], None], master: Master | None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._files, self._master, self._clock = files, master, clock
        self._applier = Applier(files, master.reload if master is not None else reload)
        self.targets: Targets = files.known()
        self._wanted: Targets | None = None     # what could not be applied yet
        self._again_at = 0.0

    def begin(self) -> None:
        """Start HAProxy with what was known before, so that it serves without the service."""
        self._files.install(self.targets)
        if self._master is None:
            return
        if self._master.adopt():
            self._master.reload()
        else:
            self._master.start()
        self._applier.loaded(self.targets)

    def take(self, answer: object) -> None:
        """Bring HAProxy to an answer; what cannot be applied is told, and tried again."""
        try:
            targets = targets_of(answer, self.targets)
            if lacking := without_port(answer):
                log.warning("clusters have no virtual port", clusters=list(lacking))
        except EsaasError as error:
            log.error("answer cannot be used, haproxy goes on as it is", error=str(error))
            return
        self._apply(targets)

    def look(self) -> None:
        """Now and then: start what has died, and try again what could not be applied."""
        if self._clock() < self._again_at:
            return
        if self._master is not None and self._master.pid is None:
            log.error("haproxy has died, it is started again")
            self._start_again(self._master)
        elif self._wanted is not None:
            self._apply(self._wanted)

    def _start_again(self, master: Master) -> None:
        try:
            master.start()
            self._applier.loaded(self.targets)
        except HaproxyError as error:
            self._again_at = self._clock() + AGAIN_S
            log.error("haproxy cannot be started", error=str(error))

    def _apply(self, targets: Targets) -> None:
        try:
            how = self._applier.apply(targets)
        except EsaasError as error:
            self._wanted, self._again_at = targets, self._clock() + AGAIN_S
            log.error("haproxy goes on as it is", error=str(error))
            return
        self._wanted, self.targets = None, targets
        if how:
            log.info("haproxy is up to date", how=how, ports=len(targets),
                     servers=sum(len(target.servers) for target in targets))

    def end(self) -> None:
        """End HAProxy, if it is ours."""
        if self._master is not None:
            self._master.stop()
