"""The state file of a data centre: what it is, its ports, and the processes that run now."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import Field, ValidationError

from .daemons import Daemon
from .errors import LocalError
from .files import write_atomically
from .spec import DataCentreSpec, Model, validation_problems

FORMAT = 1


class State(Model):
    """One data centre on record. ``id`` marks its processes; ports and daemons go by name."""

    format: int = FORMAT
    id: str
    spec: DataCentreSpec
    ports: dict[str, int] = Field(default_factory=dict)
    daemons: dict[str, Daemon] = Field(default_factory=dict)

    @classmethod
    def fresh(cls, spec: DataCentreSpec) -> State:
        """A data centre that has never run."""
        return cls(id=secrets.token_hex(8), spec=spec)

    def running(self) -> dict[str, Daemon]:
        """The daemons that still run."""
        return {name: daemon for name, daemon in self.daemons.items() if daemon.running()}


def load_state(path: Path) -> State | None:
    """The state on record, or None. Raises LocalError when the file cannot be understood."""
    if not path.exists():
        return None
    try:
        return State.model_validate_json(path.read_text())
    except ValidationError as error:
        raise LocalError(
            f"cannot understand {path}; esaas local forget removes it", validation_problems(error)
        ) from error


def save_state(path: Path, state: State) -> None:
    """Put the state on record."""
    write_atomically(path, state.model_dump_json(indent=2) + "\n")
