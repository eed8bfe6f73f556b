"""Every page on a desk and on a phone, in both languages: nothing sticks out, all is labelled."""
from __future__ import annotations

import pytest
from asking import ask
from browser import find, overflow, press, resize, shoot, until_text
from live_app import LiveApp
from selenium.webdriver import Chrome

pytestmark = pytest.mark.system
PAGES = {
    "overview": "/", "cluster": "/clusters/demo", "new": "/new", "edit": "/clusters/demo/edit",
    "revisions": "/clusters/demo/revisions", "operate": "/clusters/stack/operate",
    "delivery": "/clusters/demo/delivery", "hotspots": "/clusters/demo/hotspots",
    "snapshots": "/clusters/logs/snapshots",
    "housekeeping": "/clusters/demo/housekeeping",
    "host-hotspots": "/hotspots", "cluster-log": "/log?cluster=demo", "tenants": "/tenants",
    "releases": "/releases", "release": "/releases/RELEASE", "platform": "/platform",
    "not-found": "/clusters/none", "replace": "/clusters/demo/replace?node=node-1",
    "red": "/clusters/logs", "leaving": "/clusters/leaving",
    "charts": "/clusters/demo/charts", "hosts": "/hosts", "host": "/hosts/agent-1.example",
    "alerts": "/alerts", "node-logs": "/clusters/demo/logs",
    "node-log": "/clusters/demo/logs/node-0",
    "node-log-found": "/clusters/demo/logs/node-0?text=started"}
# What a screen reader could not name, ids that stand twice, images without a text.
UNNAMED = """
    const named = (element) => element.labels?.length || element.getAttribute("aria-label")
      || element.getAttribute("aria-labelledby") || element.title;
    const inputs = [...document.querySelectorAll("input, select, textarea, meter, progress")]
      .filter((one) => one.type !== "hidden" && !one.closest("[aria-hidden=true]")
        && one.getAttribute("aria-hidden") !== "true" && !named(one));
    const buttons = [...document.querySelectorAll("button, a[href]")].filter(
      (one) => !one.textContent.trim() && !named(one) && !one.querySelector("img[alt]"));
    const images = [...document.querySelectorAll("img:not([alt])")];
    const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
    const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
    const heads = document.querySelectorAll("h1").length === 1 ? [] : ["not one h1"];
    return [...[...inputs, ...buttons, ...images].map((one) => one.outerHTML.slice(0, 120)),
            ...twice, ...heads];"""


def fill(live: LiveApp) -> str:
    """Something for the pages that would be empty; the id of a release."""
    made = ask(live, "POST", "/v1/releases", {
        "repository": "https://git.example.org/es.git", "ref": "main", "commit": "ab" * 20,
        "commit_author": "Ada", "commit_subject": "more nodes for the autumn", "clusters": [{
            "cluster": "demo", "tenant": live.service.owner("demo").tenant, "action": "update",
            "revision_before": 1, "changes": ["groups.node.count: 3 -> 5"]}]}).json["release"]
    ask(live, "POST", f"/v1/releases/{made['id']}/outcomes", {
        "cluster": "demo", "outcome": "done", "revision": 2, "message": "wanted from now on"})
    ask(live, "PUT", "/v1/followers/main", {
        "repository": "https://git.example.org/es.git", "ref": "main", "mode": "report",
        "commit": "cd" * 20, "tenants": [], "drift": {"demo": ["default_replicas: 1 -> 2"]}})
    ask(live, "POST", "/v1/clusters/demo/operations", {"kind": "flush"})
    return str(made["id"])


@pytest.mark.parametrize(("width", "scheme", "language"), [
    (1280, "light", "en"), (390, "dark", "zh"), (390, "light", "en")])
def test_every_page(browser: Chrome, live: LiveApp, width: int, scheme: str,
                    language: str) -> None:
    release = fill(live)
    browser.get(f"{live.url}/")
    press(browser, "English" if language == "en" else "中文")
    until_text(browser, "h1", "Clusters" if language == "en" else "集群")
    wrong = {}
    for name, path in PAGES.items():
        resize(browser, width, scheme=scheme)
        browser.get(live.url + path.replace("RELEASE", release))
        find(browser, "h1")
        browser.execute_script(
            "document.querySelectorAll('main details').forEach((one) => one.open = true)")
        found = overflow(browser) + browser.execute_script(UNNAMED)
        if found:
            wrong[name] = found
        shoot(browser, f"page-{name}-{width}-{scheme}-{language}")
    assert wrong == {}
