"""``esaas serve`` as a real process, with a stand-in in the place of the clusters."""
from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """Run the command."""
    from esaas.framework.service.access.access import Access, read_token_file
    from esaas.framework.service.errors import Unavailable
    from esaas.framework.service.oplog.book import Book
    from esaas.framework.store.sqlite import SqliteStore
    from live_app import quick_passwords
    from standin_service import StandInService

    class Clusters(StandInService):
        executor_file: Path | None = None

        def __init__(self, settings: Any) -> None:
            super().__init__()
            self.settings = settings
            file = settings.admin_token_file
            self.store = SqliteStore(settings.state_dir)
            self.book = Book(self.store, "stand-in")
            self.access = Access(
                self.store, settings.state_dir, b"k" * 32, "stand-in",
                passwords=quick_passwords(), file_token=read_token_file(file) if file else "")

        def derived_key(self, purpose: str) -> bytes:
            return purpose.encode().ljust(32)

        def peers(self) -> dict[str, str]:
            return {}

        def advertise(self, url: str) -> None:
            click.echo(f"advertised {url}")

        async def start(self) -> None:
            if self.settings.failpoint == "start":
                raise Unavailable("the store is locked")
            click.echo("started")

        async def stop(self) -> None:
            await self.book.close()
            self.store.close()
            click.echo("stopped")

    module = types.ModuleType("esaas.framework.service.clusters")
    module.Clusters = Clusters  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    from esaas.ui.serve import serve

    serve(prog_name="esaas serve")


if __name__ == "__main__":
    main()
