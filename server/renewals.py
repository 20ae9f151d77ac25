"""The fleet's certificates on their way to the units' retained topics, and the broker's access rules kept as the database says.

Certificates are for anybody to see, so nothing has to be asked for: a unit that is on line gets its next one ten days before the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from healthcode import topics
from server import mosquitto
from server.admissions import Admissions
from server.authority import Authority
from server.home_assistant import PREFIX
from server.keys import KeyFileError
from server.lists import Publication

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often it is looked, in seconds, whether a certificate is due and the rules are as they should be."""


class Renewals:
    """What the bridge does for certificates. `authority` gives the fleet's, None where there is none; `files` is the broker's folder,
    `prefix` Home Assistant's."""

    def __init__(self, admissions: Admissions, authority: Callable[[], Authority | None], files: Path | None, prefix: str = PREFIX) -> None:
        self._admissions = admissions
        self._authority = authority
        self._files = files
        self._prefix = prefix
        self._seen: dict[str, bytes] = {}
        self._looked = float("-inf")
        self._said = ""

    def due(self, at: float) -> list[Publication]:
        """What to publish at the monotonic time `at`."""
        if at - self._looked < LOOK_S:
            return []
        self._looked = at
        try:
            authority = self._authority()
        except KeyFileError as wrong:
            self._say(str(wrong))
            return []
        if authority is None:
            return []
        self._keep_rules()
        fresh = {row.unit: row.certificate for row in self._admissions.renew(authority)}
        changed = {unit: made for unit, made in fresh.items() if self._seen.get(unit) != made}
        self._seen = fresh
        return [Publication(topics.down(unit, "certificate"), made, retain=True) for unit, made in changed.items()]

    def again(self) -> None:
        """All of them at the next asking: the broker may have forgotten them."""
        self._seen.clear()
        self._looked = float("-inf")

    def _keep_rules(self) -> None:
        """Whoever changed the database has written the rules, too, unless the power failed in between."""
        if self._files is None:
            return
        try:
            outcome = mosquitto.apply(self._files, *self._admissions.members(), self._prefix)
            said = outcome.why if outcome is not None else ""
        except OSError as wrong:
            said = f"access rules: {wrong.filename}: {wrong.strerror}"
        self._say(said)

    def _say(self, said: str) -> None:
        """Once for as long as it is so."""
        if said and said != self._said:
            log.warning("%s", said)
        self._said = said
