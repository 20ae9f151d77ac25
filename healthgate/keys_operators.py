"""`healthgate keys operator`: keys of people who command units, each on its owner's machine, and their entries in the trust list."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from healthcode import topics
from healthcode.cose import PublicKey, SoftwareKey
from healthcode.messages import TrustEntry, TrustList
from healthcode.terms import OperatorRole, Use
from healthcode.trust import entry_for
from healthgate.errors import one_line_errors
from healthgate.keyring_files import DAY_S, KeysError, Lifetimes, open_trust, own_issuer, read_root, write_key, write_next, write_root
from healthgate.keys_shown import changed, show_trust
from server.keys import CLOCK_MARGIN_S

operators = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Keys of people who command units."
)
in_one_line = one_line_errors("healthgate keys operator", KeysError)


@operators.command("make")
@in_one_line
def make(
    file: Annotated[Path, typer.Argument(help="Where to keep the private key; FILE.pub gets the public one.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make an operator's key, on the operator's own machine.

    FILE gets mode 0600 and stays there. FILE.pub is public: whoever keeps the root puts it into the trust list, `keys operator add`, and
    compares the identifier with the one that the operator reads out.
    """
    key, public = SoftwareKey.generate("Ed25519"), file.with_name(f"{file.name}.pub")
    write_key(file, key)
    write_root(public, key.public_key)
    if as_json:
        typer.echo(json.dumps({"private": str(file), "public": str(public), "kid": key.kid.hex()}))
        return
    typer.echo(f"{file}: the private key, for you alone\n{public}: the public key {key.kid.hex()}: bring it to whoever keeps the root")


@operators.command("add")
@in_one_line
def add(
    folder: Annotated[Path, typer.Argument(help="The keys folder.", show_default=False)],
    name: Annotated[str, typer.Argument(help="The operator's name, as it stands in every record.", show_default=False)],
    public: Annotated[Path, typer.Argument(metavar="KEY", help="The public key that `keys operator make` made.", show_default=False)],
    role: Annotated[OperatorRole, typer.Option(help="What the operator may command.", show_default=False)],
    days: Annotated[int, typer.Option(min=1, max=7300, help="How long the key may sign.")] = Lifetimes.keys_days,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Let an operator's key sign commands, or give it another role or end, and sign the trust list anew.

    An attendant opens and sets modes, a technician keeps the machines, a manager does everything. `keys withdraw` takes a key back at once.
    """
    show_trust(changed(folder, add_operator(folder, name, read_root(public), role, time.time(), days=days)), as_json)


def add_operator(folder: Path, name: str, key: PublicKey, role: OperatorRole, at: float, *, days: int = Lifetimes.keys_days) -> TrustList:
    """The next trust list, in which `key` signs commands for `name` with this role, until `days` days from `at`.

    KeysError where the name is held for another key or the key for something else.
    """
    try:
        topics.check_id(name, "operator")
    except ValueError as wrong:
        raise KeysError(str(wrong)) from None
    root, held = open_trust(folder)
    own, now = own_issuer(folder, held), int(at)
    fault = find_conflict(held.entries, name, key)
    if fault:
        raise KeysError(fault)
    end = now + days * DAY_S
    entry = entry_for(
        key, issuer=own, use=Use.COMMAND, sign_from=now - CLOCK_MARGIN_S, sign_until=end, verify_until=end, name=name, role=role
    )
    return write_next(folder, root, held, [*(each for each in held.entries if each.key != key.raw), entry], at)


def find_conflict(entries: Sequence[TrustEntry], name: str, key: PublicKey) -> str | None:
    """Why `key` may not be that of the operator `name`, in one line; None where it may."""
    for entry in entries:
        if entry.name == name and entry.key != key.raw:
            return f"{name} has the key {entry.kid.hex()}: withdraw it first, `keys withdraw`, or give the new one another name"
        if entry.key == key.raw and entry.role is None:
            return f"the key {entry.kid.hex()} is the {entry.use.value} key of {entry.issuer}: expected a key of the operator's own"
        if entry.key == key.raw and entry.name != name:
            return f"the key {entry.kid.hex()} is that of {entry.name}: expected that name, or another key"
    return None
