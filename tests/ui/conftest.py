"""Fixtures of the UI's tests."""
from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from browser import resize, start_chromium
from live_app import LiveApp
from selenium.webdriver import Chrome


@pytest.fixture
def live() -> Iterator[LiveApp]:
    """The application over fresh stand-in data."""
    app = LiveApp()
    yield app
    app.close()


@pytest.fixture
def guarded() -> Iterator[LiveApp]:
    """A service with login."""
    found = LiveApp(login=True)
    yield found
    found.close()


@pytest.fixture(autouse=True, scope="session")
def _quiet_log() -> None:
    """Only warnings: thousands of requests would hide what went wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    browser = start_chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: Chrome, live: LiveApp) -> Iterator[Chrome]:
    """The browser, wide and light; at the end nobody may have complained on its console."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    resize(chromium, 1280)
    yield chromium
    chromium.get("about:blank")
    # A refused form answers 4xx, which Chromium notes as a failed resource.
    assert [line["message"] for line in chromium.get_log("browser")
            if "status of 4" not in line["message"]] == []
