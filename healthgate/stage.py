"""The stage on which the story is played: people, their codes, presentations at a gate, and the testimony of the witnesses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import text

from edge.mlx90614 import OBJECT
from healthcode import token
from healthcode.terms import Colour, Form, Reason
from healthgate.town import GATES, ISSUER, URI, Town
from healthgate.witness import Mark, Row, light_colours, light_levels, mark, relay_pulses, rows_of, rows_since, wait_for_row
from healthgate.world import Entry
from server.actors import Actor, Role
from server.facts import HandReason
from server.four_eyes import Refused as NotProposed
from server.issuer import Pack
from server.persons import Person
from server.registry import Refused, Resident

T = TypeVar("T")

NORMAL_SKIN_C, FEVER_SKIN_C = 34.0, 36.4
"""Skin temperatures whose estimates at 25 C are about 36.6 and 38.2 C (reference formula of edge/screening.py)."""
VERDICT_LIMIT_S = 6.0
RETEST_LIMIT_S = 14.0
DELTA_LIMIT_S = 4.0
OUT_OF_VIEW_S = 1.3
CONTACT_S = 0.03
"""How long a contact must hold to count, debounce and the unit's loop included."""
LIGHT_SETTLES_S = 0.03
"""The three lines of the light change one after another: a colour counts once it has stood for so long."""

OFFICER, APPROVER = Actor("officer-one", Role.OFFICER), Actor("officer-two", Role.APPROVER)
"""Two who set colours by hand: one proposes, the other approves."""


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
        self.before_fever = -1
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
        made = done(self.town.proposals.propose(OFFICER, [resident.resident], colour, reason))
        done(self.town.proposals.approve(APPROVER, made.number))
        self.settle()
        changed = self.town.registry.find(resident.resident)
        if changed is None:
            raise RuntimeError(f"resident {resident.resident} is gone")
        return changed

    def settle(self) -> None:
        """Waits until every ruling is in a published delta, and both gates hold it."""
        self.town.poll(lambda: self.town.published_version() is not None, DELTA_LIMIT_S)
        version = self.town.published_version()
        self.town.poll(lambda: version is not None and all(self.held_version(unit) >= version for unit in GATES), DELTA_LIMIT_S)

    def held_version(self, unit: str) -> int:
        """The version of our list that gate `unit` has on its disk; -1 where it has none."""
        held = self.town.files[unit].held_list(URI)
        return -1 if held is None else held.version

    def holes(self, unit: str) -> int:
        """How many seqs are missing in the database between 1 and the newest of each boot of `unit`."""
        seqs: dict[str, set[int]] = {}
        for row in rows_of(self.town, unit):
            seqs.setdefault(row.boot_id, set()).add(row.seq)
        return sum(max(held) - len(held) for held in seqs.values())

    def quarantined(self) -> int:
        """How many messages the server put aside: another content under a known name, an unknown unit, a bad payload."""
        with self.town.store.read() as tx:
            return int(tx.execute(text("SELECT count(*) FROM quarantine")).scalar_one())

    def present(self, unit: str, *texts: str, skin_c: float = NORMAL_SKIN_C, limit_s: float = VERDICT_LIMIT_S) -> Seen:
        """Holds codes up at `unit` until there is a final verdict, walks through if the relay pulses, and collects the testimony."""
        since = mark(self.town, unit)
        self.town.world.set(unit, skin_c=skin_c)
        self.town.world.show(unit, *texts)
        wait_for_row(self.town, unit, since, is_final, limit_s, give_up=lambda: self.pulsed(unit, since))
        if self.pulsed(unit, since):
            self.walk_through(unit)
            wait_for_row(self.town, unit, since, is_final, VERDICT_LIMIT_S)
            wait_for_row(self.town, unit, since, lambda row: row.kind == "passage", VERDICT_LIMIT_S)
        return self.testimony(unit, since)

    def pulsed(self, unit: str, since: Mark) -> bool:
        """Whether the relay's line has risen since then."""
        return relay_pulses(self.town.world.entries(unit, since.journal)) > 0

    def present_unheard(self, unit: str, text: str) -> str:
        """Holds a code up while no row can arrive: what the pins alone say."""
        since, before = self.town.world.mark(unit), light_levels(self.town, unit)
        self.town.world.set(unit, skin_c=NORMAL_SKIN_C)
        self.town.world.show(unit, text)

        def settled() -> list[Entry]:
            until = time.monotonic() - LIGHT_SETTLES_S
            return [entry for entry in self.town.world.entries(unit, since) if entry.get("at", until) <= until]

        def verdict() -> bool:
            return relay_pulses(settled()) > 0 or light_colours(settled(), before)[-1:] in (["red"], ["yellow"])

        self.town.poll(verdict, VERDICT_LIMIT_S)
        entries = settled()
        if relay_pulses(entries):
            self.walk_through(unit)
            light = "green"
        else:
            light = (light_colours(entries, before) or ["unchanged"])[-1]
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

    def rattle(self) -> None:
        """Opens and closes both housings, which each gate records as two events."""
        for is_open in (True, False):
            for unit in GATES:
                self.town.world.set(unit, tamper=is_open)
            time.sleep(CONTACT_S)

    def leave(self, unit: str) -> None:
        """Nobody stands there any more, for long enough that the same code counts as shown anew."""
        self._clear_one(unit)
        time.sleep(OUT_OF_VIEW_S)

    def testimony(self, unit: str, since: Mark) -> Seen:
        """What both witnesses say since then."""
        entries = self.town.world.entries(unit, since.journal)
        rows = rows_since(self.town, unit, since)
        return Seen(
            relay_pulses(entries),
            tuple(light_colours(entries, since.light)),
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
        self.town.world.set(unit, shown=(), skin_c=None, beam=False, staff=False, tamper=False, sensor="ok")


def done(outcome: T | Refused | NotProposed) -> T:
    """What the registry did; RuntimeError where it refused."""
    if isinstance(outcome, Refused):
        raise RuntimeError(outcome.detail)
    if isinstance(outcome, NotProposed):
        raise RuntimeError(f"{outcome.key} {dict(outcome.params)}")
    return outcome


def is_final(row: Row) -> bool:
    """Whether a row is a verdict that ends a presentation."""
    return row.kind == "pass" and row.body["reason"] not in (Reason.FEVER_SUSPECTED, Reason.MEASURING)


def has_reading(row: Row) -> bool:
    """Whether any figure of the thermometer is in a verdict's row."""
    return any(row.body.get(name) for name in ("skin_c", "ambient_c", "body_c", "samples", "screening"))
