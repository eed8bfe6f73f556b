"""The platform by API, command line and page: for admins, with what does not answer told."""
from __future__ import annotations

import re

import pytest
from asking import ask
from click.testing import CliRunner
from esaas.framework.cli import main
from live_app import LiveApp
from people import ADMIN, bearer


def test_it_goes_over_all_tenants_and_so_it_is_for_admins() -> None:
    app = LiveApp(login=True)
    try:
        operator = bearer(app, "operator")
        assert ask(app, "GET", "/v1/platform", headers=operator).status == 403
        assert ask(app, "GET", "/platform", headers=operator).status == 403
        assert ask(app, "GET", "/v1/platform", headers=ADMIN).status == 200
    finally:
        app.close()


def test_the_page_shows_all_of_it(live: LiveApp) -> None:
    page = ask(live, "GET", "/platform").text
    for text in ("10.0.0.1:5050", "host-1:42", "z1:2181", "leader", "does not answer: refused",
                 'href="/clusters/demo"', "rack=", "this one", "bygone", "uid9.node-4.1"):
        assert text in page
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)


def test_a_master_that_is_away_is_told(live: LiveApp) -> None:
    live.service.away = True
    page = ask(live, "GET", "/platform")
    assert page.status == 200
    assert "No leading master answers." in page.text and "the master does not answer" in page.text
    assert "No agent is known." in page.text


@pytest.mark.parametrize(("part", "shown"), [
    ((), "10.0.0.1:5050"), (("agents",), "2.1/8"), (("schedulers",), "esaas-x"),
    (("leftovers",), "uid9.node-4.1"),
    (("processes",), "host-1:42:ab"), (("store",), "z1:2181"), (("mesos",), "1 unreachable")])
def test_the_command_line(live: LiveApp, part: tuple[str, ...], shown: str) -> None:
    done = CliRunner().invoke(main, ["platform", *part],
                              env={"ESAAS_URL": live.url, "COLUMNS": "200"})
    assert done.exit_code == 0 and shown in done.output, done.output
