"""What the trust list says of our own status lists: which there are, and in which epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from healthcode.messages import BadPayload, TrustEntry, TrustList, Uri
from healthcode.terms import Use
from healthgate.keyring_files import RECOGNISED_USES, KeysError, open_trust, own_issuer, write_next

_URI = msgspec.json.Decoder(Uri)


def open_list(folder: Path, uri: str, at: float) -> TrustList:
    """Lets our token and list keys sign for one more list; KeysError where it is held already, or no name of a list.

    The server fills it once `further_uris` of its configuration names it too.
    """
    try:
        _URI.decode(msgspec.json.encode(uri))
    except (msgspec.ValidationError, BadPayload) as wrong:
        raise KeysError(f"list {uri[:120]!r}: {wrong}") from None
    root, held = open_trust(folder)
    holder = next((entry.issuer for entry in held.entries if uri in entry.uris), None)
    if holder is not None:
        raise KeysError(f"list {uri}: held for {holder}: expected one that is not in trust list {held.version}")
    entries = _changed(folder, held, RECOGNISED_USES, lambda entry: msgspec.structs.replace(entry, uris=[*entry.uris, uri]))
    return write_next(folder, root, held, entries, at)


def raise_epoch(folder: Path, at: float) -> TrustList:
    """Begins a new epoch of all our lists: after a restored database, whose lists are behind what the gates hold."""
    root, held = open_trust(folder)
    entries = _changed(folder, held, (Use.LIST,), lambda entry: msgspec.structs.replace(entry, epoch=entry.epoch + 1))
    return write_next(folder, root, held, entries, at)


def _changed(folder: Path, held: TrustList, uses: tuple[Use, ...], change: Callable[[TrustEntry], TrustEntry]) -> list[TrustEntry]:
    own = own_issuer(folder, held)
    return [change(entry) if entry.issuer == own and entry.use in uses else entry for entry in held.entries]
