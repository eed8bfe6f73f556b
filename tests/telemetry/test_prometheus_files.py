"""Rules and dashboards as they are shipped, held against promtool, the code and the runbooks."""
from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from esaas.framework.core.alerts.machine import Severity
from esaas.framework.core.alerts.rules import BY_NAME, Rule
from esaas.framework.telemetry import reference
from esaas.framework.telemetry.own import SERIES, Own

from .log_dashboard import LOG_DASHBOARD
from .prometheus_files import (
    BY_PROMETHEUS,
    DASHBOARDS,
    OF_EVERY_SERIES,
    PROMETHEUS,
    ROOT,
    alerts,
    dashboard,
    exposed,
    labels_in,
    queries,
    recorded,
    rules,
    series_in,
)

ALONE = {"service_away"}                # what only Prometheus can tell
HOUR_S = 3600


def promtool(*arguments: str) -> str:
    """Its output, when it is content."""
    found = shutil.which("promtool")
    assert found is not None, "Debian's package prometheus has it: make setup-test"
    done = subprocess.run([found, *arguments], cwd=PROMETHEUS, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_reads_the_rules_and_the_example(tmp_path: Path) -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", "esaas.rules.yml")
    # It wants to see the token's file, too.
    token = tmp_path / "token"
    token.write_text("x" * 32)
    text = (PROMETHEUS / "prometheus.yml").read_text()
    assert "/etc/prometheus/esaas-token" in text
    text = text.replace("/etc/prometheus/esaas-token", str(token))
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "esaas.rules.yml").write_text((PROMETHEUS / "esaas.rules.yml").read_text())
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_the_rules_do_what_their_tests_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", "esaas.rules.test.yml")
    body = yaml.safe_load((PROMETHEUS / "esaas.rules.test.yml").read_text())
    tested = {one["alertname"] for test in body["tests"] for one in test["alert_rule_test"]
              if one["exp_alerts"]}
    assert tested == {rule["alert"] for rule in alerts()}, "an alert that no test makes fire"


def test_each_alert_is_a_rule_of_the_service_with_its_limits_and_times() -> None:
    named = {rule["labels"]["rule"] for rule in alerts()}
    assert named - ALONE == set(BY_NAME)
    for rule in alerts():
        name, severity = rule["labels"]["rule"], rule["labels"]["severity"]
        assert rule["alert"] == "Esaas" + "".join(word.title() for word in name.split("_"))
        if name in ALONE:
            continue
        own = BY_NAME[name]
        assert _seconds(rule.get("for")) == own.for_s, name
        assert _seconds(rule.get("keep_firing_for")) == own.clear_s, name
        assert severity == own.severity.value or severity == Severity.CRITICAL.value
        _has_limit(own, severity, rule["expr"])


def _has_limit(own: Rule, severity: str, expr: str) -> None:
    """A rule that compares a figure has its limit in the expression, the critical one twice."""
    critical = own.critical != float("inf")
    if own.name == "disk_full_soon":
        assert expr.endswith(f"/ 3600 < {own.above:g}")
    elif own.above:
        limit = own.critical if severity == "critical" else own.above
        assert set(re.findall(r"> (\d+)", expr)) == {f"{limit:g}"}, own.name
    if critical:
        severities = {one["labels"]["severity"] for one in alerts()
                      if one["labels"]["rule"] == own.name}
        assert severities == {"warning", "critical"}, own.name


def _seconds(text: str | None) -> float:
    return float(text.removesuffix("s")) if text else 0.0


def test_each_alert_has_a_runbook() -> None:
    for rule in alerts():
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert anchor == rule["labels"]["rule"]
        assert f"\n## {anchor}\n" in (ROOT / file).read_text()


