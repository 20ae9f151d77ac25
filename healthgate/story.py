"""The story that `healthgate demo --story` plays and checks: one day at two gates, on real processes and a real broker.

Each step says what it expects and what the witnesses saw: pins, registers, files and database rows, never the unit's own word.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from healthcode import token
from healthcode.cose import Signer, SoftwareKey
from healthcode.terms import Colour, Decision, Form, Reason, Use
from healthgate.stage import (
    DELTA_LIMIT_S,
    FEVER_SKIN_C,
    NORMAL_SKIN_C,
    RETEST_LIMIT_S,
    VERDICT_LIMIT_S,
    Stage,
    done,
    has_reading,
)
from healthgate.town import GATES, OTHER_ISSUER, OTHER_URI, URI, Town, TownError
from healthgate.witness import mark, relay_pulses, rows_of, rows_since, wait_for_row
from server.facts import HandReason

SLOT_NEARLY_OVER_S = 112
"""How long before now the first pack begins: its first code has some seconds left, and its second is good already."""
BACKLOG = 200
BACKLOG_LIMIT_S = 20.0
NORTH, SOUTH = GATES
FAULTS = (TownError, LookupError, RuntimeError, OSError, ValueError, sqlite3.Error)


@dataclass(frozen=True)
class Result:
    """One step as it went; `ms` is the step's own figure where it has one, otherwise how long it took."""

    step: str
    gate: str
    expected: str
    got: str
    ms: float

    @property
    def ok(self) -> bool:
        """Whether the witnesses saw what was expected."""
        return self.expected == self.got

    def to_json(self) -> dict[str, object]:
        """The line that `--json` prints."""
        return {
            "step": self.step,
            "gate": self.gate,
            "expected": self.expected,
            "got": self.got,
            "ok": self.ok,
            "ms": round(self.ms, 1),
        }


PASSED = "ADMIT GREEN; relay pulsed, passage used"


def refused(reason: Reason) -> str:
    """What is expected of a refusal."""
    return f"REFUSE {reason.value}; relay shut"


class Colliding:
    """A stranger's key that claims the identifier of somebody else's."""

    def __init__(self, own: SoftwareKey, kid: bytes) -> None:
        self._own = own
        self.kid = kid
        self.algorithm = own.algorithm
        self.public = own.public

    def sign(self, data: bytes) -> bytes:
        """The stranger's signature."""
        return self._own.sign(data)


Outcome = tuple[str, str, str] | tuple[str, str, str, float]


def green_passes(stage: Stage) -> Outcome:
    """A green code and no fever."""
    stage.used = stage.live(stage.resident(), lasting_s=240, start=int(time.time()) - SLOT_NEARLY_OVER_S)
    seen = stage.present(NORTH, stage.used.codes[0].text)
    return NORTH, f"{PASSED}; 1 row", f"{seen.words}; {len(seen.verdicts)} row"


def yellow_refused(stage: Stage) -> Outcome:
    """A yellow code."""
    seen = stage.present(NORTH, stage.live(stage.resident(Colour.YELLOW, HandReason.CLOSE_CONTACT)).codes[0].text)
    return NORTH, refused(Reason.YELLOW), seen.words


def red_refused(stage: Stage) -> Outcome:
    """A red code."""
    seen = stage.present(SOUTH, stage.live(stage.resident(Colour.RED, HandReason.CONFIRMED)).codes[0].text)
    return SOUTH, refused(Reason.RED), seen.words


def no_reading_for_red(stage: Stage) -> Outcome:
    """A red code with a fever: refused for its colour, and no reading is kept."""
    seen = stage.present(SOUTH, stage.live(stage.resident(Colour.RED, HandReason.CONFIRMED)).codes[0].text, skin_c=FEVER_SKIN_C)
    readings = sum(has_reading(row) for row in seen.verdicts)
    return SOUTH, f"{refused(Reason.RED)}; 0 readings", f"{seen.words}; {readings} readings"


