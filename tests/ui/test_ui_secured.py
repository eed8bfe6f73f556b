"""Secured clusters by API, command line and page: told to who asks, and to nobody else."""
from __future__ import annotations

import json
from pathlib import Path

from asking import ask
from esaas.framework.core.spec import parse_spec
from live_app import LiveApp
from test_ui_cli import esaas

DEMO = "/v1/clusters/demo"
NO_BODY = {"Content-Type": "application/json", "Content-Length": "0"}
PASSWORD = "stand-in-password"  # noqa: S105  # of the stand-in


def secure(live: LiveApp) -> None:
    """Make the stand-in's demo a secured cluster."""
    fake = live.service.fakes["demo"]
    fake.spec = parse_spec(fake.spec.model_dump(mode="json") | {"security": {"enabled": True}})


def test_credentials_are_told_once_asked_for_and_never_kept_on_the_way(live: LiveApp) -> None:
    secure(live)
    got = ask(live, "POST", f"{DEMO}/credentials", headers=NO_BODY)
    assert got.status == 200 and got.headers["Cache-Control"] == "no-store"
    assert got.json.keys() == {"user", "password", "ca_certificate"}
    assert (got.json["user"], got.json["password"]) == ("elastic", PASSWORD)
    assert ask(live, "GET", f"{DEMO}/credentials").status == 405, "no link shows a password"
    for path in (DEMO, f"{DEMO}/events", "/v1/clusters", f"{DEMO}/secrets"):
        assert PASSWORD not in ask(live, "GET", path).text


def test_certificates_are_rotated(live: LiveApp) -> None:
    secure(live)
    got = ask(live, "POST", f"{DEMO}/rotate-certificates", headers=NO_BODY)
    assert got.status == 202 and "new certificate" in got.json["message"]


def test_a_cluster_without_security_has_neither(live: LiveApp) -> None:
    for tail in ("credentials", "rotate-certificates"):
        got = ask(live, "POST", f"{DEMO}/{tail}", headers=NO_BODY)
        assert got.status == 409
        assert [fault["rule"] for fault in got.json["error"]["faults"]] == ["cluster_is_secured"]


def test_the_page_says_how_to_ask(live: LiveApp) -> None:
    plain = ask(live, "GET", "/clusters/demo").text
    assert "--cacert" not in plain and "secret credentials" not in plain
    secure(live)
    page = ask(live, "GET", "/clusters/demo").text
    assert "curl --cacert ca.crt -u elastic &#x27;https://" in page or (
        "curl --cacert ca.crt -u elastic &#39;https://" in page)
    assert "esaas secret credentials demo --ca-file ca.crt" in page and PASSWORD not in page


def test_the_command_line(live: LiveApp, tmp_path: Path) -> None:
    secure(live)
    file = tmp_path / "ca.crt"
    shown = esaas("secret", "credentials", "demo", "--ca-file", str(file), url=live.url)
    assert shown.exit_code == 0 and PASSWORD in shown.stdout and "elastic" in shown.stdout
    assert file.read_text().startswith("-----BEGIN CERTIFICATE-----")
    as_json = esaas("secret", "credentials", "demo", "--json", url=live.url)
    assert json.loads(as_json.stdout)["password"] == PASSWORD
    rotated = esaas("cluster", "rotate-certificates", "demo", url=live.url)
    assert rotated.exit_code == 0 and "new certificate" in rotated.stdout


def test_a_refusal_writes_no_file(live: LiveApp, tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    refused = esaas("secret", "credentials", "demo", "--ca-file", str(file), url=live.url)
    assert refused.exit_code == 1 and "not secured" in refused.stderr
    assert not file.exists()
