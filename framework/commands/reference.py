"""Writes the reference of the command line.

By ``python -m esaas.framework.commands.reference [FILE]``.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

HEAD = """# Command line

Made from the code: `python -m esaas.framework.commands.reference docs/cli.md`. Every command has
`--help`, takes `--url` (else `ESAAS_URL`), and answers in JSON with `--json`, where it answers.

| Exit code | Meaning |
| --- | --- |
| 0 | done |
| 1 | refused by the service, or failed there; the reason is on standard error |
| 2 | wrong use: an unknown option, a file that cannot be read |
| 3 | no service answers |
| 4 | waited in vain (`--wait` with `--timeout`); the work goes on |

With `--json` a refusal is a JSON object on standard error, in the shape of the API:
`{"error": {"code": ..., "message": ..., "faults": [...], "request_id": ...}}`.

Tab completes commands, options, and names of clusters, nodes and hosts, once the shell was told:

```sh
eval "$(esaas completion bash)"      # in ~/.bashrc; zsh likewise in ~/.zshrc
```
"""
SHARED = {"--url", "--json", "--help"}


def _commands(command: click.Command, ctx: click.Context,
              words: tuple[str, ...]) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command that does something, with its words and its own context."""
    if not isinstance(command, click.Group):
        yield " ".join(words), command, ctx
        return
    for name in command.list_commands(ctx):
        found = command.get_command(ctx, name)
        if found is not None and not found.hidden:
            yield from _commands(found, click.Context(found, ctx, name), (*words, name))


def _section(words: str, command: click.Command, ctx: click.Context) -> str:
    arguments = " ".join(piece for piece in command.collect_usage_pieces(ctx)
                         if piece != "[OPTIONS]")
    lines = [f"### `{f'{words} {arguments}'.rstrip()}`", "", click.unstyle(_help(command)), ""]
    for one in command.params:
        record = one.get_help_record(ctx) if isinstance(one, click.Option) else None
        if record is not None and not SHARED & set(one.opts):
            lines.append(f"- `{record[0]}`: {' '.join(record[1].split())}".rstrip(": "))
    return "\n".join(lines).rstrip() + "\n"


def _help(command: click.Command) -> str:
    """The help as paragraphs; what is to keep its lines is code."""
    paragraphs = []
    for paragraph in (command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            paragraphs.append("```\n" + paragraph.removeprefix("\b\n") + "\n```")
        else:
            paragraphs.append(" ".join(paragraph.split()))
    return "\n\n".join(paragraphs)


def text() -> str:
    """The page as it is kept in the tree."""
    from ..cli import main

    ctx = click.Context(main, info_name="esaas")
    return "\n".join([HEAD, *(_section(*found) for found in _commands(main, ctx, ("esaas",)))])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())
