"""Progress bars for downloads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

POLL_S = 0.2


def bytes_progress(console: Console | None = None) -> Progress:
    """A progress display for bytes, on standard error: standard output carries results."""
    return Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )


class Bar:
    """A bar in the form that pypi-simple calls: a context manager with ``update``."""

    def __init__(self, title: str, total: int | None, console: Console | None) -> None:
        self._progress = bytes_progress(console)
        self._task = self._progress.add_task(title, total=total)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, increment: int) -> None:
        """So many bytes more."""
        self._progress.advance(self._task, increment)


@contextmanager
def watched(
    title: str, total_bytes: int, done_bytes: Callable[[], int], console: Console | None = None
) -> Iterator[None]:
    """Show a bar that asks ``done_bytes`` a few times a second, while the body runs."""
    ended = threading.Event()
    with bytes_progress(console) as progress:
        task = progress.add_task(title, total=total_bytes)

        def follow() -> None:
            while not ended.wait(POLL_S):
                progress.update(task, completed=done_bytes())

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
            progress.update(task, completed=total_bytes)
        finally:
            ended.set()
            thread.join()
