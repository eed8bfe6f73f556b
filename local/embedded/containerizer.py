"""mesos-containerizer launch: sets up one container and starts its executor.

The process stays as the executor's parent, to put its exit status on record: upstream's way.
"""

from __future__ import annotations

import ctypes
import os
import signal

from .build import SUBCOMMAND_FLAGS
from .errors import EmbeddedError
from .library import Library

LAUNCH = "N5mesos8internal5slave24MesosContainerizerLaunch"


def run_containerizer(library: str, argv: list[str]) -> None:
    """Run upstream's ``launch`` command; does not return. Raises EmbeddedError.

    The library changes to the container's user, forks and calls exec: no Python code runs as
    that user.
    """
    if argv[:1] != ["launch"]:
        raise EmbeddedError('only "launch" is supported')
    # Python ignores SIGPIPE, and an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    lib = Library(library)
    command = lib.memory(2048)  # vtable, name, FlagsBase, then its own flags
    lib.write(command, lib.symbol(f"_ZTV{LAUNCH}E") + 16)
    lib.string("launch", command + 8)
    flags = command + SUBCOMMAND_FLAGS
    lib.call(f"_Z{LAUNCH}5FlagsC1Ev", flags)
    lib.load_flags(
        flags, f"{LAUNCH}5FlagsE", "MESOS_CONTAINERIZER_", ["mesos-containerizer", *argv[1:]]
    )
    os._exit(lib.call(f"_Z{LAUNCH}7executeEv", command, result=ctypes.c_int) & 255)
