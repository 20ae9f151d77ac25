"""What is known of a person: each kind of fact as a frozen dataclass, and the word under which it is stored. Pure.

`at` is always when it happened, in seconds since 1970, and facts are ordered by it. `heard`, where a fact has it, is when the registry
learnt of it (the registry fills it in): what an officer set by hand before then was set without knowing it. `by` and `source` say who
says so, by role: they are shown to the resident.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from healthcode.terms import ClockState, Colour


class HandReason(StrEnum):
    """Why a colour is set by hand: grounds of health and nothing else, each for the colours that it can lead to."""

    REVIEWED = "reviewed"
    CONFIRMED = "confirmed"
    SUSPECTED = "suspected"
    FEVER_CASE = "fever_case"
    CLOSE_CONTACT = "close_contact"
    HOME_ISOLATION = "home_isolation"
    CENTRAL_ISOLATION = "central_isolation"
    DISCHARGED = "discharged"
    RULED_OUT = "ruled_out"
    ISOLATION_ENDED = "isolation_ended"
    RECORD_LAPSED = "record_lapsed"
    CORRECTION = "correction"


_EVERY = frozenset(Colour)
COLOURS_OF_REASON: dict[HandReason, frozenset[Colour]] = {
    HandReason.REVIEWED: frozenset({Colour.GREEN}),
    HandReason.CONFIRMED: frozenset({Colour.RED}),
    HandReason.SUSPECTED: frozenset({Colour.RED}),
    HandReason.FEVER_CASE: frozenset({Colour.RED}),
    HandReason.CLOSE_CONTACT: frozenset({Colour.YELLOW}),
    HandReason.HOME_ISOLATION: frozenset({Colour.YELLOW}),
    HandReason.CENTRAL_ISOLATION: frozenset({Colour.YELLOW}),
    HandReason.DISCHARGED: frozenset({Colour.YELLOW}),
    HandReason.RULED_OUT: frozenset({Colour.YELLOW}),
    HandReason.ISOLATION_ENDED: frozenset({Colour.GREEN}),
    HandReason.RECORD_LAPSED: frozenset({Colour.YELLOW}),
    HandReason.CORRECTION: _EVERY,
}
"""The notice of 16 March 2020 (red, yellow, green) and the conversion rules printed on 3 March 2020."""


class Symptom(StrEnum):
    """What a person can say that they feel."""

    FEVER = "fever"
    COUGH = "cough"
    FATIGUE = "fatigue"
    SHORT_OF_BREATH = "short_of_breath"
    SORE_THROAT = "sore_throat"
    MUSCLE_PAIN = "muscle_pain"
    DIARRHOEA = "diarrhoea"
    LOSS_OF_SMELL = "loss_of_smell"
    OTHER = "other"


class Isolating(StrEnum):
    """Where a person isolates, if at all."""

    NONE = "none"
    HOME = "home"
    CENTRAL = "central"


class CaseCategory(StrEnum):
    """What a clinic reports; the notice's red categories. `CLINICAL` is clinically diagnosed, which counts as confirmed."""

    CONFIRMED = "confirmed"
    CLINICAL = "clinical"
    SUSPECTED = "suspected"
    FEVER = "fever"


class CaseEnd(StrEnum):
    """How a case ends."""

    DISCHARGED = "discharged"
    RULED_OUT = "ruled_out"


class IsolationStep(StrEnum):
    """What is reported of an isolation."""

    BEGAN = "began"
    ENDED = "ended"


class TestOutcome(StrEnum):
    """What a laboratory found."""

    __test__ = False  # not a test, whatever pytest makes of its name
    NEGATIVE = "negative"
    POSITIVE = "positive"


