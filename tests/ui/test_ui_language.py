"""Languages: every text of the pages has a translation; the browser or the switch chooses."""
from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from asking import ask
from esaas.framework.core.alerts.rules import RULES
from esaas.framework.core.hotspots import DIMENSIONS, TOLD
from esaas.framework.core.templates import TEMPLATES
from esaas.framework.service.balancing import HOST_DIMENSIONS
from esaas.framework.telemetry.readings import BY_NAME, Scope
from esaas.ui import (
    access_pages,
    alert_pages,
    chart_pages,
    housekeeping_pages,
    pages,
    present,
)
from live_app import LiveApp
from people import Browser

UI = Path(pages.__file__).parent
CHINESE = UI / "locale" / "zh.csv"
QUOTED = re.compile(r"""\b_\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")


def said() -> set[str]:
    """Every text in a template, or handed to one by name."""
    found = {one or other for path in (UI / "templates").glob("*.html")
             for one, other in QUOTED.findall(path.read_text(encoding="utf-8"))}
    found |= set(pages.NOTICES.values()) | set(access_pages.ACCESS_NOTICES.values())
    found |= set(present.ROLE_TEXTS.values()) | set(present.RECORDED.values())
    found |= set(present.SWITCH_TITLES.values()) | set(present.ROLE_TEXTS)
    found |= {meaning for _, values in present.SWITCHES for _, meaning in values}
    found |= {*DIMENSIONS.values(), *TOLD.values(), *HOST_DIMENSIONS.values()}
    found |= {BY_NAME[scope, one].help for scope, names in (
        (Scope.CLUSTER, chart_pages.OF_CLUSTER), (Scope.NODE, chart_pages.OF_NODES),
        (Scope.HOST, (*chart_pages.OF_HOST, *chart_pages.HEAT))) for one in names}
    found |= {one.title for one in TEMPLATES.values()} | {one.text for one in TEMPLATES.values()}
    found |= set(alert_pages.ALERT_NOTICES.values()) | {title for _, title in alert_pages.PARTS}
    found |= set(alert_pages.ALERT_TONES) | set(alert_pages.EVENT_TONES)
    found |= {rule.title for rule in RULES} | set(housekeeping_pages.POLICIES.values())
    return found


def lines() -> list[list[str]]:
    with CHINESE.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_every_text_has_a_translation() -> None:
    known = {line[0]: line[1] for line in lines()}
    missing = sorted(said() - set(known))
    assert not missing, "\n".join(missing)
    assert [text for text, translated in known.items() if not translated.strip()] == []
    assert all(len(line) == 2 for line in lines())
    assert len(known) == len(lines()), "a text stands there twice"


def test_the_browser_chooses(live: LiveApp) -> None:
    for asked, code in (("zh-CN,zh;q=0.9", "zh-Hans"), ("zh", "zh-Hans"), ("de, en;q=0.5", "en"),
                        ("", "en"), ("nonsense;;;", "en")):
        page = ask(live, "GET", "/", headers={"Accept-Language": asked}).text
        assert f'<html lang="{code}">' in page, asked
        assert ("集群" in page.partition("<footer")[0]) is (code == "zh-Hans")


def test_the_switch_wins_and_is_remembered(live: LiveApp) -> None:
    browser = Browser(live)
    done = browser.post("/clusters/demo", "/language", {"to": "zh", "back": "/clusters/demo"})
    assert done.status == 303 and done.headers["Location"] == "/clusters/demo"
    assert '<html lang="zh-Hans">' in browser.get("/clusters/demo").text
    again = browser.post("/", "/language", {"to": "en", "back": "/"})
    assert again.status == 303 and '<html lang="en">' in browser.get("/").text


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example/", "/v1/status", ""])
def test_the_switch_leads_nowhere_else(live: LiveApp, back: str) -> None:
    browser = Browser(live)
    done = browser.post("/", "/language", {"to": "xx", "back": back})
    assert done.headers["Location"] == "/"
    assert "esaas_language" not in browser.cookies
