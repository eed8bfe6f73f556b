"""What a node that is held for debugging leaves for people to read."""
from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path

from . import process
from .config import Layout

FILE_NAME = "README.debugging"
REASON = ("held for debugging: Elasticsearch is not started; the sandbox and the volume are in "
          "place")
# Tools that look at data or settings of a node that does not run, with what they are asked.
_TOOLS = (
    ("elasticsearch-shard", "remove-corrupted-data --index INDEX --shard-id 0"),
    ("elasticsearch-translog", "truncate --index INDEX --shard-id 0"),
    ("elasticsearch-node", "--help"),
    ("elasticsearch-keystore", "list"),
    ("elasticsearch-plugin", "list"),
    ("elasticsearch", ""),
)


def text_for_node(layout: Layout, java: Path, version: str) -> str:
    """Where everything is, and the commands to run; without secrets."""
    variables = process.node_variables(layout, java)
    prefix = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    commands = [f"env {prefix} {shlex.quote(str(layout.home / 'bin' / name))} {words}".rstrip()
                for name, words in _TOOLS if (layout.home / "bin" / name).exists()]
    return "\n".join([
        f"Elasticsearch {version} is prepared here, and not started, on purpose.", "",
        f"data      {layout.data}",
        f"config    {layout.config}",
        f"binaries  {layout.home}   (shared by all nodes of this machine: do not change it)",
        f"Java      {java}",
        f"logs      {layout.logs}", "",
        f"Run tools as user {_user()}, for files of another user would keep the node from "
        "starting:", "",
        *(f"  {command}" for command in commands), "",
        "Stop what you started before you let the node go on.", ""])


def text_for_sidecar(sandbox: Path, data: Path, command: str) -> str:
    """The same for a sidecar. Its own variables may be secrets, and are not here."""
    return "\n".join([
        "This sidecar is prepared here, and not started, on purpose.", "",
        f"sandbox  {sandbox}", f"data     {data}",
        f"command  {' '.join(command.split())}", f"user     {_user()}", ""])


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # containers have users without a name
        return str(os.geteuid())
