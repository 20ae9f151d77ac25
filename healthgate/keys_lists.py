"""`healthgate keys open-list` and `keys new-epoch`: what the trust list says of our own status lists."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from healthgate import own_lists
from healthgate.errors import one_line_errors
from healthgate.keyring_files import KeysError
from healthgate.keys_shown import changed, show_trust

in_one_line = one_line_errors("healthgate keys", KeysError)

Folder = Annotated[Path, typer.Argument(help="The keys folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]


@in_one_line
def open_list(
    folder: Folder,
    uri: Annotated[str, typer.Argument(help="The next list, such as https://hb.example/s/2.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Let our keys sign for one more list: before the list in use is full.

    Then name it in further_uris of the server's configuration and start the server again.
    """
    show_trust(changed(folder, own_lists.open_list(folder, uri, time.time())), as_json)


@in_one_line
def new_epoch(folder: Folder, as_json: AsJson = False) -> None:
    """Begin a new epoch of our lists: after the database was restored from a backup, before the server starts again.

    Gates hold newer versions than the restored database. In a new epoch every gate fetches each list once, as the registry has it now.
    """
    show_trust(changed(folder, own_lists.raise_epoch(folder, time.time())), as_json)
