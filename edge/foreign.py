"""Whoever shows a foreign certificate, as the unit knows them: by a hash of the certificate's identifier under the unit's own key. Pure.

Identifiers can be guessed or be known to others, so a plain hash would tell who passed. The key never leaves the unit: two gates, or the
server, cannot tell that two events are of the same certificate.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from healthcode.dcc import Certificate

KEY_BYTES = 32
SCHEME = "hc1:"
"""Begins the first half of the (list, index) that stands for such a person in the unit's own memory; no list is called so."""


@dataclass(frozen=True)
class Guest:
    """A valid foreign certificate, and who its bearer is to this unit: what replay and anti-passback key on."""

    certificate: Certificate
    person: tuple[str, int]


def recognise(certificate: Certificate, key: bytes) -> Guest:
    """The bearer of `certificate` to the unit that holds `key`."""
    digest = hmac.digest(key, b"healthgate certificate\0" + certificate.identifier.encode(), hashlib.sha256)
    return Guest(certificate, person_of(digest[:16].hex()))


def person_of(certificate: str) -> tuple[str, int]:
    """Who stands behind the hash of a certificate: `hash_of` the other way round."""
    return SCHEME + certificate, 0


def hash_of(person: tuple[str, int]) -> str | None:
    """The hash of a guest's certificate; None for whoever has a place in a list."""
    return person[0].removeprefix(SCHEME) if person[0].startswith(SCHEME) else None
