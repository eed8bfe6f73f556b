"""Templates give sound specs that hold their data; sizing says why."""
from __future__ import annotations

import pytest
from esaas.framework.core import sizing
from esaas.framework.core.spec import MAX_HEAP_MB, SpecFaults
from esaas.framework.core.templates import TEMPLATES, make
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("template", TEMPLATES)
@given(data_gb=st.floats(0.01, 50_000), replicas=st.integers(1, 3))
def test_every_answer_gives_a_sound_spec_with_room_for_its_data(
        template: str, data_gb: float, replicas: int) -> None:
    made = make(template, {"name": "logs", "tenant": "acme", "data_gb": data_gb,
                           "replicas": replicas})
    spec = made.spec
    disk_mb = sum(group.count * group.disk_mb for group in spec.groups if "data" in group.roles)
    assert disk_mb * sizing.LOW_WATERMARK >= data_gb * 1024 * (1 + replicas)
    assert spec.data_nodes >= replicas + 1 and spec.masters >= 3
    assert spec.masters % 2 == 1 or spec.masters < sizing.DEDICATED_MASTERS_FROM
    for group in spec.groups:
        assert group.heap_mb <= MAX_HEAP_MB
    assert all(reason.why and reason.value for reason in made.reasons)


@given(use=st.sampled_from([sizing.SEARCH, sizing.LOGS, sizing.WARM, sizing.SMALL]),
       data_gb=st.floats(0.01, 100_000))
def test_more_data_never_gives_less(use: sizing.Use, data_gb: float) -> None:
    one, more = sizing.size_for(use, data_gb, 1), sizing.size_for(use, data_gb * 1.5, 1)
    assert more.count * more.disk_mb >= one.count * one.disk_mb
    assert more.count >= one.count


def test_memory_follows_the_use() -> None:
    search, logs = (sizing.size_for(use, 1000, 1) for use in (sizing.SEARCH, sizing.LOGS))
    assert search.count * search.mem_mb > logs.count * logs.mem_mb


def test_hot_and_warm_nodes_are_told_apart() -> None:
    spec = make("hot-warm", {"name": "logs", "tenant": "acme", "data_gb": 4000}).spec
    assert {group.name: group.settings.get("node.attr.box_type") for group in spec.groups
            if "data" in group.roles} == {"hot": "hot", "warm": "warm"}
    hot, warm = spec.group("hot"), spec.group("warm")
    assert hot is not None and warm is not None
    assert hot.mem_mb * warm.disk_mb > warm.mem_mb * hot.disk_mb, "a hot node has more memory a GB"


def test_every_fault_of_the_answers_at_once() -> None:
    with pytest.raises(SpecFaults) as refused:
        make("small", {"name": "Logs!", "data_gb": -1, "colour": "red"})
    assert {fault.path for fault in refused.value.faults} == {"name", "tenant", "data_gb", "colour"}
    with pytest.raises(SpecFaults):
        make("small", {"name": "logs", "tenant": "acme", "version": "5.0.0"})
    with pytest.raises(SpecFaults, match="several clusters"):
        make("search", {"name": "logs", "tenant": "acme", "data_gb": 1_000_000})
    with pytest.raises(KeyError):
        make("enormous", {})
