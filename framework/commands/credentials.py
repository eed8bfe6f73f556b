"""The token that the command line proves itself with, and where it is kept between calls.

``ESAAS_TOKEN``, else ``ESAAS_TOKEN_FILE``, else what ``esaas login`` has stored for the service:
a file that only its owner can read, under the user's configuration directory.
"""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

FILE = "credentials.json"


def token_for(url: str) -> str:
    """The token for a service; empty when there is none. click.UsageError for a bad file."""
    given = os.environ.get("ESAAS_TOKEN", "").strip()
    if given:
        return _sound(given, "ESAAS_TOKEN")
    named = os.environ.get("ESAAS_TOKEN_FILE")
    return read_token(named, "ESAAS_TOKEN_FILE") if named else stored(url)


def read_token(named: str, source: str) -> str:
    """The token in a file; click.UsageError, which names where the file was named."""
    try:
        return _sound(Path(named).expanduser().read_text(encoding="ascii").strip(), source)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise click.UsageError(f"{source}: cannot read {named}: {reason}") from None


def _sound(token: str, source: str) -> str:
    """A token that can stand in a header; it is never quoted."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise click.UsageError(f"{source} holds no token")
    return token


def ca_file() -> str | None:
    """The certificates to trust beside those of the system; ESAAS_CACERT."""
    return os.environ.get("ESAAS_CACERT") or None


def key_of(url: str) -> str:
    """A service's address as a key: a token goes nowhere else."""
    return url.rstrip("/").lower()


def path() -> Path:
    """Where tokens are stored."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "esaas" / FILE


def _read() -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path()} cannot be read ({error}); remove it and log in "
                               "again") from None
    return found if isinstance(found, dict) else {}


def store(url: str, token: dict[str, Any]) -> Path:
    """Keep a token for a service; the file it stands in."""
    _write(_read() | {key_of(url): token})
    return path()


def forget(url: str) -> bool:
    """Forget the token of a service; whether there was one."""
    found = _read()
    gone = found.pop(key_of(url), None)
    if gone is not None:
        _write(found)
    return gone is not None


def stored(url: str) -> str:
    """The token that ``esaas login`` has kept for a service; empty when there is none."""
    found: str = _read().get(key_of(url), {}).get("token", "")
    return found


def _write(found: dict[str, dict[str, Any]]) -> None:
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name(f"{target.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=2)
    part.replace(target)
