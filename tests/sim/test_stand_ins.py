"""The stand-ins of the simulator do what they stand for."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from esaas.framework.core.resources import Disk, Reservation, Resource
from esaas.framework.store.contract import Store
from esaas.sim.books import Books, ranges_of
from esaas.sim.memory import StandInStore

from ..contract import test_store as contract

PROMISES = [
    contract.test_what_is_written_is_read_with_its_version,
    contract.test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name,
    contract.test_a_record_above_the_limit_is_refused_with_everything_beside_it,
    contract.test_who_has_lost_the_lease_writes_nothing,
    contract.test_a_lease_that_was_given_back_is_of_no_use,
    contract.test_a_late_release_does_not_take_the_lease_from_its_new_holder,
    contract.test_a_lease_that_nobody_took_is_lost,
    contract.test_a_lease_is_held_until_another_takes_it_or_it_is_given_back,
    contract.test_names_are_those_of_clusters_with_a_meta_record,
    contract.test_records_are_found_at_every_depth,
    contract.test_lines_are_numbered_in_order_over_all_clusters,
    contract.test_without_a_start_the_newest_lines_come_and_after_one_the_next,
    contract.test_a_line_says_what_it_said]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda item: item.__name__)
def test_the_store_keeps_the_contract(promise: Callable[[Store], None]) -> None:
    promise(StandInStore())


def test_books_add_up_and_are_taken_whole_or_not_at_all() -> None:
    ours = (Reservation("acme/demo"),)
    books = Books()
    books.add([Resource("cpus", 1.5), Resource("cpus", 0.5), Resource("cpus", 1.0,
                                                                      reservations=ours),
               Resource("ports", ranges=((31000, 31003),))])
    assert not books.take([Resource("cpus", 1.0), Resource("ports", ranges=((31003, 31004),))])
    assert books.take([Resource("cpus", 2.0), Resource("ports", ranges=((31001, 31001),))])
    assert {(item.name, item.amount, item.ranges) for item in books.resources()} == {
        ("cpus", 1.0, ()), ("ports", 0.0, ((31000, 31000), (31002, 31003)))}


def test_volumes_never_merge_and_are_offered_to_their_role_alone() -> None:
    ours = (Reservation("acme/demo"),)
    books = Books()
    books.add([Resource("disk", 10.0, reservations=ours, disk=Disk(persistence_id=name))
               for name in ("a", "b")])
    assert len(books.part("acme/demo", free=True)) == 2
    assert books.part("acme/other", free=True) == []


def test_ports_are_few_ranges() -> None:
    assert ranges_of({5, 1, 2, 3, 7}) == ((1, 3), (5, 5), (7, 7))
