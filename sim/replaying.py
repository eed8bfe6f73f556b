"""``esaas replay``: the journal of a real service through the same core.

The journal keeps every input that was worth a line and every intent, in order: folded over an
empty state they give the facts again, and each step is checked. What it does not keep is listed in
``UNKEPT``: such a cluster cannot be replayed to the last bit, and the report says what differs.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from esaas.framework.core.facts import ClusterState
    from esaas.framework.store.contract import Entry, Store, Stored

MOST_LINES = 10_000_000             # more than any store keeps of a cluster
# What leaves no line in the journal, and why a fold without it is still useful.
UNKEPT = (
    "looks at Elasticsearch without a change of health, master or members, and the copies in "
    "those with one: whatever was decided by them is there as an intent",
    "offers: what they were used for is there as intents",
    "progress of errands and addresses of other clusters: not durable",
    "lines beyond the newest that the store keeps: the fold then begins in the middle",
    "the order of intents within one turn: generations of the seeds file may be counted in "
    "another order, so their numbers are not compared",
    "clusters that are gone: their records, and with them their first spec, are deleted",
    "values of secure settings, on purpose",
)
# Learned again after every restart, so never stored.
_VOLATILE = frozenset({"link", "es", "asked", "flushed_at", "delays_raised_at",
                       "allocation_held_at", "errands_sent", "refused", "remotes",
                       "log_targets"})


@dataclass
class Replayed:
    """What came of a journal."""

    cluster: str
    lines: int = 0
    state: ClusterState | None = None
    broken: list[str] = field(default_factory=list)         # invariants, with their line
    odd: list[str] = field(default_factory=list)            # lines that cannot be folded
    differs: list[str] = field(default_factory=list)        # from the stored records
    whole: bool = True                                      # from the beginning on

    @property
    def ok(self) -> bool:
        """Whether the journal gives what is stored, and nothing was ever broken."""
        return not (self.broken or self.odd or self.differs)


def lines_of(store: Store, cluster: str) -> list[Entry]:
    """Every line of a cluster's journal that is still there, oldest first."""
    return [entry for _, entry in store.journal(cluster, None, 0, MOST_LINES)]


def replay_journal(store: Store, cluster: str) -> Replayed:
    """Fold inputs and intents, check every step, and compare with the stored records."""
    from esaas.framework.store.codec import CodecError, from_records

    found = Replayed(cluster)
    entries = lines_of(store, cluster)
    records = store.read(f"clusters/{cluster}")
    stored = from_records(records, cluster) if records else None
    begin = _beginning(entries, stored, records)
    found.whole = bool(entries) and entries[0].kind == "created"
    if begin is None:
        found.odd.append("nothing is stored, and the journal does not tell the first spec")
        return found
    state = begin
    for entry in entries:
        if entry.stream not in ("input", "intent"):
            continue
        found.lines += 1
        try:
            state = _step(found, state, entry)
        except CodecError as error:
            found.odd.append(f"line {entry.seq}: {error}")
    found.state = state
    if stored is not None:
        found.differs = list(differences(state, stored))
    return found


def _beginning(entries: Sequence[Entry], stored: ClusterState | None,
               records: Mapping[str, Stored]) -> ClusterState | None:
    """The cluster as it was founded, out of the record of its first revision."""
    from esaas.framework.core.plan import founded
    from esaas.framework.core.spec import ClusterSpec
    from esaas.framework.store.codec import decode

    if stored is None:
        return None
    name = stored.identity.name
    first = records.get(f"clusters/{name}/specs/{1:08d}")
    spec = decode(first.data, ClusterSpec) if first is not None else stored.spec
    return founded(stored.identity, spec)


def _step(found: Replayed, state: ClusterState, entry: Entry) -> ClusterState:
    """One line folded and checked; a line that cannot be folded leaves the state as it is."""
    from esaas.framework.core import invariants
    from esaas.framework.core.apply import apply
    from esaas.framework.core.errors import EsaasError
    from esaas.framework.store.codec import decode_event

    event = decode_event(entry.kind, entry.body)
    try:
        after = apply(state, event)
    except (EsaasError, LookupError) as error:
        found.odd.append(f"line {entry.seq}: {entry.kind} cannot be folded: {error}")
        return state
    if after is not state:
        found.broken += [f"line {entry.seq}, {entry.kind}: {breach}"
                         for breach in invariants.breaches(after)]
    return after


def differences(folded: ClusterState, stored: ClusterState) -> Iterator[str]:
    """Where the fold and the records differ, in durable facts."""
    for name in sorted({*folded.nodes, *stored.nodes}):
        mine, theirs = folded.nodes.get(name), stored.nodes.get(name)
        if mine is None or theirs is None:
            yield f"node {name}: {'only stored' if mine is None else 'only in the journal'}"
            continue
        for item in fields(mine):
            one, other = getattr(mine, item.name), getattr(theirs, item.name)
            if one != other and item.name != "seeds_generation":
                yield f"node {name}.{item.name}: {one!r} in the journal, {other!r} stored"
    for item in fields(folded):
        if item.name in _VOLATILE or item.name == "nodes":
            continue
        one, other = getattr(folded, item.name), getattr(stored, item.name)
        if item.name == "seeds":
            one, other = one.addresses, other.addresses
        if _plain(one) != _plain(other):
            yield f"{item.name}: {one!r:.120} in the journal, {other!r:.120} stored"


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "items") else value


@click.command()
@click.option("--state-dir", type=click.Path(path_type=Path, exists=True, file_okay=False),
              required=True, help="Of a service that is stopped, or a copy of it.")
@click.argument("cluster")
def replay(state_dir: Path, cluster: str) -> None:
    """Replay a cluster's journal through the core, and check every step.

    Exit code 1 when an invariant breaks, a line cannot be folded, or the outcome is not what is
    stored.
    """
    from esaas.framework.store.contract import StoreError
    from esaas.framework.store.sqlite import SqliteStore

    if not (state_dir / "esaas.sqlite3").exists():
        raise click.ClickException(f"{state_dir} holds no store")
    try:
        store = SqliteStore(state_dir)
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    try:
        found = replay_journal(store, cluster)
    finally:
        store.close()
    _tell(found)
    if not found.ok:
        raise SystemExit(1)


def _tell(found: Replayed) -> None:
    click.echo(f"{found.cluster}: {found.lines} inputs and intents"
               + ("" if found.whole else "; the journal does not reach back to the beginning"))
    for title, lines in (("broken invariants", found.broken), ("lines that do not fold", found.odd),
                         ("not as stored", found.differs)):
        if lines:
            click.echo(f"{title}: {len(lines)}")
            for line in lines[:20]:
                click.echo(f"  {line}")
    if found.ok:
        click.echo("every step holds, and the outcome is what is stored")
    click.echo("the journal does not keep:")
    for text in UNKEPT:
        click.echo(f"  - {text}")
