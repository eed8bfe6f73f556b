"""Hot spots: deviation, outliers, and proposals that never make anything worse."""
from __future__ import annotations

import math

from esaas.framework.core.hotspots import (
    DISK_SHARE,
    NodeLoad,
    Proposal,
    ShardCopy,
    Tenancy,
    is_hot,
    mean_and_deviation,
    propose,
    propose_host_moves,
    spread,
    spreads,
)
from hypothesis import given
from hypothesis import strategies as st


def load(node: str, copies: list[ShardCopy], host: str = "", free_mb: float = 10_000.0,
         total_mb: float = 20_000.0, takes: bool = True, **figures: float) -> NodeLoad:
    own = [one for one in copies if one.node == node]
    return NodeLoad(node, host or f"host-{node}", {
        "store_mb": sum(one.store_mb for one in own), "shards": float(len(own)), **figures},
        free_mb, total_mb, takes)


def loads(names: str, copies: list[ShardCopy]) -> list[NodeLoad]:
    return [load(name, copies) for name in names]


def test_the_measure_is_the_standard_deviation_of_all() -> None:
    assert mean_and_deviation([]) == (0.0, 0.0)
    assert mean_and_deviation([2, 4, 4, 4, 5, 5, 7, 9]) == (5.0, 2.0)


def test_an_outlier_is_told_with_the_shards_it_comes_from() -> None:
    copies = [ShardCopy("big", 0, "a", 900), ShardCopy("small", 1, "a", 90),
              ShardCopy("small", 0, "b", 100), ShardCopy("small", 2, "c", 110)]
    found = spread(loads("abc", copies), copies, "store_mb")
    assert [(one.node, one.figure, round(one.times_mean, 2)) for one in found.outliers] == [
        ("a", 990, 2.48)]
    assert found.outliers[0].heaviest == (("big[0]", 900), ("small[1]", 90))
    assert [name for name, _ in found.figures] == ["a", "c", "b"]
    assert math.isclose(found.relative_percent, 104.3, abs_tol=0.1)


def test_nodes_that_are_alike_are_no_outliers() -> None:
    assert not is_hot(100, 100, 0) and not is_hot(0, 0, 0)
    assert not is_hot(110, 100, 4), "above two deviations, and yet next to the others"
    assert is_hot(150, 100, 30) and is_hot(130, 100, 10)


def test_a_dimension_without_figures_is_left_out() -> None:
    copies = [ShardCopy("i", 0, "a", 1), ShardCopy("i", 1, "b", 1)]
    assert {one.dimension for one in spreads(loads("ab", copies), copies)} == {
        "store_mb", "shards"}


def test_a_large_and_a_small_shard_change_places() -> None:
    """Elasticsearch balances the number of shards: a single move would be taken back."""
    copies = [ShardCopy("i", 0, "a", 800), ShardCopy("i", 1, "a", 700), ShardCopy("i", 2, "b", 50),
              ShardCopy("i", 3, "b", 60)]
    [proposal] = propose(loads("ab", copies), copies, "store_mb", most=1)
    assert [(one.number, one.source, one.target) for one in proposal.moves] == [
        (1, "a", "b"), (2, "b", "a")]
    assert proposal.before == 695 and proposal.after == 45
    assert proposal.moved_mb == 750 and "i[2] (50) goes back for it" in proposal.why


def test_one_shard_moves_alone_to_a_node_with_fewer() -> None:
    copies = [ShardCopy("i", number, "a", 100) for number in range(3)]
    [proposal] = propose(loads("ab", copies), copies, "shards", most=1)
    assert len(proposal.moves) == 1 and proposal.moves[0].target == "b"


def test_no_copy_goes_where_another_copy_of_it_is() -> None:
    copies = [ShardCopy("i", number, node, 900) for number in range(2) for node in "ab"]
    nodes = [load("a", copies, "h1"), load("b", copies, "h2", takes=False),
             load("c", copies, "h2")]
    assert propose(nodes, copies, "store_mb") == [], "c is on the host of the other copy"
    nodes[2] = load("c", copies, "h3")
    assert [one.target for one in propose(nodes, copies, "store_mb", 1)[0].moves] == ["c"]