@dataclass(frozen=True, slots=True)
class Declared:
    """A declaration or a daily check-in by the person, or by somebody for them.

    `temperature_c` is their own reading; `contact` whether they know of contact with a case in the last 14 days; `travel` and `district`
    are codes of districts; `isolation_since` is when the isolation began. `corrects` is the `at` of a declaration that this one replaces.
    """

    at: float
    symptoms: tuple[Symptom, ...] = ()
    temperature_c: float | None = None
    contact: bool = False
    travel: tuple[str, ...] = ()
    isolation: Isolating = Isolating.NONE
    isolation_since: float | None = None
    district: str = ""
    is_check_in: bool = False
    by: str = "resident"
    corrects: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A case that a clinic reports; `at` is when it was established."""

    at: float
    category: CaseCategory
    source: str
    heard: float = 0.0


@dataclass(frozen=True, slots=True)
class CaseClosed:
    """A case ended: cured and discharged, or the disease ruled out."""

    at: float
    end: CaseEnd
    source: str
    heard: float = 0.0


@dataclass(frozen=True, slots=True)
class CloseContact:
    """A close contact of a case; `at` is the last contact."""

    at: float
    source: str
    heard: float = 0.0


@dataclass(frozen=True, slots=True)
class ContactCleared:
    """Contacts up to `at` proved to be none, or to be without consequence."""

    at: float
    source: str
    heard: float = 0.0


@dataclass(frozen=True, slots=True)
class Isolation:
    """An isolation ordered by the authorities began or ended; `place` is home or central."""

    at: float
    step: IsolationStep
    place: Isolating
    source: str
    heard: float = 0.0


@dataclass(frozen=True, slots=True)
class TestResult:
    """A laboratory's finding in a sample taken at `at`."""

    __test__ = False
    at: float
    outcome: TestOutcome
    source: str
    heard: float = 0.0


@dataclass(frozen=True, slots=True)
class FeverAtGate:
    """A gate measured fever twice in the holder of a code that was valid then. `body_c` is the estimate in degrees Celsius.

    `believed`: an officer looked at it; it counts where the policy has people look first, too.
    """

    at: float
    unit: str
    body_c: float | None
    clock: ClockState
    believed: bool = False


@dataclass(frozen=True, slots=True)
class NormalAtGate:
    """A gate measured a normal temperature in the holder of a code that was valid then: a health record.

    `unit` is empty in what is stored: where people were is kept no longer than their passes.
    """

    at: float
    unit: str
    body_c: float | None
    clock: ClockState


@dataclass(frozen=True, slots=True)
class Cleared:
    """An officer measured a normal temperature with a clinical thermometer: fevers found before `at` no longer count."""

    at: float
    body_c: float
    by: str


@dataclass(frozen=True, slots=True)
class SetByHand:
    """An officer set the colour for a reason from the list. `by` names the role or account."""

    at: float
    colour: Colour
    reason: HandReason
    by: str


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The declaration was held against the data and nothing spoke against a code; `by` is `rule` or an officer's role."""

    at: float
    by: str


Fact = (
    Declared
    | Case
    | CaseClosed
    | CloseContact
    | ContactCleared
    | Isolation
    | TestResult
    | FeverAtGate
    | NormalAtGate
    | Cleared
    | SetByHand
    | Reviewed
)
FACTS: dict[str, type[Fact]] = {
    "declared": Declared,
    "case": Case,
    "case_closed": CaseClosed,
    "close_contact": CloseContact,
    "contact_cleared": ContactCleared,
    "isolation": Isolation,
    "test_result": TestResult,
    "fever_at_gate": FeverAtGate,
    "normal_at_gate": NormalAtGate,
    "cleared": Cleared,
    "set_by_hand": SetByHand,
    "reviewed": Reviewed,
}
"""The word under which each kind of fact is stored."""
WORD_OF: dict[type[Fact], str] = {kind: word for word, kind in FACTS.items()}
"""The word of each kind of fact."""


def fits(reason: HandReason, colour: Colour) -> bool:
    """Whether `reason` can lead to `colour`."""
    return colour in COLOURS_OF_REASON[reason]
