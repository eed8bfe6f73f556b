"""Mount points for disks of type MOUNT: a directory bound to itself is one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .errors import LocalError


def is_mount_point(path: Path) -> bool:
    """Whether the kernel's table of mounts has this path."""
    wanted = str(path.resolve()).replace(" ", "\\040")
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return any(line.split(" ")[1] == wanted for line in lines)


def ensure(path: Path) -> None:
    """Make a directory a mount point. Raises LocalError where that is not allowed."""
    if is_mount_point(path):
        return
    done = subprocess.run(
        ["mount", "--bind", str(path), str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LocalError(f"a MOUNT disk needs root: {done.stderr.strip()}")


def remove(path: Path) -> None:
    """Undo ``ensure``; what is in the directory stays."""
    if is_mount_point(path):
        done = subprocess.run(["umount", str(path)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LocalError(f"cannot unmount {path}: {done.stderr.strip()}")