def test_a_disk_is_not_filled_and_a_node_that_leaves_takes_nothing() -> None:
    copies = [ShardCopy("i", 0, "a", 3000), ShardCopy("i", 1, "a", 2000)]
    full = [load("a", copies), load("b", copies, free_mb=4000.0)]
    assert propose(full, copies, "store_mb") == [], "15 % of 20,000 MB stay free"
    unknown = [load("a", copies), NodeLoad("b", "h", {"store_mb": 0.0})]
    assert propose(unknown, copies, "store_mb") == []
    leaving = [load("a", copies), load("b", copies, takes=False)]
    assert propose(leaving, copies, "store_mb") == []


def test_what_helps_little_is_not_proposed() -> None:
    copies = [ShardCopy("i", 0, "a", 101), ShardCopy("i", 1, "b", 100), ShardCopy("i", 2, "b", 1)]
    assert propose(loads("ab", copies), copies, "store_mb") == []
    assert propose(loads("ab", copies), copies, "load_1m") == [], "no shard's share is known"


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[NodeLoad], list[ShardCopy]]:
    names = [f"n{number}" for number in range(draw(st.integers(2, 6)))]
    hosts = {name: f"h{draw(st.integers(0, 5))}" for name in names}
    copies = []
    for number in range(draw(st.integers(0, 12))):
        size = draw(st.integers(0, 3000))
        for node in draw(st.sets(st.sampled_from(names), min_size=1, max_size=2)):
            copies.append(ShardCopy(f"i{number % 3}", number, node, size))
    nodes = [load(name, copies, hosts[name], draw(st.integers(0, 20_000)), 20_000.0,
                  draw(st.booleans())) for name in names]
    return nodes, copies


@given(layouts(), st.sampled_from(["store_mb", "shards"]))
def test_proposals_never_harm(layout: tuple[list[NodeLoad], list[ShardCopy]],
                              dimension: str) -> None:
    nodes, copies = layout
    known = {one.node: one for one in nodes}
    held = {one.node: {copy.id: copy for copy in copies if copy.node == one.node}
            for one in nodes}
    free = {one.node: one.disk_free_mb or 0.0 for one in nodes}
    before: float | None = None
    for proposal in propose(nodes, copies, dimension):
        assert proposal.after < proposal.before, "the deviation gets less"
        assert before is None or math.isclose(proposal.before, before, abs_tol=1e-6)
        before = proposal.after
        _carry_out(proposal, held, free)
        for name, shards in held.items():
            hosts = [known[other].host for shard in shards for other in held if other != name
                     and shard in held[other] and _moved(proposal, shard)]
            assert known[name].host not in hosts, "two copies on one host"
        for move in proposal.moves:
            assert known[move.target].takes_shards
            assert free[move.target] >= 20_000 * (1 - DISK_SHARE / 100) - 1e-6, "a disk fills up"


def _moved(proposal: Proposal, shard: str) -> bool:
    return shard in {f"{move.index}[{move.number}]" for move in proposal.moves}


def _carry_out(proposal: Proposal, held: dict[str, dict[str, ShardCopy]],
               free: dict[str, float]) -> None:
    for move in proposal.moves:
        shard = f"{move.index}[{move.number}]"
        assert shard not in held[move.target], "a copy is there already"
        copy = held[move.source].pop(shard)
        held[move.target][shard] = copy
        free[move.source] += copy.store_mb
        free[move.target] -= copy.store_mb


def test_a_node_leaves_a_hot_host_for_one_without_its_cluster() -> None:
    nodes = [Tenancy("one", "n-0", "hot", 50), Tenancy("two", "n-0", "hot", 40),
             Tenancy("one", "n-1", "cool", 5)]
    found = propose_host_moves({"hot": 90, "cool": 5, "warm": 20}, nodes)
    assert [(one.cluster, one.node, one.target) for one in found] == [
        ("two", "n-0", "cool"), ("one", "n-0", "warm")]
    assert all(one.after < one.before for one in found)
    assert propose_host_moves({"hot": 20, "cool": 19}, nodes) == [], "none is hot"
    assert propose_host_moves({"hot": 90}, nodes) == []
