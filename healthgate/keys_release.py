"""`healthgate keys release-key`: the key that signs what gates run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from healthcode.cose import SoftwareKey
from healthcode.messages import TrustEntry, TrustList
from healthcode.terms import Use
from healthcode.trust import entry_for
from healthgate.errors import one_line_errors
from healthgate.keyring_files import DAY_S, KeysError, Lifetimes, MakeKey, open_trust, own_issuer, write_key, write_next
from healthgate.keys_shown import as_dict, changed, show_trust
from server.keys import CLOCK_MARGIN_S

KEY_FILE = "release.pem"


@one_line_errors("healthgate keys", KeysError)
def release_key(
    folder: Annotated[Path, typer.Argument(help="The keys folder.", show_default=False)],
    key: Annotated[
        Path | None, typer.Option(help="Where to write the private key, a new file.", show_default=f"{KEY_FILE} in FOLDER")
    ] = None,
    keys_days: Annotated[int, typer.Option(min=1, max=7300, help="How long it may sign.")] = Lifetimes.keys_days,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Make a key that signs releases, and the trust list that says so.

    Whoever holds it says what every gate runs. Keep it where releases are built and not on the server. A second one may follow a first;
    `keys withdraw` ends one, also the last: what gates run goes on, and nothing new is taken.
    """
    path = folder / KEY_FILE if key is None else key
    entry, trust_list = make(folder, path, time.time(), keys_days=keys_days)
    if as_json:
        typer.echo(json.dumps(as_dict(changed(folder, trust_list)) | {"made": {"kid": entry.kid.hex(), "path": str(path)}}))
        return
    show_trust(changed(folder, trust_list), as_json=False)
    typer.echo(f"{path}: release key {entry.kid.hex()}: keep it where releases are built, and not on the server")


def make(
    folder: Path, path: Path, at: float, *, keys_days: int = Lifetimes.keys_days, make_key: MakeKey = SoftwareKey.generate
) -> tuple[TrustEntry, TrustList]:
    """A release key in the new file `path`, and the trust list in which it counts; KeysError where one of them cannot be made."""
    root, held = open_trust(folder)
    sign_until = int(at) + keys_days * DAY_S
    signer = make_key("ES256")
    entry = entry_for(
        signer,
        issuer=own_issuer(folder, held),
        use=Use.RELEASE,
        sign_from=int(at) - CLOCK_MARGIN_S,
        sign_until=sign_until,
        verify_until=sign_until + keys_days * DAY_S,  # a unit may come back after long, and is to take what was signed in time
    )
    write_key(path, signer)
    try:
        return entry, write_next(folder, root, held, [*held.entries, entry], at)
    except KeysError:
        path.unlink()
        raise
