"""Where a private key is: in a file of mode 0600 today. A hardware module takes a name of its own in OPENERS and gives a `Signer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from healthcode.cose import Signer, SoftwareKey
from server.sealing import SealError, read_private


class SignerError(ValueError):
    """A place where no key that signs is found; the text is one line."""


def open_signer(where: str) -> Signer:
    """The key at `where`: KIND:PLACE with a kind of OPENERS, or the path of a file."""
    kind, colon, place = where.partition(":")
    if colon and kind in OPENERS:
        return OPENERS[kind](place)
    if colon and not Path(where).exists():
        raise SignerError(f"{where[:80]}: no such file, and no such kind of key: expected a path, or {', '.join(OPENERS)} before the colon")
    return open_file(where)


def open_file(path: str) -> Signer:
    """The private key in a PEM file of mode 0600."""
    try:
        return SoftwareKey.from_pem(read_private(Path(path)))
    except SealError as wrong:
        raise SignerError(str(wrong)) from None
    except ValueError as wrong:
        raise SignerError(f"{path}: {wrong}") from None


OPENERS: Mapping[str, Callable[[str], Signer]] = {"file": open_file}
"""How a key is opened, by the kind of its place."""
