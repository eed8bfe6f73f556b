"""Fixtures of the UI's tests."""
from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from live_app import LiveApp


@pytest.fixture
def live() -> Iterator[LiveApp]:
    """The application over fresh stand-in data."""
    app = LiveApp()
    yield app
    app.close()


@pytest.fixture(autouse=True, scope="session")
def _quiet_log() -> None:
    """Only warnings: thousands of requests would hide what went wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
