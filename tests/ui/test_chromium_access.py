"""Login, users and tokens in a real Chromium: by keyboard, at two widths, without scripts."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import CHROMIUM, DRIVER, find, log_in, overflow, press, resize, shoot, until_live
from live_app import PATIENCE_S, LiveApp
from people import PASSWORD, add_user
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.system, pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="apt-get install chromium chromium-driver")]


@pytest.fixture
def live() -> Iterator[LiveApp]:
    """A service with login; a viewer of one tenant, and a second admin."""
    app = LiveApp(login=True)
    add_user(app, "vera", "viewer", "flights")
    add_user(app, "root", "admin")
    yield app
    app.close()


@pytest.fixture(autouse=True)
def _no_cookies(browser: Chrome) -> None:
    """Services of tests differ in their port only, which cookies do not know."""
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})


def until_at(browser: Chrome, path: str) -> None:
    """Wait until the browser shows a page."""
    WebDriverWait(browser, PATIENCE_S).until(lambda _: path in browser.current_url)


def test_in_by_keyboard_and_out_by_the_menu(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo")
    until_at(browser, "/login?next=")
    assert browser.switch_to.active_element.get_attribute("id") == "user"
    browser.switch_to.active_element.send_keys("vera", Keys.TAB, PASSWORD, Keys.ENTER)
    until_at(browser, "/clusters/demo")
    until_live(browser)
    assert not browser.find_elements(By.ID, "count-node"), "a viewer scales nothing"
    menu = find(browser, ".user-menu summary")
    assert "vera" in menu.text and "viewer" in menu.text
    menu.send_keys(Keys.ENTER)
    assert "tenant flights" in find(browser, ".user-menu .card").text
    press(browser, "Log out")
    until_at(browser, "/login")
    browser.get(f"{live.url}/clusters/demo")
    until_at(browser, "/login?next=")


def test_a_wrong_password_stays_on_the_page(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/login")
    find(browser, "#user").send_keys("vera")
    find(browser, "#password").send_keys("wrong-wrong", Keys.ENTER)
    assert "is wrong" in find(browser, "#login-error").text
    assert find(browser, "#user").get_attribute("value") == "vera"
    assert browser.switch_to.active_element.get_attribute("id") == "password"


def test_a_page_that_is_open_asks_to_log_in_when_the_session_ends(browser: Chrome,
                                                                  live: LiveApp) -> None:
    log_in(browser, f"{live.url}/clusters/demo", "vera", PASSWORD)
    until_live(browser)
    live.run(live.access.set_password("vera", "another " + PASSWORD))
    until_at(browser, "/login?next=%2Fclusters%2Fdemo")


def test_users_and_tokens(browser: Chrome, live: LiveApp) -> None:
    log_in(browser, f"{live.url}/users", "root", PASSWORD)
    find(browser, "#name").send_keys("otto")
    find(browser, "#role").send_keys("operator")
    find(browser, "#tenants").send_keys("flights hotels")
    find(browser, "#password").send_keys(PASSWORD, Keys.ENTER)
    assert "was added" in find(browser, ".notice.good").text
    assert "tenants flights, hotels" in find(browser, "#user-otto").text
    find(browser, "#change-otto summary").click()
    press(browser, "Remove otto")
    press(browser, "Go ahead")
    until_at(browser, "notice=removed")
    assert not browser.find_elements(By.ID, "user-otto")
    browser.get(f"{live.url}/tokens")
    find(browser, "#name").send_keys("ci")
    find(browser, "#tenants").send_keys("*", Keys.ENTER)
    assert find(browser, "#token-value").text.startswith("esaas_")
    press(browser, "Revoke ci")
    press(browser, "Go ahead")
    until_at(browser, "notice=revoked")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out(browser: Chrome, live: LiveApp, width: int, scheme: str) -> None:
    resize(browser, width, scheme=scheme)
    browser.get(f"{live.url}/login")
    assert overflow(browser) == []
    shoot(browser, f"login-{width}-{scheme}")
    resize(browser, width, scheme=scheme)
    log_in(browser, f"{live.url}/", "root", PASSWORD)
    for name in ("users", "tokens", "account"):
        browser.get(f"{live.url}/{name}")
        for details in browser.find_elements(By.CSS_SELECTOR, "main details, .user-menu"):
            browser.execute_script("arguments[0].open = true", details)
        assert overflow(browser) == [], name
        shoot(browser, f"{name}-{width}-{scheme}")
        resize(browser, width, scheme=scheme)


def test_without_scripts_one_logs_in_and_out(browser: Chrome, live: LiveApp) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{live.url}/account")
        find(browser, "#user").send_keys("vera")
        find(browser, "#password").send_keys(PASSWORD, Keys.ENTER)
        WebDriverWait(browser, PATIENCE_S).until(lambda _: "Account" in browser.title)
        find(browser, ".user-menu summary").click()
        press(browser, "Log out")
        WebDriverWait(browser, PATIENCE_S).until(lambda _: "Log in" in browser.title)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
