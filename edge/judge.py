"""What the gate makes of a code that was read, by what the unit holds at that moment: keys, lists, time, and who passed lately."""

from __future__ import annotations

from edge import passage
from edge.config import Config
from edge.foreign import Guest, recognise
from edge.parts import Keeps
from edge.presentation import Presentation
from edge.verdict import Crowd, Health, Judged, Lane, Standing, Verdict, decide, standing
from healthcode import dcc, token
from healthcode.dcc_policy import judge
from healthcode.terms import Screening
from healthcode.token import HealthCode, TokenFault
from healthcode.trust import KeyRing

FUTURE_S = 60.0
"""A passage that was remembered this far ahead of now was dated by a clock that was wrong; it says nothing."""


class Judge:
    """Puts together what `edge.verdict.decide` asks for. Times in monotonic seconds."""

    def __init__(self, config: Config, keeps: Keeps) -> None:
        """Asks `keeps` anew each time and changes nothing."""
        self._config = config
        self._keeps = keeps

    def read(self, text: str, at: float) -> HealthCode | Guest | TokenFault:
        """What a text turns out to be by the keys held, at the time `at`."""
        now = self._keeps.clock.now(at)
        keys = self._keeps.knowledge.keys(now) or KeyRing(0, ())
        if not text.startswith(dcc.PREFIX):
            return token.read(text, keys, now)
        found = dcc.read(text, keys, now)
        return found if isinstance(found, TokenFault) else recognise(found, self._keeps.certificate_key)

    def decide(self, shown: Presentation, screening: Screening, state: passage.State, at: float, *, outbox_ok: bool) -> Verdict:
        """The verdict on whoever is `shown` at `at`. The code is read anew: by the keys of now, at the time when it was last in view."""
        clock = self._keeps.clock
        now = clock.now(at)
        keys = self._keeps.knowledge.keys(now)
        subject = shown.subject
        if isinstance(subject, HealthCode | Guest):
            subject = self.read(shown.text, shown.last_at)
        seen: Standing | Judged | TokenFault | Crowd
        match subject:
            case HealthCode():
                seen = standing(subject, self._keeps.knowledge.lists)
            case Guest(certificate=certificate):
                seen = Judged(judge(certificate, keys.certificates if keys is not None else None, now))
            case _:
                seen = subject
        used_at = self._keeps.outbox.recent.get(shown.person) if shown.person is not None else None
        if used_at is not None and used_at > now + FUTURE_S:
            used_at = None
        return decide(
            seen,
            screening,
            Lane(state.mode, passage.busy(state), state.fire),
            None if used_at is None else max(0.0, now - used_at),
            Health(clock.state(), trust_held=keys is not None, outbox_ok=outbox_ok),
            at=now,
            statements=self._config.statements,
            replay_s=self._config.lane.replay_s,
        )
