"""What all commands of ``esaas local`` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from .errors import LocalError


@contextmanager
def problems_shown() -> Iterator[None]:
    """Turn what people can mend into what click shows: the message and status 1."""
    try:
        yield
    except (LocalError, OSError) as error:  # OSError: no right, no space, no network
        raise click.ClickException(str(error)) from error
