"""How `healthgate keys` shows a trust list: a table for people, one JSON object for programs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from healthcode.messages import TrustEntry, TrustList
from healthgate.cells import cell
from healthgate.keyring_files import REQUEST_FILE
from healthgate.rotation import find_warnings
from healthgate.times import LATEST, rfc3339
from server.keys import TRUST_FILE


@dataclass(frozen=True)
class Shown:
    """A trust list and where it is from; `checked` says whether a root's signature was checked, `is_request` that none is there yet."""

    path: Path
    trust_list: TrustList
    checked: bool
    is_request: bool = False


def changed(folder: Path, trust_list: TrustList) -> Shown:
    """What a change made in a keys folder: the signed trust list, or a request where the root is elsewhere."""
    is_request = (folder / REQUEST_FILE).exists()
    return Shown(folder / (REQUEST_FILE if is_request else TRUST_FILE), trust_list, not is_request, is_request)


def show_trust(shown: Shown, as_json: bool) -> None:
    """Prints it, and what of it ends soon; what is still to be signed says where to carry it."""
    if as_json:
        typer.echo(json.dumps(as_dict(shown)))
        return
    trust_list = shown.trust_list
    head = f"trust list {trust_list.version}, signed {_day(trust_list.signed_at)}, until {_day(trust_list.expires_at)}"
    state = "NOT SIGNED YET" if shown.is_request else "signature good" if shown.checked else "signature NOT checked"
    typer.echo(f"{head}, {state}")
    names = ("issuer", "use", "kid", "algorithm", "signs from", "signs until", "counts until", "lists", "may sign", "epoch")
    table = Table(*names, box=None)
    for entry in trust_list.entries:
        cells = (
            entry.issuer,
            entry.use.value,
            entry.kid.hex(),
            entry.algorithm,
            _day(entry.sign_from),
            _day(entry.sign_until),
            _day(entry.verify_until),
            " ".join(entry.uris),
            " ".join((*entry.forms, *entry.kinds, *((entry.name, entry.role.value) if entry.role is not None else ()))),
            str(entry.epoch or ""),
        )
        table.add_row(*map(cell, cells))
    print_table(table)
    for line in find_warnings(trust_list, time.time()):
        typer.echo(f"healthgate keys: {line}", err=True)
    if shown.is_request:
        typer.echo(f"{shown.path}: the root's key is not here: carry this file to it, `keys sign`, and bring back what that writes")


def print_table(table: Table) -> None:
    """Prints a table as wide as the terminal; into a file or a pipe, wide enough for everything."""
    Console(width=None if Console().is_terminal else 220, highlight=False).print(table)


def as_dict(shown: Shown) -> dict[str, object]:
    """For programs."""
    trust_list = shown.trust_list
    return {
        "path": str(shown.path),
        "checked": shown.checked,
        "signed": not shown.is_request,
        "version": trust_list.version,
        "signed_at": _end(trust_list.signed_at),
        "expires_at": _end(trust_list.expires_at),
        "entries": [entry_dict(entry) for entry in trust_list.entries],
        "certificates": msgspec.to_builtins(trust_list.certificates),
        "warnings": find_warnings(trust_list, time.time()),
    }


def entry_dict(entry: TrustEntry) -> dict[str, object]:
    """An entry for programs; a time that never comes is null."""
    found: dict[str, object] = msgspec.structs.asdict(entry)
    times = {name: _end(getattr(entry, name)) for name in ("sign_from", "sign_until", "verify_until")}
    words = {"forms": [form.value for form in entry.forms], "kinds": [kind.value for kind in entry.kinds]}
    return found | times | words | {"kid": entry.kid.hex(), "key": entry.key.hex()}


def _end(seconds: int) -> str | None:
    """When something ends; None for ever, that is: beyond the year 9999."""
    return rfc3339(seconds) if seconds <= LATEST else None


def _day(seconds: int) -> str:
    end = _end(seconds)
    return end[:10] if end else "for ever"
