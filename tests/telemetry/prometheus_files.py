"""What the files for Prometheus and Grafana say: their rules, and every query that they hold."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from esaas.framework.telemetry.exposition import LABELS
from esaas.framework.telemetry.own import SERIES
from esaas.framework.telemetry.readings import METRICS

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
# What Prometheus itself puts there, by name: the labels.
BY_PROMETHEUS = {"up": (), "ALERTS": ("alertname", "alertstate")}
OF_EVERY_SERIES = {"job", "instance"}


def rules() -> list[dict[str, Any]]:
    """All rules of the file."""
    found = yaml.safe_load((PROMETHEUS / "esaas.rules.yml").read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Those that alert."""
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> dict[str, str]:
    """Expressions of recorded series by name."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def dashboard(path: Path) -> dict[str, Any]:
    """One of them."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def queries(path: Path) -> list[str]:
    """What the panels of a dashboard ask, and its variables where they pick by a query."""
    found = dashboard(path)
    return [target["expr"] for panel in found["panels"] for target in panel["targets"]] + [
        re.sub(r"label_values\((.*), *(\w+)\)$", r"count by (\2) (\1)", one["definition"])
        for one in found["templating"]["list"] if "definition" in one]


def filled_in(path: Path) -> list[str]:
    """Those queries with every variable set to all."""
    names = [one["name"] for one in dashboard(path)["templating"]["list"]]
    return [re.sub(rf"\$({'|'.join(names)})\b", ".*", query) for query in queries(path)]


def exposed() -> dict[str, set[str]]:
    """Every series that a scrape can bring, with its labels."""
    return {f"esaas_{one.scope.value}_{one.name}": set(LABELS[one.scope]) for one in METRICS} | {
        name: set(labels) for name, labels in SERIES.items()}


def series_in(query: str) -> set[str]:
    """Names of series in a query: ours, recorded ones, and those of Prometheus itself."""
    bare = re.sub(r'"[^"]*"', '""', query)
    return set(re.findall(r"\b(?:[a-z_]+:)?esaas_[a-z0-9_]+(?::[a-z]+)?", bare)) | {
        name for name in BY_PROMETHEUS if re.search(rf"\b{name}\b\s*(\{{|$|\)| )", bare)}


def labels_in(query: str) -> set[str]:
    """Names of labels that a query selects or groups by."""
    found = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)\s*\"", query))
    for names in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", query):
        found |= {name.strip() for name in names.split(",") if name.strip()}
    return found
