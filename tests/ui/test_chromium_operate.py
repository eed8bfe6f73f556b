"""What people on call do, in a real Chromium: force, replace, switch, merge, secrets, plugins."""
from __future__ import annotations

import pytest
from browser import (
    CHROMIUM,
    DRIVER,
    PATIENCE_S,
    find,
    overflow,
    press,
    resize,
    shoot_both,
    until_live,
    until_text,
)
from live_app import LiveApp
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

pytestmark = [pytest.mark.system, pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="apt-get install chromium chromium-driver")]
SECRET = "hunter2-very-secret"


def test_a_gate_is_forced_by_its_name(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/turning")
    find(browser, "#step-restart-node-0 .gate a.button").click()
    until_text(browser, "h1", "Go past nothing_moves?")
    assert "Shards are on their way" in find(browser, ".risk").text
    shoot_both(browser, "force")
    find(browser, "#confirm").send_keys("yes", Keys.ENTER)
    until_text(browser, "#confirm-error", "confirmed_by_name")
    assert not live.service.fakes["turning"].forced
    field = find(browser, "#confirm")
    assert browser.switch_to.active_element == field
    field.clear()
    field.send_keys("nothing_moves", Keys.ENTER)
    until_text(browser, ".notice.good", "goes past this gate")
    assert live.service.fakes["turning"].forced == {("restart-node-0", "nothing_moves")}
    until_text(browser, "#step-restart-node-0", "forced")
    assert not browser.find_elements(By.CSS_SELECTOR, "#step-restart-node-0 .gate a.button")


def test_a_step_begins_anew(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/logs")
    find(browser, "#step-start-node-1 button").click()
    find(browser, "dialog[open] [value=yes]").click()
    until_text(browser, ".notice.good", "begins anew")
    assert live.service.log[-1].kind == "step_restarted"


def test_a_canary_goes_on_or_is_given_up(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/trial")
    until_text(browser, "#canary", "node-0 has the change and waits for you")
    shoot_both(browser, "canary")
    press(browser, "Let it go on")
    until_text(browser, ".notice.good", "Changes go on")
    assert not browser.find_elements(By.ID, "canary")
    press(browser, "Abandon…")
    until_text(browser, "#preview .restarts", "node-0, node-1, node-2")
    until_text(browser, "#preview .reasons", "its settings change")
    shoot_both(browser, "abandon")
    press(browser, "Abandon the change")
    until_text(browser, ".notice.good", "given up")
    assert live.service.show("trial").spec["jvm_options"] == []


def test_a_node_is_replaced_and_kept(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo")
    find(browser, "#node-node-1 a.button").click()
    until_text(browser, "#preview .replaces", "node-1")
    until_text(browser, "#preview .starts", "node-3")
    shoot_both(browser, "replace")
    find(browser, "#confirm").send_keys("node-2", Keys.ENTER)
    until_text(browser, "#confirm-error", "confirmed_by_name")
    assert len(live.service.show("demo").nodes) == 3
    find(browser, "#confirm").clear()
    find(browser, "#confirm").send_keys("node-1", Keys.ENTER)
    until_text(browser, "#node-node-1", "replaced by node-3")
    until_text(browser, "#step-remove-node-1 progress + .num", "MB left")
    shoot_both(browser, "replacing")
    find(browser, "#node-node-1 [form=keep-form]").click()
    until_text(browser, ".notice.good", "The node stays")
    assert len(live.service.show("demo").nodes) == 3


def test_a_node_is_held_and_goes_on(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo")
    until_live(browser)
    find(browser, "#node-node-1 [form=hold-form]").click()
    dialog = find(browser, "dialog[open]")
    assert "sandbox and volume stay" in dialog.text
    dialog.find_element(By.CSS_SELECTOR, "[value=yes]").click()
    until_text(browser, "#node-node-1", "paused for debugging")
    assert live.service.fakes["demo"].nodes[1].paused
    find(browser, "#node-node-1 [form=release-form]").click()
    until_text(browser, ".notice.good", "starts again")
    assert not live.service.fakes["demo"].nodes[1].paused


def test_a_switch_is_set_for_a_time_and_restored(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo")
    press(browser, "Operate")
    until_text(browser, "h1", "Operate demo")
    Select(find(browser, "#switch-to")).select_by_value("allocation:none")
    span = find(browser, "#switch-for")
    span.clear()
    span.send_keys("soon", Keys.ENTER)
    until_text(browser, "#switch-error", "a time such as 90s, 10m, 2h or 1d")
    assert Select(find(browser, "#switch-to")).first_selected_option.get_attribute(
        "value") == "allocation:none"
    find(browser, "#switch-for").clear()
    find(browser, "#switch-for").send_keys("20m", Keys.ENTER)
    until_text(browser, "#switch-allocation", "none")
    kept = live.service.fakes["demo"].switches["allocation"]
    assert kept.until == kept.set_at + 1200
    # To refuse every write is asked about first.
    Select(find(browser, "#switch-to")).select_by_value("read_only:true")
    press(browser, "Set the switch")
    find(browser, "dialog[open]").send_keys(Keys.ESCAPE)
    assert "read_only" not in live.service.fakes["demo"].switches
    press(browser, "Set the switch")
    find(browser, "dialog[open] [value=yes]").click()
    until_text(browser, "#switch-read_only", "true")
    find(browser, "#switch-allocation button").click()
    until_text(browser, "#switch-allocation", "goes back to all now")
    # That may come by itself, before the answer to the form: which would then take the page back.
    until_text(browser, ".notice", "The switch goes back to what it was.")
    browser.get(f"{live.url}/clusters/demo")
    until_text(browser, ".switch-set", "Allocation of shards: none")


def test_operations_run_and_are_seen_to_end(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo/operate")
    until_live(browser)
    # What is typed elsewhere stays while the page updates itself.
    find(browser, "#secret-value").send_keys("typed")
    find(browser, "#force_merge-index").send_keys("logs-*")
    find(browser, "#max-segments").send_keys("1", Keys.ENTER)
    find(browser, "dialog[open] [value=yes]").click()
    until_text(browser, "#operation-force_merge-1", "index logs-*; max segments 1")
    until_live(browser)
    find(browser, "#secret-value").send_keys("typed")
    live.call(lambda: live.service.move_operation("demo", "running", done=2))
    until_text(browser, "#operation-force_merge-1 .num", "2 of 4 indices merged")
    shoot_both(browser, "operations")
    live.call(lambda: live.service.move_operation("demo", "failed", "the disk is full"))
    until_text(browser, "#operation-force_merge-1", "the disk is full")
    assert find(browser, "#secret-value").get_attribute("value") == "typed"
    find(browser, "#flush-index").send_keys("a-*", Keys.ENTER)
    until_text(browser, "#operation-flush-2", "index a-*")
    find(browser, "[name=query]").click()
    press(browser, "Clear caches")
    find(browser, "dialog[open] [value=yes]").click()
    until_text(browser, "#operation-clear_cache-3", "kinds query")
    press(browser, "Retry failed allocations")
    until_text(browser, "#operation-reroute_retry-4", "waiting")


def test_a_secret_is_set_and_never_shown(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/stack/operate")
    find(browser, "#secret-key").send_keys("Not A Key")
    value = find(browser, "#secret-value")
    assert value.get_attribute("type") == "password"
    assert value.get_attribute("autocomplete") == "off"
    value.send_keys(SECRET, Keys.ENTER)
    until_text(browser, "#secret-error", "not the name of a secure setting")
    assert SECRET not in browser.page_source
    assert find(browser, "#secret-value").get_attribute("value") == ""
    key = find(browser, "#secret-key")
    assert key.get_attribute("value") == "Not A Key"
    key.clear()
    key.send_keys("azure.client.default.key")
    find(browser, "#secret-value").send_keys(SECRET, Keys.ENTER)
    until_text(browser, "#secrets .lines", "azure.client.default.key")
    assert live.service.fakes["stack"].kept == {"azure.client.default.key": SECRET}
    assert SECRET not in browser.page_source
    assert SECRET not in browser.current_url
    find(browser, "[form=unset-form][value='azure.client.default.key']").click()
    find(browser, "dialog[open] [value=yes]").click()
    until_text(browser, ".notice.good", "taken out")
    assert live.service.fakes["stack"].kept == {}


def test_a_plugin_is_previewed_installed_and_removed(browser: Chrome, live: LiveApp) -> None:
    browser.get(f"{live.url}/clusters/demo/operate")
    find(browser, "#plugin-name").send_keys("house")
    find(browser, "#plugin-from").send_keys("https://plugins.example/house.zip", Keys.ENTER)
    until_text(browser, "#plugin-error", "pinned by their hash")
    assert find(browser, "#plugin-name").get_attribute("value") == "house"
    find(browser, "#plugin-sha256").send_keys("a" * 64, Keys.ENTER)
    until_text(browser, "h1", "Install the plugin house on demo?")
    until_text(browser, "#preview .restarts", "node-0, node-1, node-2")
    assert live.service.show("demo").revision == 1
    shoot_both(browser, "plugin")
    press(browser, "Install")
    until_text(browser, ".notice.good", "change of plugins was taken")
    until_text(browser, "#plugin-house", "https://plugins.example/house.zip")
    press(browser, "Remove…")
    until_text(browser, "h1", "Remove the plugin house from demo?")
    press(browser, "Remove")
    until_text(browser, "#plugins", "No plugin is wanted")


def test_without_scripts_and_by_keyboard(browser: Chrome, live: LiveApp) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{live.url}/clusters/demo/operate")
        Select(find(browser, "#switch-to")).select_by_value("read_only:true")
        find(browser, "#switch-for").send_keys(Keys.ENTER)
        assert "Every write" in find(browser, "main form.card").text
        find(browser, "main form.card button").send_keys(Keys.ENTER)
        find(browser, ".notice.good")
        assert live.service.fakes["demo"].switches["read_only"].value == "true"
        find(browser, "#force_merge-index").send_keys("a", Keys.ENTER)
        find(browser, "main form.card button").send_keys(Keys.ENTER)
        find(browser, ".notice.good")
        assert live.service.fakes["demo"].operations[0].parameters == {"index": "a"}
        find(browser, "#secret-key").send_keys("a.b")
        find(browser, "#secret-value").send_keys(SECRET, Keys.ENTER)
        find(browser, ".notice.good")
        find(browser, "[form=unset-form]").send_keys(Keys.ENTER)
        find(browser, "main form.card button").send_keys(Keys.ENTER)
        find(browser, ".notice.good")
        assert live.service.fakes["demo"].secrets == {}
        for form in ("hold-form",):
            browser.get(f"{live.url}/clusters/demo")
            find(browser, f"#node-node-1 [form={form}]").send_keys(Keys.ENTER)
            find(browser, "main form.card button").send_keys(Keys.ENTER)
            find(browser, ".notice.good")
        assert live.service.fakes["demo"].nodes[1].paused
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_narrowest_phone(browser: Chrome, live: LiveApp) -> None:
    resize(browser, 320)
    for path in ("/clusters/stack/operate", "/clusters/stack", "/clusters/trial",
                 "/clusters/demo/replace?node=node-1"):
        browser.get(live.url + path)
        WebDriverWait(browser, PATIENCE_S).until(lambda _: browser.find_elements(By.ID, "main"))
        assert overflow(browser) == [], path
