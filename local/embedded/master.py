"""The steps of upstream's mesos-master, in its order (docs/embedded-mesos.md)."""

from __future__ import annotations

import os

from .build import (
    ALLOCATOR,
    APPOINT,
    CREATE_CONTENDER,
    CREATE_DETECTOR,
    LOG_ALONE,
    LOG_WITH_ZOOKEEPER,
    MASTER,
    MASTER_FLAGS_ACLS,
    MASTER_INFO,
    MASTER_REALMS,
    REGISTRAR,
    SIZE_MASTER,
    SIZE_MASTER_FLAGS,
    SMALL,
)
from .daemon import authorizer, files, serve, show_warnings, start
from .flags import Flags, zookeeper_url
from .library import Library


def run_master(library: str, argv: list[str]) -> None:
    """Run a master until SIGTERM. Raises EmbeddedError when it cannot start."""
    flags = Flags(argv)
    flags.export_network("5050")
    lib = Library(library)
    loaded = lib.new("_ZN5mesos8internal6master5FlagsC1Ev", SIZE_MASTER_FLAGS)
    warnings = lib.load_flags(
        loaded, "N5mesos8internal6master5FlagsE", "MESOS_", ["mesos-master", *argv]
    )
    start(lib, "mesos-master", "master", MASTER_REALMS, flags)
    show_warnings(warnings)
    allocator = lib.new(ALLOCATOR, SMALL)
    registrar = _registrar(lib, loaded, _storage(lib, flags))
    zk = flags.get("zk")
    session = lib.some_word(flags.duration_ns("zk_session_timeout", "10secs"))
    choice = lib.some_string(zk), lib.none(), session
    contender = lib.tried("contender", CREATE_CONTENDER, *choice)
    detector = lib.tried("detector", CREATE_DETECTOR, *choice)
    permitted = authorizer(lib, loaded + MASTER_FLAGS_ACLS, flags.text("authorizers", "local"))
    process = lib.new(
        MASTER, SIZE_MASTER, allocator, registrar, files(lib, MASTER_REALMS[1], permitted),
        contender, detector, permitted, lib.none(), loaded,
    )  # fmt: skip
    if not zk:
        _appoint(lib, detector, process)
    serve(lib, [lib.spawn(process, "N5mesos8internal6master6MasterE")])


def _appoint(lib: Library, detector: int, process: int) -> None:
    """Without ZooKeeper nobody else tells this master that it leads."""
    lib.check_class(process + MASTER_INFO, "N5mesos10MasterInfoE")
    info = lib.memory(256)  # Option<MasterInfo>
    lib.call("_ZN5mesos10MasterInfoC1ERKS0_", info + 8, process + MASTER_INFO)
    lib.call(APPOINT, detector, info)


def _registrar(lib: Library, flags: int, storage: int) -> int:
    state = lib.memory(SMALL)  # State has an inline constructor: vtable, Storage*
    lib.write(state, lib.symbol("_ZTVN5mesos5state8protobuf5StateE") + 16)
    lib.write(state + 8, storage)
    return lib.new(REGISTRAR, SMALL, flags, state, lib.some_string(MASTER_REALMS[1]))


def _storage(lib: Library, flags: Flags) -> int:
    if flags.get("registry") == "in_memory":
        return lib.new("_ZN5mesos5state15InMemoryStorageC1Ev", SMALL)
    work_dir = flags.need("work_dir")
    os.makedirs(work_dir, exist_ok=True)
    path = lib.string(os.path.join(work_dir, "replicated_log"))
    initialize = flags.text("log_auto_initialize", "true") == "true"
    prefix = lib.some_string("registrar/")
    zk = flags.get("zk")
    if zk:
        quorum = int(flags.need("quorum", " with --zk and a replicated log"))
        log = _log_with_zookeeper(lib, flags, zk, quorum, path, initialize, prefix)
    else:
        no_peers = lib.memory(48)  # an empty std::set<UPID>:
        lib.write(no_peers + 24, no_peers + 8)  # its header node is both
        lib.write(no_peers + 32, no_peers + 8)  # leftmost and rightmost
        log = lib.new(LOG_ALONE, SMALL, 1, path, no_peers, initialize, prefix)
    return lib.new("_ZN5mesos5state10LogStorageC1EPNS_3log3LogEm", SMALL, log, 0)


def _log_with_zookeeper(
    lib: Library, flags: Flags, zk: str, quorum: int, path: int, initialize: bool, prefix: int
) -> int:
    servers, node, credentials = zookeeper_url(zk)
    authentication = lib.none()  # Option<{scheme, credentials}>
    if credentials:
        authentication = lib.memory(72)
        lib.string("digest", authentication + 8)
        lib.string(credentials, authentication + 40)
    return lib.new(
        LOG_WITH_ZOOKEEPER, SMALL, quorum, path, lib.string(servers),
        lib.duration(flags.duration_ns("zk_session_timeout", "10secs")),
        lib.string(node.rstrip("/") + "/log_replicas"), authentication, initialize, prefix,
    )  # fmt: skip
