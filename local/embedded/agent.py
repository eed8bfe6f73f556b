"""The steps of upstream's mesos-agent, in its order; one agent or many in one process."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .build import (
    AGENT_FLAGS_ACLS,
    AGENT_REALMS,
    CONTAINERIZER,
    CREATE_DETECTOR,
    OPTION_STRING,
    SIZE_AGENT,
    SIZE_AGENT_FLAGS,
    SLAVE,
    SMALL,
    STRING,
)
from .daemon import authorizer, files, serve, show_warnings, start
from .flags import Flags, arguments
from .launcher import write_launcher_dir
from .library import Library


def run_agents(library: str, own: list[list[str]], argv: list[str]) -> None:
    """Run agents in this process until SIGTERM.

    ``own`` has the arguments of each agent, ``argv`` and the environment what is common. All
    share one port: they are ``slave(1)``, ``slave(2)``... there. Raises EmbeddedError when one
    cannot start.
    """
    each = [Flags([*arguments_, *argv]) for arguments_ in own]
    common = each[0]
    _defaults(common, library)
    common.export_network("5051")
    lib = Library(library)
    loaded = [lib.new("_ZN5mesos8internal5slave5FlagsC1Ev", SIZE_AGENT_FLAGS) for _ in each]
    warnings = [
        warning
        for flags, at in zip(each, loaded, strict=True)
        for warning in lib.load_flags(
            at, "N5mesos8internal5slave5FlagsE", "MESOS_", ["mesos-agent", *flags.argv]
        )
    ]
    start(lib, "mesos-agent", "slave(1)", AGENT_REALMS, Flags(argv))
    show_warnings(warnings)
    permitted = authorizer(lib, loaded[0] + AGENT_FLAGS_ACLS, common.text("authorizer", "local"))
    shared = files(lib, AGENT_REALMS[1], permitted)
    # One detector for all: 87 ZooKeeper clients would wait on each other for worker threads.
    detector = lib.tried(
        "detector", CREATE_DETECTOR, lib.some_string(common.need("master")), lib.none(),
        lib.some_word(common.duration_ns("zk_session_timeout", "10secs")),
    )  # fmt: skip
    upids = [
        _spawn(lib, at, flags, f"slave({k})", detector, shared, permitted)
        for k, (flags, at) in enumerate(zip(each, loaded, strict=True), 1)
    ]
    serve(lib, upids)


def run_agent(library: str, argv: list[str]) -> None:
    """Run one agent until SIGTERM."""
    run_agents(library, [[]], argv)


def run_agent_list(library: str, argv: list[str]) -> None:
    """Run the agents of a JSON file: a list of ``{flag: value}``, one an agent."""
    each = json.loads(Path(argv[0]).read_text())
    run_agents(library, [arguments(one) for one in each], argv[1:])


def _defaults(flags: Flags, library: str) -> None:
    """What a machine without systemd and without upstream's helper programs needs."""
    work_dir = flags.need("work_dir")
    os.environ.setdefault("MESOS_SYSTEMD_ENABLE_SUPPORT", "false")
    os.environ.setdefault("MESOS_LAUNCHER", "posix")
    if not flags.get("launcher_dir"):
        directory = Path(work_dir).absolute() / "launcher"
        write_launcher_dir(directory, library)
        os.environ["MESOS_LAUNCHER_DIR"] = str(directory)


def _spawn(
    lib: Library, at: int, flags: Flags, identity: str, detector: int, shared: int, permitted: int
) -> int:
    create = "%s6createERK" + OPTION_STRING
    fetcher = lib.new("_ZN5mesos8internal5slave7FetcherC1ERKNS1_5FlagsE", SMALL, at)
    collector = lib.new(
        f"_ZN5mesos8internal5slave16GarbageCollectorC1ERK{STRING}", SMALL,
        lib.string(flags.need("work_dir")),
    )  # fmt: skip
    resolver = lib.tried(
        "secret resolver", create % "_ZN5mesos14SecretResolver",
        lib.some_string(flags.get("secret_resolver")),
    )  # fmt: skip
    gid_manager = 0
    if flags.get("volume_gid_range"):
        name = "_ZN5mesos8internal5slave16VolumeGidManager6createERKNS1_5FlagsE"
        gid_manager = lib.tried("volume gid manager", name, at)
    containerizer = lib.tried(
        "containerizer", CONTAINERIZER, at, False, fetcher, collector, resolver, gid_manager, 0, 0
    )
    updates = lib.new(
        "_ZN5mesos8internal5slave23TaskStatusUpdateManagerC1ERKNS1_5FlagsE", SMALL, at
    )
    estimator = lib.tried(
        "resource estimator", create % "_ZN5mesos5slave17ResourceEstimator",
        lib.some_string(flags.get("resource_estimator")),
    )  # fmt: skip
    controller = lib.tried(
        "QoS controller", create % "_ZN5mesos5slave13QoSController",
        lib.some_string(flags.get("qos_controller")),
    )  # fmt: skip
    # The pending future tracker is null, as in local::launch: its constructor is inline.
    process = lib.new(
        SLAVE, SIZE_AGENT, lib.string(identity), at, detector, containerizer, shared, collector,
        updates, estimator, controller, _token_generator(lib, flags), gid_manager, 0,
        lib.memory(16), lib.none(), permitted,
    )  # fmt: skip
    return lib.spawn(process, "N5mesos8internal5slave5SlaveE")


def _token_generator(lib: Library, flags: Flags) -> int:
    """The JWTSecretGenerator for executor tokens, or a null pointer."""
    path = flags.get("jwt_secret_key")
    if not path:
        return 0
    name = f"_ZN5mesos14authentication8executor18JWTSecretGeneratorC1ERK{STRING}"
    return lib.new(name, 0x28, lib.string(Path(path).read_text()))
