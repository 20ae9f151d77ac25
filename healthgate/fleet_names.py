"""Names of units for a shell that completes them; what is not there completes nothing, and is not made either."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import typer


def complete_unit(ctx: typer.Context, incomplete: str) -> list[str]:
    """Known units that begin so, from the database of the configuration that stands on the line, or of server.toml here."""
    with suppress(Exception):  # nothing may be printed into the line that somebody types
        from server.config import load
        from server.store import Store, events

        config = load(Path(str(ctx.params.get("config") or "server.toml")))
        if config.database_url.startswith("sqlite:///") and not Path(config.database_url.removeprefix("sqlite:///")).exists():
            return []
        store = Store.open(config.database_url)
        try:
            with store.read() as tx:
                return [unit for unit in events.units_in_service(tx) if unit.startswith(incomplete)]
        finally:
            store.close()
    return []
