"""What master and agent share: logging, network layer, authorizer, and a clean end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence

from .build import OPTION_STRING, SET_CALLBACKS, SIZE_LOGGING_FLAGS, SMALL, STRING
from .errors import EmbeddedError
from .flags import Flags
from .library import SOME, Library

END_TIMEOUT_S = 10


def start(lib: Library, name: str, identity: str, realms: tuple[str, str], flags: Flags) -> None:
    """Start logging, the network layer, and the process behind GET /version."""
    option = lib.memory(8 + SIZE_LOGGING_FLAGS)  # Option<logging::Flags>
    lib.call("_ZN5mesos8internal7logging5FlagsC1Ev", option + 8)
    lib.load_flags(
        option + 8, "N5mesos8internal7logging5FlagsE", "MESOS_", [name, *flags.argv], unknown=True
    )
    lib.call(
        f"_ZN5mesos8internal7logging10initializeERK{STRING}bRK6OptionINS1_5FlagsEE",
        lib.string(name), True, option,
    )  # fmt: skip
    # First call into libprocess: the realms of all endpoints come from here. The identity takes
    # requests for paths that no process claims.
    lib.call(
        f"_ZN7process10initializeERK{OPTION_STRING}S9_S9_",
        lib.some_string(identity), lib.some_string(realms[0]), lib.some_string(realms[1]),
    )  # fmt: skip
    version = lib.new("_ZN5mesos8internal14VersionProcessC1Ev", 1024)
    lib.spawn(version, "N5mesos8internal14VersionProcessE")


def show_warnings(warnings: Sequence[str]) -> None:
    """Log what the library said about the flags."""
    for warning in warnings:
        sys.stderr.write(f"flags: {warning}\n")


def authorizer(lib: Library, acls: int, names: str) -> int:
    """Option<Authorizer*>: the local authorizer when the Option<ACLs> of the flags is some."""
    if names != "local":
        raise EmbeddedError("only the local authorizer is supported")
    if lib.state(acls) != SOME:
        return lib.none()
    lib.check_class(acls + 8, "N5mesos4ACLsE")
    made = lib.tried("authorizer", "_ZN5mesos10Authorizer6createERKNS_4ACLsE", acls + 8)
    callbacks = lib.memory(64)
    lib.call(
        "_ZN5mesos13authorization28createAuthorizationCallbacksB5cxx11EPNS_10AuthorizerE",
        callbacks, made,
    )  # fmt: skip
    lib.call(SET_CALLBACKS, callbacks)
    return lib.some_word(made)


def files(lib: Library, realm: str, permitted: int) -> int:
    """The process that serves logs and sandboxes."""
    return lib.new(
        f"_ZN5mesos8internal5FilesC1ERK{OPTION_STRING}RKS2_IPNS_10AuthorizerEE",
        SMALL, lib.some_string(realm), permitted,
    )  # fmt: skip


def serve(lib: Library, upids: Sequence[int]) -> None:
    """Wait until a process ends by itself, or for SIGTERM or SIGINT; end all; do not return.

    Any thread of the library may get the signal, so the main thread reads a pipe that is the
    signal wake-up descriptor. There is one thread for each process that may end by itself.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):  # replaces the library's handler
        signal.signal(number, lambda *_: None)

    def wait(upid: int) -> None:
        forever = lib.duration(-(10**9))
        lib.call("_ZN7process4waitERKNS_4UPIDERK8Duration", upid, forever, result=ctypes.c_bool)

    def watch(upid: int) -> None:
        wait(upid)
        os.write(writer, b"\0")

    for upid in upids:
        threading.Thread(target=watch, args=(upid,), daemon=True).start()
    os.read(reader, 1)
    threading.Timer(END_TIMEOUT_S, os._exit, (1,)).start()
    for upid in upids:
        lib.call("_ZN7process9terminateERKNS_4UPIDEb", upid, True)
        wait(upid)
    sys.stderr.flush()
    os._exit(0)  # no destructors: the objects are not ours to free
