"""Starts a command and sees to it that nothing of it outlives the executor.

A process of its own, started by ``process.py`` as a plain script: standard library only, no
threads, no imports of ours. Its standard input is a pipe whose other end only the executor holds:

- ``T`` on it: SIGTERM to the leader (the JVM; from 8.x on the launcher, which stops the server);
- ``G`` on it: SIGTERM to the whole process group; then not only the leader but all that it left
  behind may take their time;
- ``K`` on it: SIGKILL to the whole process group;
- end of file: the executor is gone, however it died; SIGKILL to the whole group.

It is a subreaper: whatever Elasticsearch leaves behind (8.x and later run a launcher and a server
JVM, machine learning has native processes) becomes its child, is killed and waited for. Should the
guard itself be killed, the leader gets SIGKILL from the kernel (parent death signal, which
survives execve).

Usage: ``guard.py CONTROL_FD INPUT_FD COMMAND [ARGUMENT...]``. The second descriptor becomes the
command's standard input. The guard writes to the control descriptor ``started PID`` and
``exited CODE`` (negative: the signal) or ``failed TEXT``, one a line.
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def _become(command: list[str], guard_pid: int, input_fd: int, failure_fd: int) -> None:
    """In the child: own session, death signal, then the command. Does not return."""
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The guard may have died before the signal was set.
        if os.getppid() != guard_pid:
            os._exit(125)
        os.dup2(input_fd, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(failure_fd, str(error).encode("utf-8", "replace")[:1000])
    finally:
        os._exit(126)


def _spawn(command: list[str], input_fd: int) -> tuple[int, str]:
    """Fork and exec; the pid, and what went wrong before the exec ("" when nothing did)."""
    failure_r, failure_w = os.pipe()  # closed by a successful exec
    guard_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, guard_pid, input_fd, failure_w)
    os.close(failure_w)
    with os.fdopen(failure_r, "rb") as pipe:
        return pid, pipe.read().decode("utf-8", "replace")


def _has_exited(pid: int) -> bool:
    """Whether the child has ended; it is not reaped, so its pid still cannot be used again."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(pid: int, number: int = signal.SIGKILL) -> None:
    # Nothing of the group left: what we wanted.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _children() -> dict[int, bool]:
    """Pids of this process's children, adopted ones too, from /proc; whether each still runs."""
    own = os.getpid()
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                after_name = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        if int(after_name[1]) == own:
            found[int(entry)] = after_name[0] != "Z"
    return found


def _bury(leader: int) -> int:
    """Kill and reap all that is left; the leader's exit code, negative for a signal."""
    code = 0
    while True:
        children = _children()
        if leader in children:  # not reaped, so the group's id cannot be another's
            _signal_group(leader)
        for pid in children:
            os.kill(pid, signal.SIGKILL)  # ours and not reaped, so it cannot be another's
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return code
        if pid == leader:
            code = os.waitstatus_to_exitcode(status)


def _watch(leader: int, wakeup_fd: int) -> None:
    """Obey the executor until the leader has ended (after ``G``: all have)."""
    lifeline_is_open, waits_for_all = True, False
    while not _has_exited(leader) or (waits_for_all and any(_children().values())):
        watched = [wakeup_fd, 0] if lifeline_is_open else [wakeup_fd]
        ready, _, _ = select.select(watched, [], [])
        if wakeup_fd in ready:
            os.read(wakeup_fd, 4096)
        if 0 not in ready:
            continue
        orders = os.read(0, 4096)
        lifeline_is_open = bool(orders)
        if not orders or b"K" in orders:
            _signal_group(leader)
            waits_for_all = False
        elif b"G" in orders:
            # Not reaped, so the group's id cannot be another's.
            _signal_group(leader, signal.SIGTERM)
            waits_for_all = True
        elif b"T" in orders and not _has_exited(leader):
            os.kill(leader, signal.SIGTERM)


def _tell(control_fd: int, line: str) -> None:
    # A broken pipe: the executor is gone, there is nobody to tell.
    with contextlib.suppress(BrokenPipeError):
        os.write(control_fd, (line.replace("\n", " ") + "\n").encode())


def main(arguments: list[str]) -> int:
    """Run the guard; returns when nothing of the command is left.

    ``arguments``: control descriptor, input descriptor, command and its arguments.
    """
    control_fd, input_fd, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    os.set_inheritable(control_fd, False)
    os.set_inheritable(input_fd, False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # only the lifeline tells us to stop
    wakeup_r, wakeup_w = os.pipe()
    os.set_blocking(wakeup_w, False)
    signal.set_wakeup_fd(wakeup_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    leader, failure = _spawn(command, input_fd)
    os.close(input_fd)
    # The console belongs to the command alone: its end of file says that all of it is gone.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    if failure:
        _bury(leader)
        _tell(control_fd, f"failed {failure}")
        return 1
    _tell(control_fd, f"started {leader}")
    _watch(leader, wakeup_r)
    _tell(control_fd, f"exited {_bury(leader)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