def fever_refused(stage: Stage) -> Outcome:
    """A green code and a fever, measured twice."""
    stage.feverish = stage.resident()
    stage.feverish_pack = stage.live(stage.feverish)
    stage.settle()
    stage.before_fever = stage.held_version(SOUTH)
    seen = stage.present(NORTH, stage.feverish_pack.codes[0].text, skin_c=FEVER_SKIN_C, limit_s=RETEST_LIMIT_S)
    stage.fever_row = next((row for row in seen.verdicts if row.body["reason"] == Reason.FEBRILE), None)
    return NORTH, "REFUSE FEVER_SUSPECTED, REFUSE FEBRILE; relay shut", seen.words


def fever_turns_yellow(stage: Stage) -> Outcome:
    """The fever found at the north gate closes the south gate; the figure is commit of the event to the south gate's file of deltas."""
    if stage.fever_row is None or stage.feverish_pack is None:
        return SOUTH, refused(Reason.YELLOW), "no fever was recorded before"
    stage.town.poll(lambda: stage.held_version(SOUTH) > stage.before_fever, DELTA_LIMIT_S)
    held = stage.town.files[SOUTH].held_list(URI)
    ms = held.changed_ms - stage.fever_row.received_ms if held else float("nan")
    seen = stage.present(SOUTH, stage.feverish_pack.codes[0].text)
    return SOUTH, refused(Reason.YELLOW), seen.words, ms


def forged_refused(stage: Stage) -> Outcome:
    """Real claims under a stranger's key that claims our key's identifier."""
    stranger: Signer = Colliding(SoftwareKey.generate(), stage.town.key(Use.TOKEN).kid)
    seen = stage.present(NORTH, token.write(stage.claims(stage.resident()), stranger))
    return NORTH, refused(Reason.SIGNATURE), seen.words


def foreign_scope_refused(stage: Stage) -> Outcome:
    """Another province's valid key signs for our list."""
    claims = stage.claims(stage.resident(), issuer=OTHER_ISSUER)
    seen = stage.present(NORTH, token.write(claims, stage.town.key(Use.TOKEN, other=True)))
    return NORTH, refused(Reason.ISSUER_SCOPE), seen.words


def expired_refused(stage: Stage) -> Outcome:
    """Yesterday's screenshot."""
    pack = stage.live(stage.resident(), start=int(time.time()) - 3600, lasting_s=120)
    seen = stage.present(SOUTH, pack.codes[0].text)
    return SOUTH, refused(Reason.EXPIRED), seen.words


def unknown_issuer_refused(stage: Stage) -> Outcome:
    """A code in our format by an issuer whom nobody recognised."""
    claims = stage.claims(stage.resident(), issuer="CN-XX", uri="https://xx.example/s/1")
    seen = stage.present(SOUTH, token.write(claims, SoftwareKey.generate()))
    return SOUTH, refused(Reason.UNKNOWN_KEY), seen.words


def replay_refused(stage: Stage) -> Outcome:
    """The next code of the pack that passed at the north gate: another text, the same person."""
    if stage.used is None:
        return NORTH, refused(Reason.REPLAY), "nobody passed before"
    seen = stage.present(NORTH, stage.used.codes[1].text)
    return NORTH, refused(Reason.REPLAY), seen.words


def two_codes_refused(stage: Stage) -> Outcome:
    """Two green codes side by side."""
    codes = [stage.live(stage.resident()).codes[0].text for _ in range(2)]
    seen = stage.present(SOUTH, *codes)
    return SOUTH, refused(Reason.ONE_AT_A_TIME), seen.words


def recovered_passes(stage: Stage) -> Outcome:
    """A paper code printed while red; the list has turned green since."""
    resident = stage.resident(Colour.RED, HandReason.SUSPECTED)
    paper = stage.paper(resident)
    stage.set_colour(resident, Colour.GREEN, HandReason.ISOLATION_ENDED)
    seen = stage.present(NORTH, paper.codes[0].text)
    return NORTH, f"{PASSED}; printed red", f"{seen.words}; printed {paper.colour.value}"


def paper_passes(stage: Stage) -> Outcome:
    """A code on paper."""
    seen = stage.present(SOUTH, stage.paper(stage.resident()).codes[0].text)
    return SOUTH, PASSED, seen.words


