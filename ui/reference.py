"""Writes the reference of all settings: ``python -m esaas.ui.reference [FILE]``.

Made from the options of ``esaas serve``, so it cannot say anything else than they do.
"""
from __future__ import annotations

import sys
from pathlib import Path

import click

from .serve import FILES, OPTIONS, OURS_ALONE, serve

HEAD = """# Configuration

Every setting of `esaas serve` is an option, and a variable of the environment. The option wins.
This page is made from the code: `python -m esaas.ui.reference docs/configuration.md`.
Secrets come from files only. A wrong setting is refused at the start, with all others that are
wrong, and exit code 2.

| Option | Variable | Default | What it is |
| --- | --- | --- | --- |
"""
FILES_HEAD = """
## Files

Options that take a FILE of JSON or YAML are read once, at the start. These must be readable by
their owner only (`chmod 600`): {private}.

"""
SHAPES = {
    "credentials": 'acme: {principal: acme, secret: "..."}\n"*": {principal: esaas, secret: "..."}',
    "store_credentials": 'user: esaas\npassword: "..."',
    "operator_credentials": 'principal: admin\nsecret: "..."',
    "agent_credentials": 'principal: reader\nsecret: "..."',
    "distributions": "6.8.23:\n  url: https://mirror.example/elasticsearch-6.8.23.zip\n"
                     "  sha256: 64 hexadecimal digits",
    "plugins": "analysis-icu:\n  6.8.23:\n    url: https://mirror.example/analysis-icu-6.8.23.zip\n"
               "    sha256: 64 hexadecimal digits",
    "alerts": "sinks:\n  - {name: chat, kind: webhook, url: https://hooks.example/x,\n"
              "     hmac_key_file: /etc/esaas/hook.key}\n"
              "  - {name: mail, kind: email, host: mail.example, sender: esaas@example.org,\n"
              "     to: [oncall@example.org]}\n"
              "  - {name: pager, kind: command, argv: [/usr/local/bin/page]}\n"
              "limits: {node_disk: {above: 80, critical: 90}}\n"
              "repeat_s: 14400",
    "snapshots": "repository:\n  type: fs\n"
                 "  settings: {location: '/mnt/snapshots/{tenant}/{cluster}'}\n"
                 "every_s: 86400\nkeep: 14",
}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _row(option: click.Option) -> str:
    default = "" if option.is_flag or not isinstance(option.default, str) else option.default
    shown = max(option.opts, key=len) + (
        f" {option.metavar}" if option.metavar and not option.is_flag else "")
    again = " Can be given several times." if option.multiple else ""
    cells = (f"`{shown}`", f"`{option.envvar}`" if option.envvar else "",
             f"`{default}`" if default else "", _cell((option.help or "") + again))
    return "| " + " | ".join(cells) + " |"


def text() -> str:
    """The page as it is kept in the tree."""
    options = [one for one in serve.params if isinstance(one, click.Option) and not one.hidden]
    private = ", ".join(f"`{OPTIONS[name]}`" for name in OURS_ALONE)
    parts = [HEAD, *(f"{_row(one)}\n" for one in options), FILES_HEAD.format(private=private)]
    for name in FILES:
        parts.append(f"`{OPTIONS[name]}`:\n\n```yaml\n{SHAPES[name]}\n```\n\n")
    return "".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())
