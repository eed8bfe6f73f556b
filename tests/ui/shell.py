"""The command line in this process, against whatever address."""
from __future__ import annotations

from click.testing import CliRunner, Result
from esaas.framework.cli import main
from live_app import LiveApp


def run(*args: str, url: str = "", text: str | None = None) -> Result:
    """Run a command; without an address it has none in its environment either."""
    return CliRunner().invoke(main, list(args), input=text,
                              env={"ESAAS_URL": url or None, "COLUMNS": "200"})


def esaas(live: LiveApp, *args: str, text: str | None = None) -> Result:
    """Run a command on the live application."""
    return run(*args, url=live.url, text=text)