def revoked_stays_revoked(stage: Stage) -> Outcome:
    """A revoked index, shown with a token that is newer than the revocation."""
    resident = stage.resident()
    done(stage.town.registry.revoke(resident.resident))
    stage.settle()
    newer = stage.claims(resident, ruled_at=int(time.time()) + 3, not_before=int(time.time()))
    seen = stage.present(SOUTH, token.write(newer, stage.town.key(Use.TOKEN)))
    return SOUTH, refused(Reason.REVOKED), seen.words


def other_province_code(stage: Stage, index: int) -> str:
    """A code that the other province signed."""
    now = int(time.time())
    claims = token.Claims(OTHER_ISSUER, OTHER_URI, index, Colour.GREEN, Form.LIVE, now - 86_400, now - 5, now + 115)
    return token.write(claims, stage.town.key(Use.TOKEN, other=True))


def other_province_passes(stage: Stage) -> Outcome:
    """A green code of the other province, against its own list."""
    seen = stage.present(NORTH, other_province_code(stage, 4711))
    return NORTH, PASSED, seen.words


def withdrawn_key_refused(stage: Stage) -> Outcome:
    """The other province's key is withdrawn from the trust list; a code that it signed no longer counts."""
    version = stage.town.withdraw(stage.town.key(Use.TOKEN, other=True))
    stage.town.wait_until(lambda: stage.town.files[NORTH].trust_version() == version, DELTA_LIMIT_S, f"trust list {version} at {NORTH}")
    seen = stage.present(NORTH, other_province_code(stage, 4712))
    return NORTH, refused(Reason.UNKNOWN_KEY), seen.words


def offline_green_passes(stage: Stage) -> Outcome:
    """The broker dies while messages are in flight; a green code issued before passes all the same."""
    red = stage.resident()
    stage.red_pack = stage.live(red)
    stage.set_colour(red, Colour.RED, HandReason.CONFIRMED)
    green = stage.live(stage.resident())
    for _ in range(6):
        stage.rattle()
    stage.town.broker.kill()
    return NORTH, "light green; relay pulsed", stage.present_unheard(NORTH, green.codes[0].text)


def offline_red_refused(stage: Stage) -> Outcome:
    """Still no broker; the red one holds a live green code that was issued before."""
    if stage.red_pack is None:
        return SOUTH, "", "no code was issued before"
    got = stage.present_unheard(SOUTH, stage.red_pack.codes[0].text)
    return SOUTH, "light red; relay shut; code says green", f"{got}; code says {stage.red_pack.colour.value}"


def backlog_arrives_once(stage: Stage) -> Outcome:
    """Over two hundred events wait; the broker comes back; each is in the database exactly once."""
    until = time.monotonic() + BACKLOG_LIMIT_S
    while min(len(stage.town.files[unit].events(waiting=True)) for unit in GATES) < BACKLOG // 2 and time.monotonic() < until:
        for _ in range(10):
            stage.rattle()
    waiting = sum(len(stage.town.files[unit].events(waiting=True)) for unit in GATES)
    began = time.monotonic()
    stage.town.broker.start()

    def all_there() -> bool:
        return all(stage.town.files[unit].events() <= {row.key for row in rows_of(stage.town, unit)} for unit in GATES)

    stage.town.poll(all_there, 15.0)
    ms = (time.monotonic() - began) * 1000
    missing = sum(len(stage.town.files[unit].events() - {row.key for row in rows_of(stage.town, unit)}) for unit in GATES)
    holes = sum(stage.holes(unit) for unit in GATES)
    enough = "at least 200" if waiting >= BACKLOG else str(waiting)
    got = f"{enough} waited; {missing} missing; {holes} holes; {stage.quarantined()} quarantined"
    return "both", "at least 200 waited; 0 missing; 0 holes; 0 quarantined", got, ms


def sensor_unplugged_calls_guard(stage: Stage) -> Outcome:
    """The thermometer's cable is pulled."""
    stage.town.world.set(SOUTH, sensor="unplugged")
    seen = stage.present(SOUTH, stage.live(stage.resident()).codes[0].text)
    return SOUTH, f"CALL_GUARD {Reason.SENSOR_FAULT.value}; relay shut", seen.words


