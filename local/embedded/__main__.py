"""python -m esaas.local.embedded COMMAND LIBRARY [--flag=value ...]

master                 a master; agent  one agent; agents LIST.json  many agents in one process
mesos-containerizer launch, mesos-fetcher             helpers, called by the agent

Flags are those of mesos-master and mesos-agent, from the command line or from MESOS_NAME in the
environment. LIBRARY is the file that ``esaas local fetch mesos`` prints.
"""

from __future__ import annotations

import sys

from .errors import EmbeddedError


def main(argv: list[str]) -> int:
    """Run one command; its exit status. Daemons end the process themselves."""
    if len(argv) < 2:
        sys.stderr.write(__doc__ or "")
        return 2
    command, library, *rest = argv
    try:
        return _run(command, library, rest)
    except EmbeddedError as error:
        sys.stderr.write(f"{command}: {error}\n")
        return 1


def _run(command: str, library: str, argv: list[str]) -> int:
    # Each command imports only its own part: a helper runs for every container.
    if command == "mesos-fetcher":
        from .fetcher import run_fetcher

        return run_fetcher()
    if command == "mesos-containerizer":
        from .containerizer import run_containerizer

        run_containerizer(library, argv)
    elif command == "master":
        from .master import run_master

        run_master(library, argv)
    elif command == "agent":
        from .agent import run_agent

        run_agent(library, argv)
    elif command == "agents":
        from .agent import run_agent_list

        run_agent_list(library, argv)
    else:
        raise EmbeddedError(f"no such command; known:\n{__doc__}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
