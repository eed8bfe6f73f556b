"""What keeps a task from being prepared; each message is one line for people, without secrets."""
from __future__ import annotations


class PreparationError(Exception):
    """The node or the command cannot be prepared; the message says why."""


class DownloadError(PreparationError):
    """A file cannot be had, or is another one than was asked for."""


class ArchiveError(PreparationError):
    """An archive cannot be unpacked, or holds what must not be unpacked."""


class ToolError(PreparationError):
    """A command-line tool of the distribution failed."""


class StartError(PreparationError):
    """A process cannot be started."""
