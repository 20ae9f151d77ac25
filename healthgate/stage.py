"""The stage on which the story is played: people, their codes, presentations at a gate, and the testimony of the witnesses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from edge.thermal import OBJECT
from healthcode import token
from healthcode.terms import Colour, Decision, Form, Reason
from healthgate.gate_files import DeltaLog
from healthgate.town import GATES, ISSUER, URI, Town
from healthgate.witness import Mark, Row, light_colours, mark, relay_pulses, rows_of, rows_since, wait_for_row
from server.colours import HandReason
from server.issuer import Pack
from server.registry import Person, Refused, Resident

T = TypeVar("T")

NORMAL_SKIN_C, FEVER_SKIN_C = 34.0, 36.4
"""Skin temperatures whose estimates at 25 C are about 36.6 and 38.2 C (reference formula of edge/screening.py)."""
VERDICT_LIMIT_S = 6.0
RETEST_LIMIT_S = 14.0
DELTA_LIMIT_S = 4.0
OUT_OF_VIEW_FRAMES_S = 1.3


@dataclass(frozen=True)
class Seen:
    """What came of one presentation: relay pulses, the colours of the light, the verdicts and passages in the database."""

    pulses: int
    light: tuple[str, ...]
    verdicts: tuple[Row, ...]
    passages: tuple[Row, ...]

    @property
    def words(self) -> str:
        """In one line: each verdict with its reason, the relay, and the passage."""
        verdicts = ", ".join(f"{row.body['decision'].upper()} {row.body['reason']}" for row in self.verdicts) or "no verdict"
        passages = "".join(f", passage {row.body['outcome']}" for row in self.passages)
        return f"{verdicts}; relay {'pulsed' if self.pulses else 'shut'}{passages}"


class Stage:
    """A town to play on, and what one step leaves for the next."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.fever_row: Row | None = None
        self.feverish: Resident | None = None
        self.feverish_pack: Pack | None = None
        self.used: Pack | None = None
        self.red_pack: Pack | None = None
        self.before_fever: DeltaLog | None = None
        self._people = 0

    def resident(self, colour: Colour = Colour.GREEN, reason: HandReason = HandReason.REVIEWED) -> Resident:
        """A new resident of `colour`, known to every gate."""
        self._people += 1
        added = self.town.registry.add(Person(name=f"Resident {self._people}"), colour=colour, reason=reason)
        return done(added)

    def live(self, resident: Resident, *, lasting_s: int = 600, start: int | None = None) -> Pack:
        """A pack of live codes."""
        return done(self.town.issuer.live_pack(resident.resident, lasting_s=lasting_s, start=start))

    def paper(self, resident: Resident) -> Pack:
        """A code on paper."""
        return done(self.town.issuer.paper(resident.resident))

    def set_colour(self, resident: Resident, colour: Colour, reason: HandReason) -> Resident:
        """Sets a colour and waits until both gates hold it."""
        before = {unit: self.delta_log(unit) for unit in GATES}
        changed = done(self.town.registry.set_colour(resident.resident, colour, reason))
        self.wait_for_delta(before)
        return changed

    def delta_log(self, unit: str) -> DeltaLog | None:
        """The file in which gate `unit` keeps our list's deltas."""
        return self.town.files[unit].delta_log(URI)

    def wait_for_delta(self, before: Mapping[str, DeltaLog | None]) -> None:
        """Waits until the gates named in `before` have written a further delta."""
        self.town.poll(lambda: all(self.delta_log(unit) != log for unit, log in before.items()), DELTA_LIMIT_S)

    def holes(self, unit: str) -> int:
        """How many seqs are missing in the database between 1 and the newest of each boot of `unit`."""
        seqs: dict[str, set[int]] = {}
        for row in rows_of(self.town, unit):
            seqs.setdefault(row.boot_id, set()).add(row.seq)
        return sum(max(held) - len(held) for held in seqs.values())

    def present(self, unit: str, *texts: str, skin_c: float = NORMAL_SKIN_C, limit_s: float = VERDICT_LIMIT_S) -> Seen:
        """Holds codes up at `unit` until there is a final verdict, walks through if the relay pulses, and collects the testimony."""
        since = mark(self.town, unit)
        self.town.world.set(unit, skin_c=skin_c)
        self.town.world.show(unit, *texts)
        row = wait_for_row(self.town, unit, since, is_final, limit_s)
        if row is not None and row.body["decision"] == Decision.ADMIT:
            self.walk_through(unit)
            wait_for_row(self.town, unit, since, lambda row: row.kind == "passage", VERDICT_LIMIT_S)
        return self.testimony(unit, since)

    def present_unheard(self, unit: str, text: str) -> str:
        """Holds a code up while no row can arrive: what the pins alone say."""
        since = self.town.world.mark(unit)
        self.town.world.set(unit, skin_c=NORMAL_SKIN_C)
        self.town.world.show(unit, text)

        def verdict() -> bool:
            entries = self.town.world.entries(unit, since)
            return relay_pulses(entries) > 0 or light_colours(entries)[-1:] in (["red"], ["yellow"])

        self.town.poll(verdict, VERDICT_LIMIT_S)
        entries = self.town.world.entries(unit, since)
        if relay_pulses(entries):
            self.walk_through(unit)
            light = "green"
        else:
            light = (light_colours(entries) or ["unchanged"])[-1]
        return f"light {light}; relay {'pulsed' if relay_pulses(entries) else 'shut'}"

    def walk_through(self, unit: str) -> None:
        """Breaks the beam and leaves it."""
        for broken in (True, False):
            since = self.town.world.mark(unit)
            self.town.world.set(unit, beam=broken)
            self.pause_frames(unit, since, 1)

    def pause_frames(self, unit: str, since: int, frames: int) -> None:
        """Lets the gate read its thermometer so many times more: time enough for its lines to settle."""
        for _ in range(frames):
            entry = self.town.world.wait_for(unit, lambda entry: entry.get("register") == OBJECT, 2.0, since)
            since = int(entry["n"]) if entry else since

    def leave(self, unit: str) -> None:
        """Nobody stands there any more, for long enough that the same code counts as shown anew."""
        self._clear_one(unit)
        time.sleep(OUT_OF_VIEW_FRAMES_S)

    def testimony(self, unit: str, since: Mark) -> Seen:
        """What both witnesses say since then."""
        entries = self.town.world.entries(unit, since.journal)
        rows = rows_since(self.town, unit, since)
        return Seen(
            relay_pulses(entries),
            tuple(light_colours(entries)),
            tuple(row for row in rows if row.kind == "pass"),
            tuple(row for row in rows if row.kind == "passage"),
        )

    def claims(self, resident: Resident, **changes: Any) -> token.Claims:
        """Claims as the issuer would sign them for `resident` now, with `changes`."""
        now = int(time.time())
        plain: dict[str, Any] = {
            "issuer": ISSUER,
            "uri": URI,
            "index": resident.index,
            "colour": resident.colour,
            "form": Form.LIVE,
            "ruled_at": resident.ruled_at,
            "not_before": now - 5,
            "expires": now + 115,
        }
        return token.Claims(**(plain | changes))

    def clear(self) -> None:
        """Nobody stands at any gate, and nothing is unplugged."""
        for unit in GATES:
            self._clear_one(unit)

    def _clear_one(self, unit: str) -> None:
        self.town.world.set(unit, shown=(), skin_c=None, beam=False, staff=False, sensor="ok")


def done(outcome: T | Refused) -> T:
    """What the registry did; RuntimeError where it refused."""
    if isinstance(outcome, Refused):
        raise RuntimeError(outcome.detail)
    return outcome


def is_final(row: Row) -> bool:
    """Whether a row is a verdict that ends a presentation."""
    return row.kind == "pass" and row.body["reason"] not in (Reason.FEVER_SUSPECTED, Reason.MEASURING)


def has_reading(row: Row) -> bool:
    """Whether any figure of the thermometer is in a verdict's row."""
    return any(row.body.get(name) for name in ("skin_c", "ambient_c", "body_c", "samples", "screening"))
