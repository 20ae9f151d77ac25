"""A certificate from the server's pages, for a unit whose own has ended: the broker does not let it in any more, so nothing comes that way.

A certificate is for anybody to see, and the unit checks the one that comes as it does with those from the broker. So the unit shows
nothing but the fingerprint of its key, and need not know whom it speaks to, nor what time it is.
"""

from __future__ import annotations

import http.client
import logging
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from edge.identity import CertificateFault, Identity, Renewed

log = logging.getLogger(__name__)

AFTER_S = 600.0
"""Without a connection for so long, it is asked whether there is another certificate."""
EVERY_S = 3600.0
LIMIT_S = 15.0
PATH = "/fleet/certificate/"
"""Then the SHA-256 of the key's SubjectPublicKeyInfo, in hexadecimal."""
MOST_BYTES = 4096


def fetch_from(identity: Identity | None, address: str) -> Callable[[], bool] | None:
    """What fetches the unit's newest certificate from `address`; None for a unit without one."""
    return None if identity is None else Renewal(identity, address).fetch


class Renewal:
    """Asks at `address` (https://HOST[:PORT]; empty: nowhere) for a unit's newest certificate."""

    def __init__(self, identity: Identity, address: str) -> None:
        self._identity = identity
        self._address = address
        self._said = ""

    def fetch(self) -> bool:
        """Whether there is another certificate, which is in force now. It may take half a minute."""
        if not self._address:
            return False
        try:
            found = self._ask()
        except (OSError, ValueError, http.client.HTTPException) as wrong:
            self._say(f"no certificate from {self._address}: {wrong}")
            return False
        if found is None:
            self._say(f"{self._address} has no certificate for this unit: was it retired?")
            return False
        outcome = self._identity.accept(found)
        if isinstance(outcome, Renewed):
            log.info("a new certificate from %s", self._address)
            self._said = ""
            return True
        if outcome is not CertificateFault.NOT_LATER:
            self._say(f"a certificate from {self._address} is not taken: {outcome.value}")
        return False

    def _ask(self) -> bytes | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        place = urlsplit(self._address)
        connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=LIMIT_S, context=context)
        try:
            connection.request("GET", PATH + self._identity.fingerprint)
            answer = connection.getresponse()
            return answer.read(MOST_BYTES) if answer.status == http.client.OK else None
        finally:
            connection.close()

    def _say(self, said: str) -> None:
        """Once for as long as it is so."""
        if said != self._said:
            log.warning("%s", said)
        self._said = said