def staff_release_logged(stage: Stage) -> Outcome:
    """The guard presses the button."""
    since = mark(stage.town, SOUTH)
    stage.town.world.set(SOUTH, staff=True)
    stage.town.world.wait_for(SOUTH, lambda entry: entry.get("pin") == "relay" and bool(entry["value"]), VERDICT_LIMIT_S, since.journal)
    stage.town.world.set(SOUTH, staff=False)
    stage.walk_through(SOUTH)
    row = wait_for_row(stage.town, SOUTH, since, lambda row: row.kind == "release", VERDICT_LIMIT_S)
    pulses = relay_pulses(stage.town.world.entries(SOUTH, since.journal))
    by = row.body["by"] if row else "nobody"
    return SOUTH, "relay pulsed; release by staff", f"relay {'pulsed' if pulses else 'shut'}; release by {by}"


def gate_killed_recovers(stage: Stage) -> Outcome:
    """SIGKILL while a grant is open: the relay falls, the events are whole, and the next person passes."""
    town = stage.town
    since = mark(town, NORTH)
    town.world.set(NORTH, skin_c=NORMAL_SKIN_C)
    town.world.show(NORTH, stage.live(stage.resident()).codes[0].text)
    rose = town.world.wait_for(NORTH, lambda entry: entry.get("pin") == "relay" and bool(entry["value"]), VERDICT_LIMIT_S, since.journal)
    town.gates[NORTH].kill()
    town.world.wait_gone(NORTH, 2.0)
    relay = "off" if rose and not town.world.level(NORTH, "relay") else "on" if rose else "never on"
    stage.clear()
    held = town.files[NORTH].events()
    town.gates[NORTH].start()
    town.wait_until(lambda: town.is_ready(NORTH), 20.0, "gate north to be ready again")
    town.poll(lambda: held <= {row.key for row in rows_of(town, NORTH)}, VERDICT_LIMIT_S)
    missing = len(held - {row.key for row in rows_of(town, NORTH)})
    admitted = sum(row.body.get("decision") == Decision.ADMIT for row in rows_since(town, NORTH, since, "pass"))
    after = stage.present(NORTH, stage.live(stage.resident()).codes[0].text)
    got = f"relay {relay}; {admitted} grant kept; {missing} missing; {stage.holes(NORTH)} holes; then {after.words}"
    return NORTH, f"relay off; 1 grant kept; 0 missing; 0 holes; then {PASSED}", got


STEPS: tuple[tuple[str, Callable[[Stage], Outcome]], ...] = (
    ("green-passes", green_passes),
    ("yellow-refused", yellow_refused),
    ("red-refused", red_refused),
    ("no-reading-for-red", no_reading_for_red),
    ("fever-refused", fever_refused),
    ("fever-turns-yellow", fever_turns_yellow),
    ("forged-refused", forged_refused),
    ("foreign-scope-refused", foreign_scope_refused),
    ("expired-refused", expired_refused),
    ("unknown-issuer-refused", unknown_issuer_refused),
    ("replay-refused", replay_refused),
    ("two-codes-refused", two_codes_refused),
    ("recovered-passes", recovered_passes),
    ("paper-passes", paper_passes),
    ("revoked-stays-revoked", revoked_stays_revoked),
    ("other-province-passes", other_province_passes),
    ("withdrawn-key-refused", withdrawn_key_refused),
    ("offline-green-passes", offline_green_passes),
    ("offline-red-refused", offline_red_refused),
    ("backlog-arrives-once", backlog_arrives_once),
    ("sensor-unplugged-calls-guard", sensor_unplugged_calls_guard),
    ("staff-release-logged", staff_release_logged),
    ("gate-killed-recovers", gate_killed_recovers),
)


def play(town: Town) -> Iterator[Result]:
    """Every step's result as soon as it is over. A step that cannot be played is a result too: got says why."""
    stage = Stage(town)
    for name, step in STEPS:
        began = time.monotonic()
        try:
            gate, expected, got, *figure = step(stage)
        except FAULTS as wrong:
            gate, expected, got, figure = "", "a step that can be played", f"{type(wrong).__name__}: {wrong}"[:300], []
        yield Result(name, gate, expected, got, figure[0] if figure else (time.monotonic() - began) * 1000)
        stage.clear()
