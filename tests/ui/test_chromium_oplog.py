"""The page of the operation log in a real Chromium: found by form, at three widths, by keyboard."""
from __future__ import annotations

import pytest
from asking import ask
from browser import CHROMIUM, DRIVER, find, overflow, press, resize, shoot
from live_app import PATIENCE_S, LiveApp
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.system, pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="apt-get install chromium chromium-driver")]


def fill(live: LiveApp) -> None:
    """Lines of every outcome, with differences and faults."""
    path = "/v1/clusters/demo"
    ask(live, "POST", f"{path}/scale", {"group": "node", "count": 5})
    ask(live, "POST", f"{path}/scale", {"group": "nowhere", "count": 5})
    ask(live, "POST", f"{path}/switches/allocation", {"value": "none"})
    ask(live, "POST", "/v1/clusters", {"name": "x" * 60})
    made = ask(live, "GET", path).json["spec"] | {"name": "another"}
    assert ask(live, "POST", "/v1/clusters", made).status == 202


@pytest.mark.parametrize(("width", "scheme"), [
    (1280, "light"), (1280, "dark"), (400, "light"), (320, "dark")])
def test_nothing_sticks_out(browser: Chrome, live: LiveApp, width: int, scheme: str) -> None:
    fill(live)
    resize(browser, width, scheme=scheme)
    browser.get(f"{live.url}/log")
    find(browser, ".log li")
    browser.execute_script("document.querySelectorAll('details').forEach((d) => d.open = true)")
    assert overflow(browser) == []
    shoot(browser, f"log-{width}-{scheme}")


def test_found_by_form_and_keyboard_without_scripts(browser: Chrome, live: LiveApp) -> None:
    fill(live)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{live.url}/clusters/demo")
        press(browser, "Log")
        WebDriverWait(browser, PATIENCE_S).until(lambda _: "Operation log" in browser.title)
        find(browser, "#search").send_keys("NOWHERE", Keys.ENTER)
        WebDriverWait(browser, PATIENCE_S).until(
            lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".log li")) == 1)
        assert "refused" in find(browser, ".log li").text
        summary = find(browser, ".log summary")
        summary.send_keys(Keys.ENTER)
        assert "What was asked for" in find(browser, ".log li").text
        find(browser, "#since").send_keys("soon", Keys.ENTER)
        assert "a time such as" in find(browser, "#log-error").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
