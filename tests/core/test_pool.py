"""The arithmetic of offers: nothing is taken twice, and only what may be taken is."""
from __future__ import annotations

from collections import Counter

import pytest
from esaas.framework.core.facts import LABEL_INCARNATION, LABEL_NODE, LABEL_UID
from esaas.framework.core.offers.pool import build, take_disk, take_ports, take_scalar, usable
from esaas.framework.core.resources import (
    Disk,
    Reservation,
    Resource,
    count_ports,
    describe,
    first_ports,
)
from hypothesis import given
from hypothesis import strategies as st

from .builders import ROLE, formed, offer, own_resources, pool, record, scalars

TENANT, STATIC = Reservation("acme"), Reservation("acme", dynamic=False, principal="ops")
OURS = ((LABEL_INCARNATION, "1"), (LABEL_NODE, "node-1"), (LABEL_UID, "uid1"))
MILLI = st.integers(1, 8000).map(lambda number: number / 1000)


def ports_of(resources: object) -> list[int]:
    return [port for item in resources for begin, end in item.ranges  # type: ignore[attr-defined]
            for port in range(begin, end + 1)]


# ---------------------------------------------------------------- what is usable

def disk(**more: object) -> Resource:
    return Resource("disk", 100.0, disk=Disk(**more))            # type: ignore[arg-type]


@pytest.mark.parametrize(("resource", "expected"), [
    (Resource("cpus", 1.0), True),
    (Resource("cpus", 1.0, reservations=(TENANT,)), True),
    (Resource("cpus", 1.0, reservations=(STATIC,)), True),
    (Resource("cpus", 1.0, reservations=(Reservation(ROLE),)), False),   # cannot be refined
    (Resource("cpus", 1.0, reservations=(Reservation("acm"),)), False),
    (Resource("cpus", 1.0, reservations=(Reservation("acme/demon"),)), False),
    (Resource("cpus", 1.0, reservations=(Reservation("other"),)), False),
    (Resource("cpus", 1.0, reservations=(TENANT, Reservation("acme/other"))), False),
    (Resource("cpus", 1.0, reservations=(Reservation("acme", labels=(("a", "b"),)),)), False),
    (Resource("cpus", 1.0, opaque=True), False),
    (disk(source_type="MOUNT", source_root="/data1"), True),
    (disk(persistence_id="somebodys"), False),
    (disk(persistence_id="somebodys", source_type="MOUNT"), False),
])
def test_only_what_is_free_or_the_tenants_is_usable(resource: Resource, expected: bool) -> None:
    assert usable(resource, ROLE) is expected
    free = build([offer(1, [resource])], ROLE, "uid1")[0].free
    assert free == ((resource,) if expected else ())


def test_what_carries_our_labels_is_a_seat_and_never_free() -> None:
    state = formed()
    own = own_resources(state, state.nodes["node-1"])
    found = build([offer(1, [*own, *scalars()])], ROLE, "uid1")[0]
    assert found.free == scalars()
    assert [(seat.node, seat.incarnation) for seat in found.seats] == [("node-1", 1)]
    assert found.seats[0].resources == own and len(found.seats[0].volumes) == 1
    assert found.seats[0].amount("cpus") == 1.1 and found.seats[0].ports == {31000, 31001}


def test_the_labels_of_a_cluster_of_the_same_name_are_not_ours() -> None:
    state = formed()
    own = own_resources(state, state.nodes["node-1"])
    found = build([offer(1, own)], ROLE, "uid2")[0]
    assert found.free == () and found.seats == ()


def test_a_label_that_is_no_number_does_not_stop_the_cycle() -> None:
    odd = Reservation(ROLE, labels=((LABEL_UID, "uid1"), (LABEL_NODE, "node-1"),
                                    (LABEL_INCARNATION, "x")))
    found = build([offer(1, [Resource("cpus", 1.0, reservations=(odd,))])], ROLE, "uid1")[0]
    assert [(seat.node, seat.incarnation) for seat in found.seats] == [("node-1", 0)]


def test_all_offers_of_an_agent_make_one_pool() -> None:
    offers = [offer(1, scalars(1.0)), offer(2), offer(1, scalars(2.0, ports=(5, 6)), id="more")]
    first, second = build(offers, ROLE, "uid1")
    assert first.offer_ids == ("offer-1", "more") and second.offer_ids == ("offer-2",)
    assert first.free_amount("cpus") == 3.0 and first.free_ports() == 12


# ------------------------------------------------------------------------ taking

RESERVED = st.sampled_from([(), (TENANT,), (STATIC,)])
FREE = st.lists(st.builds(Resource, st.sampled_from(["cpus", "mem"]), MILLI, reservations=RESERVED,
                          ranges=st.just(()), disk=st.none(), provider_id=st.none(),
                          opaque=st.just(False)), max_size=6)


def by_kind(resources: object) -> Counter[object]:
    found: Counter[object] = Counter()
    for item in resources:                                       # type: ignore[attr-defined]
        found[item.name, item.reservations] += round(item.amount * 1000)
    return found


