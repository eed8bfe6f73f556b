"""The pages in a real Chromium: live, by form, at two widths, in two colour schemes."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, DRIVER, overflow, resize, shoot, start_chromium
from live_app import PATIENCE_S, LiveApp
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.system, pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="apt-get install chromium chromium-driver")]
PAGES = {"list": "/", "orders": "/clusters/orders-search", "held": "/clusters/logs",
         "fresh": "/clusters/fresh", "new": "/new", "missing": "/clusters/none"}


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


def find(browser: Chrome, selector: str) -> WebElement:
    """An element, as soon as it is there."""
    return WebDriverWait(browser, PATIENCE_S).until(
        lambda _: browser.find_element(By.CSS_SELECTOR, selector))


def until_text(browser: Chrome, selector: str, text: str) -> None:
    """Wait until an element shows a text, looking it up anew each time."""
    WebDriverWait(browser, PATIENCE_S).until(
        lambda _: text in browser.execute_script(
            "return document.querySelector(arguments[0])?.textContent ?? ''", selector),
        f"{selector} never showed {text!r}")


def until_live(browser: Chrome) -> None:
    """Wait until the page's stream is open."""
    find(browser, ".link.on")


def test_from_the_list_to_a_scaled_cluster(browser: Chrome, live: LiveApp) -> None:
    browser.get(live.url)
    assert browser.find_element(By.TAG_NAME, "h1").text == "Clusters"
    shoot(browser, "list")
    resize(browser, 1280)
    browser.find_element(By.LINK_TEXT, "demo").click()
    count = find(browser, "#count-node")
    assert count.get_attribute("value") == "3"
    count.send_keys(Keys.CONTROL, "a")
    count.send_keys("4", Keys.ENTER)
    find(browser, ".notice.good")
    assert live.service.show("demo").nodes_wanted == 4
    until_text(browser, "#node-node-3", "planned")
    until_live(browser)
    # What happens from here on comes by itself.
    live.call(lambda: live.service.settle("demo"))
    until_text(browser, "#node-node-3", "ready")
    until_text(browser, ".summary", "4 of 4 nodes ready")
    until_text(browser, "[data-announce]", "4 of 4 nodes ready")
    shoot(browser, "cluster")


def test_the_list_is_live(browser: Chrome, live: LiveApp) -> None:
    browser.get(live.url)
    until_live(browser)
    live.call(lambda: live.service.settle("fresh"))
    until_text(browser, "#cluster-fresh .row-health", "green")
    live.call(lambda: live.service.vanish("fresh"))
    WebDriverWait(browser, PATIENCE_S).until(
        lambda _: not browser.find_elements(By.ID, "cluster-fresh"))


def test_updates_leave_alone_what_one_reads_or_types(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/fresh")
    until_live(browser)
    offer = find(browser, "#offer-id-agent-2\\.example")
    offer.find_element(By.TAG_NAME, "summary").click()
    field = browser.find_element(By.ID, "count-node")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("17")
    live.call(lambda: live.service.emit("fresh", "hello", "something new"))
    until_text(browser, ".events", "something new")
    assert offer.get_attribute("open") is not None
    assert field.get_attribute("value") == "17"
    assert browser.switch_to.active_element == field


def test_a_refused_scale_is_shown_in_place(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo")
    field = find(browser, "#count-node")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("2", Keys.ENTER)
    dialog = find(browser, "dialog[open]")
    shoot(browser, "confirm")
    dialog.find_element(By.CSS_SELECTOR, "[value=yes]").click()
    until_text(browser, "#count-node-error", "no_shrink_without_drain")
    field = find(browser, "#count-node")
    assert field.get_attribute("value") == "2"
    assert field.get_attribute("aria-invalid") == "true"
    assert browser.switch_to.active_element == field
    for width in (1280, 400):
        resize(browser, width)
        assert overflow(browser) == []
        shoot(browser, f"refused-{width}")


def test_cancelling_a_shrink_sends_nothing(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo")
    field = find(browser, "#count-node")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("2", Keys.ENTER)
    find(browser, "dialog[open]").send_keys(Keys.ESCAPE)
    WebDriverWait(browser, PATIENCE_S).until(
        lambda _: not browser.find_elements(By.CSS_SELECTOR, "dialog[open]"))
    assert not browser.find_elements(By.CSS_SELECTOR, ".problem")
    assert find(browser, "#count-node").get_attribute("value") == "2"


def test_create_with_faults_then_well(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/new")
    text = find(browser, "#spec")
    text.clear()
    text.send_keys("name: My Cluster\ntenant: t\nversion: 1.0.0\ngroups:\n"
                   "  - {name: n, count: -1, mem_mb: 5}\n")
    browser.find_element(By.XPATH, "//button[normalize-space()='Create']").click()
    until_text(browser, "#spec-error", "groups[0].count")
    text = find(browser, "#spec")
    assert "My Cluster" in text.get_attribute("value")
    for width in (1280, 400):
        resize(browser, width)
        assert overflow(browser) == []
        shoot(browser, f"create-refused-{width}")
    resize(browser, 1280)
    text.clear()
    text.send_keys("name: mine\ntenant: t\nversion: 6.8.23\ngroups: [{name: n, count: 2}]\n")
    browser.find_element(By.XPATH, "//button[normalize-space()='Create']").click()
    until_text(browser, "h1", "mine")


def test_delete_by_name(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo")
    find(browser, ".forms details > summary").click()
    find(browser, "#confirm").send_keys("demo", Keys.ENTER)
    until_text(browser, ".head", "being deleted")
    until_live(browser)
    live.call(lambda: live.service.vanish("demo"))
    until_text(browser, "h1", "Clusters")


def test_the_keyboard_is_enough(browser: Chrome, live: LiveApp) -> None:
    browser.get(live.url)
    body = find(browser, "body")
    body.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the content"
    names = []
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        names.append(browser.switch_to.active_element.text)
        outline = browser.execute_script(
            "return getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"no visible focus on {names[-1]}"
    assert {"Create a cluster", "hotels", "archive", "demo"} <= set(names)


def test_without_scripts_one_reads_and_posts(browser: Chrome, live: LiveApp) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{live.url}/clusters/orders-search")
        field = find(browser, "#count-data")
        field.clear()
        field.send_keys("5", Keys.ENTER)
        find(browser, ".notice.good")
        assert live.service.show("orders-search").nodes_wanted == 8
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out(browser: Chrome, live: LiveApp, name: str, width: int,
                            scheme: str) -> None:
    resize(browser, width, scheme=scheme)
    browser.get(live.url + PAGES[name])
    browser.execute_script("document.querySelectorAll('details').forEach((d) => d.open = true)")
    assert overflow(browser) == []
    assert shoot(browser, f"{name}-{width}-{scheme}").stat().st_size > 0


def test_profile_is_fresh(chromium: Chrome, tmp_path_factory: pytest.TempPathFactory) -> None:
    used = Path(chromium.capabilities["chrome"]["userDataDir"])
    assert tmp_path_factory.getbasetemp() in used.parents
