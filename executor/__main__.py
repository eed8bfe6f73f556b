"""``python3 esaas-executor.pyz``: run by a Mesos agent; takes all from the environment."""
from __future__ import annotations

import os
import signal
import sys


def main(arguments: list[str]) -> int:
    """Run the executor (no arguments), ``--version``, or the guard of a node."""
    if arguments[:1] == ["guard"]:
        from . import guard

        return guard.main(arguments[1:])
    if arguments == ["--version"]:
        from importlib.metadata import version

        print(f"esaas-executor {version('esaas')}")
        return 0
    if arguments:
        print("usage: esaas-executor.pyz [--version]", file=sys.stderr)
        return 2
    return run()


def run() -> int:
    """Run one node for the agent that started us; 0 when Mesos knows how it ended."""
    from . import log
    from .settings import Settings, SettingsError
    from .supervisor import Supervisor

    log.configure()
    try:
        settings = Settings.of(os.environ)
    except SettingsError as error:
        log.event("Environment not usable", level=40, error=error)
        return 2
    log.event("Executor starts", executor_id=settings.executor_id,
              framework_id=settings.framework_id, agent=settings.agent_endpoint,
              sandbox=settings.sandbox, pid=os.getpid())
    # pymesos raises in the main thread by a SIGINT to itself when its IO thread ends;
    # Supervisor.run starts that thread again.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = Supervisor(settings, os.environ)
    signal.signal(signal.SIGTERM,
                  lambda number, _frame: supervisor.post(supervisor.on_signal, number))
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
