"""Every alert has a runbook, and every runbook an alert."""
from __future__ import annotations

import re
from pathlib import Path

from esaas.framework.core.alerts.rules import RULES
from esaas.framework.service.alerts.message import runbook_of

ROOT = Path(__file__).parents[2]
ALONE = {"service_away"}            # of Prometheus alone: deploy/prometheus/esaas.rules.yml


def test_each_link_leads_to_a_section_with_something_in_it() -> None:
    for rule in RULES:
        file, _, anchor = runbook_of(rule.name).partition("#")
        text = (ROOT / file).read_text(encoding="utf-8")
        section = re.search(rf"^## {anchor}\n\n(.+?)(?=\n## |\Z)", text, re.M | re.S)
        assert section is not None and len(section[1]) > 80, rule.name


def test_there_is_no_section_without_an_alert() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\S+)$", text, re.M)) == {rule.name for rule in RULES} | ALONE
