"""The pages in a real Chromium: live, by form, at two widths, in two colour schemes."""
from __future__ import annotations

from pathlib import Path

import pytest
from browser import (
    CHROMIUM,
    DRIVER,
    find,
    overflow,
    press,
    resize,
    shoot,
    shoot_both,
    until_live,
    until_text,
)
from live_app import PATIENCE_S, LiveApp
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.system, pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="apt-get install chromium chromium-driver")]
PAGES = {"list": "/", "orders": "/clusters/orders-search", "held": "/clusters/logs",
         "fresh": "/clusters/fresh", "new": "/new", "missing": "/clusters/none",
         "turning": "/clusters/turning", "edit": "/clusters/demo/edit",
         "revisions": "/clusters/turning/revisions",
         "rollback": "/clusters/turning/revisions?to=1",
         "trial": "/clusters/trial", "stack": "/clusters/stack",
         "operate": "/clusters/stack/operate", "abandon": "/clusters/trial/abandon",
         "replace": "/clusters/demo/replace?node=node-1",
         "force": "/clusters/turning/force?step=restart-node-0&gate=nothing_moves"}
COPIES = "shrink_leaves_room_for_copies"


def replace_text(browser: Chrome, old: str, new: str) -> None:
    """Change the spec in the form as somebody who edits it."""
    browser.execute_script(
        "const area = document.querySelector('#spec');"
        "area.value = area.value.replace(arguments[0], arguments[1]);", old, new)


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
    browser.get(f"{live.url}/clusters/logs")
    field = find(browser, "#count-node")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("2", Keys.ENTER)
    # Asked by a dialog, and then by no page.
    dialog = find(browser, "dialog[open]")
    assert "their volumes are destroyed" in dialog.text
    shoot(browser, "confirm")
    dialog.find_element(By.CSS_SELECTOR, "[value=yes]").click()
    until_text(browser, "#count-node-error", COPIES)
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


def test_a_configuration_is_previewed_and_applied(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/turning")
    press(browser, "Configuration")
    until_text(browser, "h1", "Configuration of turning")
    replace_text(browser, "count: 4", "count: three")
    press(browser, "Preview")
    until_text(browser, "#spec-error", "groups[0].count")
    replace_text(browser, "count: three", "count: 3")
    replace_text(browser, "jvm_options: []", "jvm_options: [-Xss2m]")
    press(browser, "Preview")
    until_text(browser, "#preview .removes", "node-3")
    until_text(browser, "#preview .restarts", "node-0, node-1, node-2")
    assert live.service.show("turning").revision == 3
    shoot_both(browser, "preview")
    # Another text than the one of the preview is previewed first.
    replace_text(browser, "count: 3", "count: 6")
    press(browser, "Apply")
    until_text(browser, ".notice.warn", "not what was previewed")
    until_text(browser, "#preview .starts", "node-4, node-5")
    press(browser, "Apply")
    until_text(browser, ".notice.good", "The new configuration was taken")
    until_text(browser, "#node-node-5", "planned")
    assert live.service.show("turning").revision == 4


def test_a_refused_configuration_can_be_overridden(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/logs/edit")
    replace_text(browser, "count: 3", "count: 2")
    press(browser, "Preview")
    until_text(browser, "#spec-error", COPIES)
    assert not find(browser, "[name=override]").is_selected()
    shoot_both(browser, "override")
    find(browser, "[name=override]").click()
    press(browser, "Preview")
    until_text(browser, "#preview .removes", "node-2")
    assert find(browser, "[name=override]").is_selected()
    shoot_both(browser, "overridden")
    press(browser, "Apply")
    until_text(browser, ".notice.good", "was taken")
    assert COPIES in live.service.log[-1].message


def test_roll_back_with_a_preview(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/turning")
    press(browser, "Revisions")
    until_text(browser, "h1", "Revisions of turning")
    find(browser, "#revision-2 .button").click()
    until_text(browser, "#preview .starts", "node-4")
    press(browser, "Roll back to revision 2")
    until_text(browser, ".notice.good", "The earlier revision is wanted again")
    assert live.service.show("turning").revision == 4


def test_restart_a_node_then_all(browser: Chrome, live: LiveApp) -> None:
    demo = live.service.fakes["demo"]
    browser.get(f"{live.url}/clusters/demo")
    until_live(browser)
    # A live update in between must not take the buttons away from their form.
    live.call(lambda: live.service.emit("demo", "hello", "something new"))
    until_text(browser, ".events", "something new")
    find(browser, "#node-node-1 button").click()
    dialog = find(browser, "dialog[open]")
    assert dialog.text.startswith("node-1:")
    dialog.send_keys(Keys.ESCAPE)
    assert demo.restarting == []
    find(browser, "#node-node-1 button").click()
    find(browser, "dialog[open] [value=yes]").click()
    until_text(browser, ".notice.good", "The restart was taken")
    assert demo.restarting == ["node-1"]
    until_text(browser, "#step-restart-node-1", "nothing_moves")
    press(browser, "Restart cluster")
    find(browser, "dialog[open] [value=yes]").click()
    until_text(browser, "#step-restart-node-2", "waiting for node-1")
    assert demo.restarting == ["node-1", "node-0", "node-2"]
    shoot_both(browser, "restarting")


def test_pause_and_continue_a_drain(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/turning")
    until_text(browser, "#phase-scale-in #step-remove-node-4", "MB left")
    press(browser, "Pause")
    until_text(browser, ".notice.good", "Changes are paused")
    until_text(browser, "#step-remove-node-4", "the change is paused")
    until_live(browser)
    phase = find(browser, "#phase-restart")
    phase.find_element(By.TAG_NAME, "summary").click()
    live.call(lambda: live.service.emit("turning", "hello", "something new"))
    until_text(browser, ".events", "something new")
    assert phase.get_attribute("open") is None
    shoot_both(browser, "paused")
    press(browser, "Continue")
    until_text(browser, ".notice.good", "Changes go on")


def test_a_phase_shows_itself_when_its_state_changes(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo")
    until_live(browser)
    assert find(browser, "#phase-nodes").get_attribute("open") is None
    live.service.fakes["demo"].nodes = live.service.fakes["logs"].nodes
    live.call(lambda: live.service.emit("demo", "hello", "a node is down"))
    until_text(browser, ".events", "a node is down")
    assert find(browser, "#phase-nodes").get_attribute("open") is not None


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
    for _ in range(18):
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
        # What a dialog would ask, a page asks.
        browser.get(f"{live.url}/clusters/demo")
        press(browser, "Restart cluster")
        find(browser, "main form.card")
        assert live.service.fakes["demo"].restarting == []
        press(browser, "Restart")
        find(browser, ".notice.good")
        assert len(live.service.fakes["demo"].restarting) == 3
        field = find(browser, "#count-node")
        field.clear()
        field.send_keys("2", Keys.ENTER)
        assert "node-2" in find(browser, "#preview .removes").text
        shoot_both(browser, "confirm-page")
        press(browser, "Drain and remove")
        find(browser, ".notice.good")
        assert live.service.show("demo").nodes_wanted == 2
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
