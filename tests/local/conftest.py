"""Fixtures of the tests of the data centre in a box."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre
from esaas.local.testing.framework import TinyFramework

START_TIMEOUT_S = 180.0


@pytest.fixture
def make_box() -> Iterator[Callable[..., DataCentre]]:
    """Starts data centres that are gone, with every process, after the test."""
    with ExitStack() as stack:

        def make(*arguments: object, **options: object) -> DataCentre:
            options = {"start_timeout_s": START_TIMEOUT_S, "fast_failure": True, **options}
            return stack.enter_context(temporary_data_centre(*arguments, **options))

        yield make


@pytest.fixture
def subscribe() -> Callable[..., TinyFramework]:
    """Subscribes a tiny framework with the leading master of a data centre."""

    def make(box: DataCentre, role: str = "demo", principal: str | None = None) -> TinyFramework:
        leading = box.leader()
        assert leading is not None
        pair = (principal, box.secret(principal)) if principal else None
        return TinyFramework(leading, role=role, user=box.executor_user, pair=pair)

    return make
