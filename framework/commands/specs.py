"""``esaas spec``: without any service."""
from __future__ import annotations

import json
from typing import Any

import click

from .frame import answer, common, read_spec, safe, wants_json


@click.group()
@common
def spec() -> None:
    """Write and check specs, without any service."""


@spec.command()
@common
def example() -> None:
    """A spec to start from."""
    import yaml

    from ..client import EXAMPLE_SPEC

    click.echo(json.dumps(yaml.safe_load(EXAMPLE_SPEC), indent=2) if wants_json()
               else EXAMPLE_SPEC.rstrip())


@spec.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@common
def validate(file: Any) -> None:
    """Check a spec in YAML or JSON (- for standard input) and show every fault."""
    from ..client import Refused
    from ..core.spec import SpecFaults, parse_spec

    try:
        sound = parse_spec(read_spec(file))
    except SpecFaults as error:
        raise Refused(422, "invalid", f"{file.name} has {len(error.faults)} fault"
                      f"{'s' if len(error.faults) > 1 else ''}", tuple(error.faults)) from error
    answer(sound.model_dump(mode="json"), lambda one: f"{safe(one['name'])} is sound: "
           f"{sum(group['count'] for group in one['groups'])} nodes in "
           f"{len(one['groups'])} groups")
