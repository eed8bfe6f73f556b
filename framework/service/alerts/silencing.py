"""Silences: for all clusters of the service, changed under a lease of their own."""
from __future__ import annotations

import time
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from ...core.alerts.routing import Silence
from ...core.errors import Fault
from ...store.contract import Delete, Put, Store, StoreBusy, StoreError
from ...store.leasing import OVERTAKEN, leased
from ..errors import Conflict, Invalid, Unavailable
from .records import new_id
from .views import SilenceRequest, SilenceView

FOLDER = "silences"
LEASE = "_silences"                     # no name of a cluster begins like that
MAX_SILENCES = 500
_SILENCE: TypeAdapter[Silence] = TypeAdapter(Silence)


def read_silences(store: Store) -> dict[str, tuple[Silence, int]]:
    """All on record with their versions; StoreError."""
    try:
        return {path.rpartition("/")[2]: (_SILENCE.validate_json(stored.data), stored.version)
                for path, stored in store.read(FOLDER).items()}
    except ValidationError as error:
        raise StoreError("a silence cannot be read") from error


def add_silence(store: Store, owner: str, wanted: SilenceRequest, by: str) -> Silence:
    """Store one, and forget those that are over. Blocking. Invalid, Conflict, Unavailable."""
    if not any((wanted.rule, wanted.cluster, wanted.subject, wanted.severity)):
        raise Invalid("this would silence everything", [Fault(
            "", "give rule, cluster, subject or severity; rule '*' is everything",
            "silence_matches_something")])
    now = time.time()
    made = Silence(new_id(), now + wanted.lasts_s, by, wanted.why, now, wanted.rule,
                   wanted.cluster, wanted.subject, wanted.severity)
    try:
        with leased(store, LEASE, owner) as lease:
            known = read_silences(store)
            over = [Delete(f"{FOLDER}/{ident}", version)
                    for ident, (one, version) in known.items() if one.until <= now]
            if len(known) - len(over) >= MAX_SILENCES:
                raise Conflict(f"there are {MAX_SILENCES} silences already")
            store.write(lease, [*over[:100], Put(f"{FOLDER}/{made.id}",
                                                 _SILENCE.dump_json(made), 0)])
    except OVERTAKEN as error:
        raise Unavailable("somebody else changes silences in this moment") from error
    except StoreError as error:
        raise Unavailable(f"the silence could not be stored: {error}") from error
    return made


def drop_silence(store: Store, owner: str, ident: str) -> None:
    """Forget one; fine when it is gone. Blocking. Unavailable."""
    try:
        with leased(store, LEASE, owner) as lease:
            known = read_silences(store).get(ident)
            if known is not None:
                store.write(lease, [Delete(f"{FOLDER}/{ident}", known[1])])
    except (StoreBusy, StoreError) as error:
        raise Unavailable(f"the silence could not be removed: {error}") from error


def silence_view(one: Silence) -> SilenceView:
    """For doors."""
    return SilenceView(id=one.id, rule=one.rule, cluster=one.cluster, subject=one.subject,
                       severity=one.severity, until=one.until, by=one.by, why=one.why, at=one.at)


def active(known: Mapping[str, tuple[Silence, int]], now: float) -> list[Silence]:
    """Those that have not ended, by their end."""
    return sorted((one for one, _ in known.values() if one.until > now),
                  key=lambda one: one.until)