def test_each_name_and_label_can_be_given() -> None:
    known, kept = exposed(), recorded()
    asked = {f"{path.name}: {query}": query for path in DASHBOARDS for query in queries(path)}
    asked |= {str(rule.get("record") or rule["alert"]): rule["expr"] for rule in rules()}
    assert len(DASHBOARDS) == 4 and len(asked) > 120
    for where, query in asked.items():
        named = series_in(query)
        assert named, f"{where} asks for nothing"
        assert named <= known.keys() | kept.keys() | BY_PROMETHEUS.keys(), where
        labels = set(OF_EVERY_SERIES)
        for name in named:
            labels |= known.get(name, set()) | set(BY_PROMETHEUS.get(name, ()))
            if name in kept:
                labels |= set(name.partition(":")[0].split("_")) | {"host"}
        assert labels_in(query) <= labels, where


def test_each_series_that_is_shown_nowhere_is_known() -> None:
    """A figure that no dashboard shows is one that nobody looks at."""
    shown = {name for path in DASHBOARDS for query in queries(path) for name in series_in(query)}
    for name, expr in recorded().items():
        if name in shown:
            shown |= series_in(expr)
    hidden = {name for name in exposed() if name not in shown}
    # Beside these the dashboards have a better one: rates of counters, or the same by cluster.
    assert hidden == {
        "esaas_service_decide_ms", "esaas_service_offers_per_s", "esaas_service_declines_per_s",
        "esaas_service_gates_held", "esaas_service_commit_seconds_sum",
        "esaas_service_commit_seconds_count", "esaas_host_load_1m", "esaas_host_cpu_percent",
        "esaas_host_disk_free_mb", "esaas_host_disk_read_per_s", "esaas_host_disk_write_per_s",
        "esaas_host_indexing_per_s", "esaas_host_searches_per_s", "esaas_host_reserved_cpus",
        "esaas_host_agent_registered", "esaas_host_agent_uptime_s", "esaas_host_agent_cores",
        "esaas_host_agent_cpus_percent", "esaas_host_agent_mem_percent",
        "esaas_host_agent_disk_percent", "esaas_host_agent_tasks",
        "esaas_mesos_dropped_messages", "esaas_mesos_load_1m", "esaas_zookeeper_znodes"}


@pytest.mark.parametrize("path", [*DASHBOARDS, LOG_DASHBOARD], ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    found = dashboard(path)
    assert found["uid"] == f"esaas-{path.stem}" and found["title"] and "id" not in found
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    variables = {one["name"] for one in found["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", path.read_text())) - {"__all"} <= variables


@pytest.mark.parametrize("path", sorted((ROOT / "deploy" / "grafana").rglob("*.yaml")),
                         ids=lambda path: path.parent.name)
def test_what_grafana_is_provisioned_with_is_yaml_of_its_first_version(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["apiVersion"] == 1


def test_the_reference_of_metrics_is_current() -> None:
    kept = (ROOT / "docs" / "metrics.md").read_text()
    assert kept == reference.text(), (
        "run: python -m esaas.framework.telemetry.reference docs/metrics.md")
    named = set(re.findall(r"`(esaas_\w+)`", kept))
    whole = {re.sub(r"_(bucket|sum|count)$", "", name) if "seconds" in name else name
             for name in exposed()}
    assert named == whole


def test_the_counters_of_the_process_are_those_that_are_named() -> None:
    own = Own()
    own.turned(0.002, 0.001, 3, 5, 1, {"cpus": 3, "not_wanted": 1})
    own.held({"cluster_green": 2})
    own.quota({("acme", "cpus"): 95.0})
    found: dict[str, set[str]] = {}
    for line in own.text().decode().splitlines():
        if not line.startswith("#"):
            found.setdefault(re.split(r"[{ ]", line)[0], set()).update(
                re.findall(r'(\w+)="', line))
    assert found == {name: set(labels) for name, labels in SERIES.items()}
    text = own.text().decode()
    assert 'esaas_service_offers_declined_total{reason="cpus"} 3.0' in text
    assert 'esaas_service_gate_steps_held{gate="cluster_green"} 2.0' in text
    own.held({})
    assert "cluster_green" not in own.text().decode()
    assert own.totals == (1, 0.002, 5, 4)
