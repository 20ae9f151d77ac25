"""One person's code in front of the camera: from its first sighting until there is a verdict and the code has left the picture. Pure.

The next code of a pack is the same person; a text that names nobody stands for itself. One presentation gets one final verdict, however
long the code stays in view. A suspected fever is remembered for half an hour: whoever comes back with it is measured a second time, not
a first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edge.foreign import Guest
from edge.screening import Screened
from edge.verdict import Crowd, Verdict
from healthcode.terms import Screening
from healthcode.token import HealthCode, TokenFault

GONE_S = 1.0
"""A code out of view for so long was taken away; shown again it is a new presentation."""
UNSEEN_S = 5.0
"""How long a code may be out of view while the temperature is taken: time to lower the phone and lean forward, not to change places."""
SUSPECT_S = 1800.0
"""How long a suspected fever is remembered by person, in seconds."""

SUSPICIOUS = frozenset({Screening.FEVER_SUSPECTED, Screening.FEBRILE, Screening.NOT_CLEARED})

Key = tuple[str, int] | str
Subject = HealthCode | Guest | TokenFault | Crowd


@dataclass(frozen=True)
class Presentation:
    """`text` as first read, what it turned out to be, and how far its measurement is. Times in monotonic seconds.

    `frames` counts those in which the code was located, `glimpses` those of them before it was first read.
    """

    key: Key
    text: str
    subject: Subject
    reader: str
    first_at: float
    last_at: float
    earlier: Screened | None = None
    verdict: Verdict | None = None
    frames: int = 1
    glimpses: int = 0

    @property
    def person(self) -> tuple[str, int] | None:
        """(list, index) of a valid code, what stands for it of a foreign certificate; None for everything else."""
        return self.subject.person if isinstance(self.subject, HealthCode | Guest) else None


def key_of(subject: Subject, text: str) -> Key:
    """What makes two sightings the same presentation: the person, or the text where it names nobody."""
    return subject.person if isinstance(subject, HealthCode | Guest) else text


def begin(subject: Subject, text: str, reader: str, at: float, suspects: Mapping[Key, Screened], pause_s: float) -> Presentation:
    """A new presentation at `at`. Of somebody lately suspected of fever the measurement is the second one, its pause of `pause_s` over."""
    key = key_of(subject, text)
    earlier = suspects.get(key)
    if earlier is not None and at - earlier.at <= SUSPECT_S:
        return Presentation(key, text, subject, reader, at, at, replace(earlier, at=max(earlier.at, at - pause_s)))
    return Presentation(key, text, subject, reader, at, at)


def sighted(shown: Presentation, at: float) -> Presentation:
    """The same code is seen again at `at`, or located where it was."""
    return replace(shown, last_at=max(shown.last_at, at), frames=shown.frames + 1)


@dataclass(frozen=True)
class Approach:
    """A code that has been located and not read yet: since when, when last, in how many frames. Times in monotonic seconds."""

    first_at: float
    last_at: float
    frames: int = 1


def glimpsed(before: Approach | None, at: float) -> Approach:
    """One more frame with a code that was located and not read; after GONE_S without any it is another one."""
    if before is None or at - before.last_at > GONE_S:
        return Approach(at, at)
    return replace(before, last_at=max(before.last_at, at), frames=before.frames + 1)


def glimpses(before: Approach | None, at: float) -> int:
    """How many frames of `before` belong to the code that is read at `at`."""
    return before.frames if before is not None and at - before.last_at <= GONE_S else 0


def is_over(shown: Presentation, at: float) -> bool:
    """Whether there is a verdict and the code has been taken away."""
    return shown.verdict is not None and at - shown.last_at > GONE_S


def is_abandoned(shown: Presentation, at: float) -> bool:
    """Whether the code has been out of view for so long, without a verdict, that somebody else may stand there by now."""
    return shown.verdict is None and at - shown.last_at > UNSEEN_S


def measured(shown: Presentation, found: Screened) -> Presentation:
    """The presentation after a measurement that calls for a second one."""
    return replace(shown, earlier=found)


def remember(suspects: Mapping[Key, Screened], shown: Presentation, found: Screened) -> dict[Key, Screened]:
    """The suspects after a measurement of `shown`: a fever, or one that was not cleared, is kept; a second NORMAL ends it.

    What counts against the next measurement is the highest of them all: a low one that cleared nobody must not become what clears.
    """
    return _note(suspects, shown.key, shown.earlier, found)


def recall(passes: Iterable[tuple[Key, Screened]]) -> dict[Key, Screened]:
    """The suspects after all these measurements, the oldest first, as `remember` would have left them: for a unit that starts again."""
    suspects: dict[Key, Screened] = {}
    for key, found in passes:
        suspects = _note(suspects, key, suspects.get(key), found)
    return suspects


def _note(suspects: Mapping[Key, Screened], who: Key, earlier: Screened | None, found: Screened) -> dict[Key, Screened]:
    kept = {key: one for key, one in suspects.items() if key != who and found.at - one.at <= SUSPECT_S}
    if found.screening not in SUSPICIOUS:
        return kept
    known = [one for one in (found, earlier) if one is not None and one.body_c is not None]
    evidence = max(known, key=lambda one: one.body_c or 0.0, default=None)
    return kept if evidence is None else {**kept, who: replace(evidence, screening=Screening.FEVER_SUSPECTED, at=found.at)}
