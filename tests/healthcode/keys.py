"""Keys, entries and codes that the tests share. Made anew in each run: no test key is a secret or lasts."""

from __future__ import annotations

from typing import Any

from healthcode import token
from healthcode.cose import SoftwareKey
from healthcode.messages import TrustEntry
from healthcode.terms import Colour, Form, OperatorRole, Use
from healthcode.token import Claims
from healthcode.trust import KeyRing, entry_for

NOW = 1_584_345_600
"""16 March 2020, 08:00 UTC."""
DAY_S = 86_400
URI = "https://hb.example/s/1"
OTHER_URI = "https://hn.example/s/1"

ROOT = SoftwareKey.generate()
STRANGER = SoftwareKey.generate()
SIGNERS = {use: SoftwareKey.generate("Ed25519" if use is Use.TIME else "ES256") for use in Use}
OTHER_TOKEN = SoftwareKey.generate("Ed25519")


def entry(signer: SoftwareKey, use: Use, **changes: Any) -> TrustEntry:
    """The entry of one of our keys: all that its use needs, with `changes`."""
    scope: dict[str, Any] = {
        "issuer": "CN-HB",
        "use": use,
        "sign_from": NOW - 30 * DAY_S,
        "sign_until": NOW + 30 * DAY_S,
        "verify_until": NOW + 60 * DAY_S,
        "uris": [URI] if use in (Use.TOKEN, Use.LIST) else [],
        "forms": [Form.LIVE, Form.PAPER] if use is Use.TOKEN else [],
        "max_lifetime_s": 28 * DAY_S if use is Use.TOKEN else 0,
        "epoch": 1 if use is Use.LIST else 0,
        "name": "chen" if use in (Use.COMMAND, Use.CONFIG) else "",
        "role": OperatorRole.MANAGER if use in (Use.COMMAND, Use.CONFIG) else None,
    }
    return entry_for(signer, **(scope | changes))


OTHER_ENTRY = entry(OTHER_TOKEN, Use.TOKEN, issuer="CN-HN", uris=[OTHER_URI])
RING = KeyRing(1, [*(entry(signer, use) for use, signer in SIGNERS.items()), OTHER_ENTRY])


def claims(**changes: Any) -> Claims:
    """The claims of a green live code that has just begun, with `changes`."""
    said: dict[str, Any] = {
        "issuer": "CN-HB",
        "uri": URI,
        "index": 1_234_567,
        "colour": Colour.GREEN,
        "form": Form.LIVE,
        "ruled_at": NOW - 3600,
        "not_before": NOW,
        "expires": NOW + 120,
    }
    return Claims(**(said | changes))


def code(signer: SoftwareKey = SIGNERS[Use.TOKEN], **changes: Any) -> str:
    """The signed code of `claims(**changes)`."""
    return token.write(claims(**changes), signer)
