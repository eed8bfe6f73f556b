"""For tests and benchmarks: data centres that vanish, a tiny framework, a tiny executor."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..daemons import marked
from ..datacentre import DataCentre
from ..errors import LocalError
from ..spec import AgentSpec, default_agents
from ..state import load_state

# Apart from the task ports of a demo that may run at the same time.
FIRST_TASK_PORT = 24000


@contextmanager
def temporary_data_centre(
    agents: Sequence[AgentSpec] | int = 3, **options: Any
) -> Iterator[DataCentre]:
    """A running data centre in a new directory; afterwards it is gone, every process included.

    ``options`` are those of ``DataCentre``. Raises LocalError when a process is left over.
    """
    if isinstance(agents, int):
        agents = default_agents(agents, first_port=FIRST_TASK_PORT)
    root = Path(tempfile.mkdtemp(prefix="esaas-box-"))
    root.chmod(0o755)  # executors of another user go through it
    centre = DataCentre(root / "box", agents, **options)
    try:
        yield centre.up()
    finally:
        state = load_state(centre.places.state)
        centre.forget()
        left = marked(state.id) if state else []
        shutil.rmtree(root)
        if left:
            raise LocalError("left over", [f"process {p.pid}: {p.name()}" for p in left])
