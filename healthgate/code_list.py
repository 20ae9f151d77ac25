"""`healthgate code list`: what a file of a status list says, whether it counts, and one entry of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from healthcode.token import MAX_INDEX
from healthcode.trust import KeyRing
from healthgate.errors import one_line_errors
from healthgate.keyring_files import KeysError, read_root, read_trust
from healthgate.keys_inspect import NOT_CHECKED, Walls
from healthgate.list_files import Seen, Unread, look_at
from healthgate.times import LATEST, BadTime, moment, rfc3339

NOT_CHANGED = "not changed"


@one_line_errors("healthgate code", KeysError, BadTime)
def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, or folders of a unit's cache.", show_default=False)],
    trust: Annotated[Path | None, typer.Option(help="The trust list whose keys count.", show_default=False)] = None,
    root: Annotated[list[Path] | None, typer.Option(help="A root's public key, to check the trust list with.", show_default=False)] = None,
    index: Annotated[int | None, typer.Option(min=0, max=MAX_INDEX, help="An entry to tell as well.", show_default=False)] = None,
    at: Annotated[str, typer.Option(help="The time to judge at, ISO 8601.", show_default="now")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each list.")] = False,
) -> None:
    """Say what files of status lists hold: issuer, uri, version, how many entries of each status, and whether the signature counts.

    Reads the standard's signed CWT, its claim unsigned as CBOR or JSON with 1, 2, 4 or 8 bits, our deltas and heads, and a unit's cache,
    also while the unit runs; writes nothing. A cache is checked by its own trust list unless another is named.
    Exit status 1 where something is wrong or does not count, 2 where a file cannot be read.
    """
    roots = tuple(read_root(path) for path in root or ())
    ring = None if trust is None else KeyRing.of(read_trust(trust, roots or None))
    walls = Walls(roots, ring, moment(at, "--at", time.time()))
    status = 0
    has_checked = False
    for file in files:
        try:
            lists = look_at(file, walls)
            entries = [None if index is None else seen.at_index(index) for seen in lists]
        except Unread as wrong:
            typer.echo(f"healthgate code: {wrong}", err=True)
            status = 2
            continue
        for seen, entry in zip(lists, entries, strict=True):
            has_checked = has_checked or seen.signature not in ("", NOT_CHECKED)
            status = max(status, 1 if seen.wrong else 0)
            told = as_dict(seen, index, entry)
            typer.echo(json.dumps(told) if as_json else as_lines(seen, told))
    if has_checked and not roots:
        typer.echo("healthgate code: the trust list's own signature was not checked: name the root's public key with --root", err=True)
    raise typer.Exit(status)


def as_dict(seen: Seen, index: int | None, entry: str | None) -> dict[str, object]:
    """What `code list --json` prints for a list; null is what the file does not say. `wrong` is empty where all is well."""
    shown: dict[str, object] = {
        "path": str(seen.path),
        "what": seen.what,
        "signature": seen.signature,
        "kid": seen.kid,
        "algorithm": seen.algorithm,
        "issuer": seen.issuer,
        "uri": seen.uri,
        "epoch": seen.epoch,
        "version": seen.version,
        "as_of": _time(seen.as_of),
        "digest": seen.digest.hex() or None,
        "bits": seen.entries.bits if seen.entries is not None else None,
        "entries": len(seen.entries) if seen.entries is not None else None,
        "changes": len(seen.changes) if seen.changes is not None else None,
        "counts": seen.counts(),
        "more": {name: _time(value) if name == "expires_at" and isinstance(value, int) else value for name, value in seen.more.items()},
        "wrong": seen.wrong,
    }
    if index is not None:
        shown |= {"index": index, "status": entry}
    return shown


def as_lines(seen: Seen, told: Mapping[str, object]) -> str:
    """The same for people."""
    by = f", by {seen.kid} ({seen.algorithm})" if seen.kid else ""
    signature = f", signature {seen.signature if seen.signature == 'good' else seen.signature.upper()}" if seen.signature else ""
    lines = [f"{seen.path}: {seen.what}{by}{signature}"]
    shown = {name: told[name] for name in ("issuer", "uri", "epoch", "version", "as_of", "digest", "bits", "entries", "changes")}
    more = told["more"]
    counts = told["counts"]
    shown["counts"] = ", ".join(f"{count:,} {word}" for word, count in counts.items()) if isinstance(counts, dict) and counts else None
    shown |= more if isinstance(more, dict) else {}
    lines += [
        f"  {name}: {f'{value:,}' if name in ('entries', 'changes') else value}" for name, value in shown.items() if value is not None
    ]
    if "index" in told:
        unsaid = NOT_CHANGED if seen.changes is not None else "not in this file"
        lines.append(f"  index {told['index']}: {told['status'] or unsaid}")
    if seen.wrong:
        lines.append(f"  WRONG: {seen.wrong}")
    return "\n".join(lines)


def _time(seconds: int | None) -> str | int | None:
    return rfc3339(seconds) if seconds is not None and seconds <= LATEST else seconds
