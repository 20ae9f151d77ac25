"""`healthgate keys rotate` and `keys sign`: a key after another, and a root that is kept elsewhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from healthcode.cose import PublicKey
from healthcode.terms import Use
from healthgate import keyring_files, root_rotation, rotation
from healthgate.cells import cell
from healthgate.errors import one_line_errors
from healthgate.keyring_files import KeysError, Lifetimes
from healthgate.keys_shown import Shown, as_dict, changed, print_table, show_trust
from healthgate.rotation import OVERLAPS, Overlap, Rotated
from healthgate.signers import SignerError, open_signer
from healthgate.times import rfc3339
from server.keys import ROOTS_FILE, TRUST_FILE, USES

in_one_line = one_line_errors("healthgate keys", KeysError, SignerError)


@in_one_line
def rotate(
    folder: Annotated[Path, typer.Argument(help="The keys folder.", show_default=False)],
    use: Annotated[Use, typer.Argument(help="Whose key: token, list, time, ack or config.", show_default=False)],
    lead_hours: Annotated[
        int | None, typer.Option(min=0, max=24 * 60, help="How long gates have to learn of the new key.", show_default="token 24, others 1")
    ] = None,
    overlap_hours: Annotated[int, typer.Option(min=1, max=24 * 365, help="How long the old key may sign after that.")] = 24,
    now: Annotated[bool, typer.Option("--now", help="No lead: the new key signs at once. For a key that was stolen or lost.")] = False,
    keys_days: Annotated[int, typer.Option(min=1, max=7300, help="How long the new key may sign.")] = Lifetimes.keys_days,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Make the next key of a use: both count for a while, then the new one alone. A running server changes over by itself.

    What the old key signed counts to its own end. A key that was stolen is rotated with --now and then withdrawn.
    """
    if use not in USES:
        raise KeysError(f"use {use.value!r}: expected {', '.join(USES)}")
    lead_s = OVERLAPS[use].lead_s if lead_hours is None else lead_hours * 3600
    overlap = Overlap(0 if now else lead_s, overlap_hours * 3600)
    done = rotation.rotate(folder, use, time.time(), overlap=overlap, keys_days=keys_days)
    if as_json:
        old = [entry.kid.hex() for entry in done.old]
        new = {"new": done.new.kid.hex(), "path": str(done.path), "begins": rfc3339(done.begins), "old": old}
        typer.echo(json.dumps(as_dict(changed(folder, done.trust_list)) | {"rotated": new}))
        return
    show_trust(changed(folder, done.trust_list), as_json=False)
    typer.echo("")
    print_table(_what_holds_when(done))


@in_one_line
def sign(
    request: Annotated[Path, typer.Argument(help="trust.request, from a keys folder without the root.", show_default=False)],
    root_key: Annotated[str, typer.Option("--root-key", help="The root's private key: a file of mode 0600.", show_default=False)],
    into: Annotated[Path | None, typer.Option(help="Where to write what is signed.", show_default="the request's folder")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Sign a prepared trust list where the root is kept; look at it first with `keys inspect`.

    Writes trust.cbor and trust-head.cbor: bring both back into the keys folder.
    """
    folder = request.parent if into is None else into
    trust_list = keyring_files.read_request(request)
    root = open_signer(root_key)
    before = folder / TRUST_FILE
    if before.exists():
        held = keyring_files.read_trust(before, (PublicKey.from_raw(root.algorithm, root.public),))
        if held.version >= trust_list.version:
            raise KeysError(f"{request}: version {trust_list.version}: {before} has version {held.version}, expected a later one")
    keyring_files.sign_trust(folder, trust_list, root)
    show_trust(Shown(before, trust_list, True), as_json)


@in_one_line
def rotate_root(
    folder: Annotated[Path, typer.Argument(help="The keys folder, with the root's private key.", show_default=False)],
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Let the old root count beside the new one, until --end.")] = False,
    end: Annotated[str, typer.Option(help="End this root, which was kept: 16 hexadecimal digits.", show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Make the next root: both sign that it follows, and it signs the trust list from the next version on.

    Units learn of it from the server, also those that were off line for the whole of it. New units get the new root.pub.pem. Keep the old
    public key; destroy the old private key when nothing is left for it to say.
    """
    if end and keep_old:
        raise KeysError("--end and --keep-old: expected one of them")
    now = time.time()
    done = root_rotation.end_root(folder, as_kid(end), now) if end else root_rotation.rotate_root(folder, now, keep_old=keep_old)
    if as_json:
        said = {"old": done.old.kid.hex(), "new": done.new.kid.hex(), "old_counts": not done.is_over}
        typer.echo(json.dumps(as_dict(changed(folder, done.trust_list)) | {"roots": said}))
        return
    show_trust(changed(folder, done.trust_list), as_json=False)
    typer.echo(
        f"\nroot {done.new.kid.hex()} follows root {done.old.kid.hex()}, which {'counts no more' if done.is_over else 'still counts'}"
    )
    typer.echo(f"the server hands {folder / ROOTS_FILE} to the units; new units get {folder / keyring_files.ROOT_PUBLIC_FILE}")


def as_kid(text: str) -> bytes:
    """A key's identifier as somebody types it."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise KeysError(f"kid {text[:40]!r}: expected 16 hexadecimal digits") from None


def _what_holds_when(done: Rotated) -> Table:
    table = Table("key", "kid", "file", "signs from", "signs until", "counts until", box=None)
    for entry in done.old:
        row = ("old", entry.kid.hex(), "", "", rfc3339(entry.sign_until), rfc3339(entry.verify_until))
        table.add_row(*map(cell, row))
    new = done.new
    row = ("new", new.kid.hex(), str(done.path), rfc3339(done.begins), rfc3339(new.sign_until), rfc3339(new.verify_until))
    table.add_row(*map(cell, row))
    return table