@given(free=FREE, wanted=st.lists(MILLI, max_size=4))
def test_what_is_taken_is_gone_and_nothing_gets_negative(
        free: list[Resource], wanted: list[float]) -> None:
    left = pool(free=free)
    taken: list[Resource] = []
    for amount in wanted:
        part = take_scalar(left.free, "cpus", amount)
        assert not part or sum(item.amount for item in part) == pytest.approx(amount, abs=1e-3)
        assert part or left.free_amount("cpus") < amount
        left = left.without(part)
        taken += part
    assert all(item.amount > 0 for item in (*left.free, *taken))
    assert by_kind(left.free) + by_kind(taken) == by_kind(free)


@given(free=FREE, amount=MILLI)
def test_what_is_reserved_for_us_is_taken_first(free: list[Resource], amount: float) -> None:
    taken = take_scalar(free, "cpus", amount)
    reserved = sum(item.amount for item in free if item.name == "cpus" and item.reservations)
    held = sum(item.amount for item in taken if item.reservations)
    assert not taken or held == pytest.approx(min(reserved, amount), abs=1e-3)


RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4)), max_size=5).map(
    lambda pairs: tuple((100 * index + low, 100 * index + low + more)
                        for index, (low, more) in enumerate(pairs)))


@given(RANGES, RANGES)
def test_ports_are_never_shared(unreserved: tuple[tuple[int, int], ...],
                                reserved: tuple[tuple[int, int], ...]) -> None:
    tenants = tuple((low + 2000, high + 2000) for low, high in reserved)
    free = [Resource("ports", ranges=unreserved),
            Resource("ports", ranges=tenants, reservations=(TENANT,))]
    left = pool(free=free)
    seen: list[int] = []
    while left.free_ports() >= 2:
        ports, parts = take_ports(left.free, 2)
        assert len(ports) == 2 and sorted(ports) == sorted(ports_of(parts))
        seen += ports
        left = left.without(parts)
    assert take_ports(left.free, 2) == ([], [])
    assert len(seen) == len(set(seen))
    assert sorted([*seen, *ports_of(left.free)]) == sorted(ports_of(free))


@given(RANGES, st.integers(0, 8))
def test_the_lowest_ports_come_first(ranges: tuple[tuple[int, int], ...], count: int) -> None:
    every = sorted(port for low, high in ranges for port in range(low, high + 1))
    assert first_ports(ranges, count) == every[:count]
    assert count_ports(ranges) == len(every)


# ------------------------------------------------------------------------- disks

def drive(kind: str | None, amount: float, root: str | None = None) -> Resource:
    return Resource("disk", amount, disk=Disk(source_type=kind, source_root=root) if kind else None)


DISKS = (drive(None, 5000.0), drive("PATH", 3000.0, "/a"), drive("PATH", 9000.0, "/b"),
         drive("MOUNT", 4000.0, "/m1"), drive("MOUNT", 8000.0, "/m2"))


@pytest.mark.parametrize(("kind", "size_mb", "expected"), [
    ("ROOT", 2000, drive(None, 2000.0)), ("ROOT", 5001, None),
    ("PATH", 2000, drive("PATH", 2000.0, "/a")),              # the smallest that is large enough
    ("PATH", 4000, drive("PATH", 4000.0, "/b")), ("PATH", 9001, None),
    ("MOUNT", 2000, drive("MOUNT", 4000.0, "/m1")),           # whole
    ("MOUNT", 5000, drive("MOUNT", 8000.0, "/m2")), ("MOUNT", 8001, None)])
def test_a_disk_of_the_type_is_cut_but_for_a_mount(
        kind: str, size_mb: int, expected: Resource | None) -> None:
    assert take_disk(pool(free=DISKS), kind, size_mb) == expected


def test_a_mount_disk_goes_once_and_a_path_disk_in_parts() -> None:
    left = pool(free=DISKS)
    for size_mb, kind in ((2000, "MOUNT"), (2000, "PATH")):
        taken = take_disk(left, kind, size_mb)
        assert taken is not None
        left = left.without([taken])
    assert [item.amount for item in left.disks("MOUNT")] == [8000.0]
    assert [item.amount for item in left.disks("PATH")] == [1000.0, 9000.0]


def test_a_volume_never_spans_two_disks() -> None:
    assert take_disk(pool(free=[drive("PATH", 3000.0, "/a"), drive("PATH", 3000.0, "/b")]), "PATH",
                     4000) is None


def test_resources_are_described_in_one_line() -> None:
    assert describe(scalars()) == "cpus 4, mem 4096 MB, disk 20000 MB, 10 ports"
    assert describe(()) == "nothing"


def test_a_record_of_a_seat_names_the_disk_it_has() -> None:
    assert DISKS[0].source == ("ROOT", None) and DISKS[3].source == ("MOUNT", "/m1")
    assert record().seat is not None
