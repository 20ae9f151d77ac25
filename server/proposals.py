"""Colours set by hand, and numbers put right: one officer proposes for a reason from the list, and it counts when an approver agrees.

Nobody approves their own. What nobody decides ends by itself. A proposal about many people has a limit of how many, says before how many
would turn to which colour, and counts only after a delay within which any approver can revoke it. What became known of a person after
the proposal was made counts on: the colour is set as of then. A number (server.number_proposals) waits sealed, one for a person at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection

from healthcode.terms import Colour
from server import audit
from server.actors import BY_RULES, OFFICERS, Actor, Role
from server.audit import Action
from server.corrections import Corrections, NumberReason, Outlook
from server.facts import HandReason, SetByHand, fits
from server.four_eyes import APPROVERS, FourEyes, ProposalFault, ProposalState, Refused
from server.identity import Identity
from server.policy import ProposalRules
from server.registry import Registry
from server.store import Store, people, proposals, to_ms
from server.store.proposals import ProposalRow

TWO_OFFICERS = "officers"
"""Who set the colour, as the person whom it is about is told: two of them, and nobody's name."""
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Turn:
    """So many people of the colour `before` (a colour's word or `pending`) would be `after`."""

    before: str
    after: str
    people: int


@dataclass(frozen=True)
class Preview:
    """What a proposal would do if it counted now, and after how many seconds from its approval it does.

    `number` is there where it is about a number that can be put right, and not for those who see no person.
    """

    people: int
    turns: tuple[Turn, ...]
    delay_s: float
    number: Outlook | None = None

    @property
    def changed(self) -> int:
        """How many people would change colour."""
        return sum(turn.people for turn in self.turns if turn.before != turn.after)


@dataclass(frozen=True)
class Proposal:
    """A proposal as officers see it; times in seconds since 1970, `force` is when an approved one counts.

    Without a colour it is about the number by which somebody is known.
    """

    number: int
    colour: Colour | None
    reason: HandReason | NumberReason
    people: int
    by: Actor
    made: float
    expires: float
    state: ProposalState
    decided_by: Actor | None
    decided: float | None
    force: float | None
    appeal: int | None


class Proposals(FourEyes[ProposalRow, Proposal]):
    """The proposals of one registry. `now` gives seconds since 1970."""

    proposers = refusers = OFFICERS
    actions: ClassVar = {
        ProposalState.APPROVED: Action.PROPOSAL_APPROVED,
        ProposalState.REFUSED: Action.PROPOSAL_REFUSED,
        ProposalState.WITHDRAWN: Action.PROPOSAL_WITHDRAWN,
        ProposalState.REVOKED: Action.PROPOSAL_REVOKED,
    }

    def __init__(self, store: Store, registry: Registry, corrections: Corrections, now: Callable[[], float]) -> None:
        super().__init__(store, proposals, now)
        self._registry = registry
        self._corrections = corrections

    def preview(self, actor: Actor, residents: Sequence[str], colour: Colour, reason: HandReason) -> Preview | Refused:
        """How many of these people would turn to which colour; nothing is written but that somebody asked."""
        with self._store.write() as tx:
            refused = self._find_refusal(tx, actor, residents, colour, reason)
            if refused is not None:
                return refused
            audit.append(tx, actor, Action.RESIDENTS_LISTED, "proposal", {"residents": len(set(residents))}, self._now())
            return self._foresee(tx, list(dict.fromkeys(residents)), colour, reason)

    def propose(
        self, actor: Actor, residents: Sequence[str], colour: Colour, reason: HandReason, appeal: int | None = None
    ) -> Proposal | Refused:
        """A new proposal about one or many."""
        with self._store.write() as tx:
            return self.propose_in(tx, actor, residents, colour, reason, appeal)

    def propose_in(
        self, tx: Connection, actor: Actor, residents: Sequence[str], colour: Colour, reason: HandReason, appeal: int | None = None
    ) -> Proposal | Refused:
        """As `propose`, inside the caller's transaction."""
        refused = self._find_refusal(tx, actor, residents, colour, reason)
        if refused is not None:
            return refused
        detail: audit.Detail = {"colour": colour.value, "reason": reason.value, "residents": len(set(residents))}
        return self.make_in(tx, actor, list(dict.fromkeys(residents)), (colour.value, reason.value), detail, appeal=appeal)

    def make_in(
        self,
        tx: Connection,
        actor: Actor,
        everybody: Sequence[str],
        what: tuple[str, str],
        detail: audit.Detail,
        *,
        appeal: int | None = None,
        sealed: bytes | None = None,
    ) -> Proposal | Refused:
        """A new proposal of `what`, (colour, reason), inside the caller's transaction; refused where the account made enough today."""
        rules = self._rules(tx)
        at = self._registry.moment_after(tx, everybody)
        alone, many = proposals.count_since(tx, actor.account, to_ms(at) - _DAY_MS)
        most = rules.a_day if len(everybody) == 1 else rules.bulk_a_day
        if (alone if len(everybody) == 1 else many) >= most:
            return Refused(ProposalFault.TOO_MANY_TODAY, {"most": most})
        expires_ms = to_ms(at + rules.expire_hours * 3600)
        number = proposals.insert_proposal(
            tx, *what, everybody, actor.account, actor.role.value, to_ms(at), expires_ms, appeal=appeal, sealed=sealed
        )
        action = Action.PROPOSAL_MADE if sealed is None else Action.NUMBER_PROPOSED
        audit.append(tx, actor, action, audit.about("proposal", number), detail, at)
        for resident in everybody:
            audit.append(tx, actor, action, audit.about("resident", resident), {"proposal": number}, at)
        return self._found(tx, number)

    def list_newest(
        self, actor: Actor, limit: int = 100, *, state: ProposalState | None = None, before: int | None = None
    ) -> list[Proposal] | Refused:
        """The newest proposals, of one state or of all."""
        if actor.role not in OFFICERS | {Role.AUDITOR}:
            return Refused(ProposalFault.NOT_ALLOWED)
        with self._store.read() as tx:
            return [_proposal(row) for row in proposals.list_newest(tx, limit, None if state is None else state.value, before)]

    def look(self, actor: Actor, number: int, *, shows: bool = False) -> tuple[Proposal, list[str], Preview] | Refused:
        """A proposal, whom it is about, and what it would do now; `shows`: numbers of people in clear, which the log says."""
        if actor.role not in OFFICERS | {Role.AUDITOR}:
            return Refused(ProposalFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = proposals.find(tx, number)
            if row is None:
                return Refused(ProposalFault.NO_SUCH_PROPOSAL)
            everybody = proposals.residents_of(tx, number)
            detail: audit.Detail = {"proposal": number, **({"name": "shown"} if shows else {})}
            for resident in everybody:
                audit.append(tx, actor, Action.RESIDENT_VIEWED, audit.about("resident", resident), detail, self._now())
            if row.colour:
                return _proposal(row), everybody, self._foresee(tx, everybody, Colour(row.colour), HandReason(row.reason))
            identity = None if row.sealed is None else self._corrections.open(everybody[0], row.sealed)
            if identity is None or actor.role not in OFFICERS or self._corrections.is_taken(tx, everybody[0], identity):
                return _proposal(row), everybody, Preview(row.people, (), 0.0)
            return _proposal(row), everybody, foresee_number(self._corrections, tx, everybody[0], identity, shows=shows)

    def approve(self, actor: Actor, number: int) -> Proposal | Refused:
        """The second officer agrees: a proposal about one counts at once, one about many after the delay."""
        if actor.role not in APPROVERS:
            return Refused(ProposalFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = self._open(tx, actor, number, of_own=False)
            if isinstance(row, Refused):
                return row
            if row.sealed is not None:
                (resident,) = proposals.residents_of(tx, number)
                if self._corrections.is_taken(tx, resident, self._corrections.open(resident, row.sealed)):
                    return Refused(ProposalFault.NUMBER_KNOWN)
            at = self._now()
            delay_s = self._delay_s(self._rules(tx), row.people)
            self._decide(tx, actor, row, ProposalState.APPROVED, at, to_ms(at + delay_s), {"delay_s": int(delay_s)})
            if not delay_s:
                self._put_in_force(tx, row, actor, at)
            return self._found(tx, number)

    def step(self) -> bool:
        """Ends what nobody decided in time and puts one approved proposal in force whose delay is over; whether there was anything."""
        with self._store.read() as tx:
            if not proposals.has_work(tx, to_ms(self._now())):
                return False
        with self._store.write() as tx:
            at = self._now()
            for number in proposals.expire(tx, to_ms(at)):
                audit.append(tx, BY_RULES, Action.PROPOSAL_EXPIRED, audit.about("proposal", number), {}, at)
            row = proposals.find_due(tx, to_ms(at))
            if row is not None:
                self._put_in_force(tx, row, Actor(row.decided_account, Role(row.decided_role)), at)
        return True

    def _put_in_force(self, tx: Connection, row: ProposalRow, approver: Actor, at: float) -> None:
        """Sets the colours as of when they were proposed, so that what became known since then counts on; or the number, as of now."""
        made = row.made_ms / 1000
        everybody = proposals.residents_of(tx, row.proposal)
        proposals.put_in_force(tx, row.proposal)
        audit.append(tx, approver, Action.PROPOSAL_IN_FORCE, audit.about("proposal", row.proposal), {"residents": row.people}, at)
        if row.sealed is not None:
            identity = self._corrections.open(everybody[0], row.sealed)
            detail: audit.Detail = {"proposal": row.proposal, "reason": row.reason}
            self._corrections.put_right(tx, everybody[0], identity, detail, at, approver)
            return
        fact = SetByHand(made, Colour(row.colour), HandReason(row.reason), TWO_OFFICERS)
        self._registry.record_many(tx, [(resident, fact) for resident in everybody], max(at, made), approver)

    def _find_refusal(self, tx: Connection, actor: Actor, residents: Sequence[str], colour: Colour, reason: HandReason) -> Refused | None:
        if actor.role not in OFFICERS:
            return Refused(ProposalFault.NOT_ALLOWED)
        if not fits(reason, colour):
            return Refused(ProposalFault.REASON_DOES_NOT_FIT, {"reason": reason.value, "colour": colour.value})
        everybody = set(residents)
        if not everybody:
            return Refused(ProposalFault.NOBODY)
        most = self._rules(tx).bulk_most
        if len(everybody) > most:
            return Refused(ProposalFault.TOO_MANY, {"most": most})
        unknown = sorted(resident for resident in everybody if people.find_sealed(tx, resident) is None)
        return Refused(ProposalFault.NO_SUCH_RESIDENT, {"resident": unknown[0][:40]}) if unknown else None

    def _foresee(self, tx: Connection, residents: Sequence[str], colour: Colour, reason: HandReason) -> Preview:
        at = self._registry.moment_after(tx, residents)
        fact = SetByHand(at, colour, reason, TWO_OFFICERS)
        turns = Counter((now.word, then.word) for now, then in self._registry.rulings.suppose(tx, residents, [fact], at))
        told = tuple(Turn(before, after, count) for (before, after), count in sorted(turns.items()))
        return Preview(len(residents), told, self._delay_s(self._rules(tx), len(residents)))

    def _show(self, row: ProposalRow) -> Proposal:
        return _proposal(row)

    def _subject(self, row: ProposalRow) -> tuple[str, audit.Detail]:
        return audit.about("proposal", row.proposal), {}

    def _rules(self, tx: Connection) -> ProposalRules:
        return self._registry.rulings.policy(tx).proposals

    @staticmethod
    def _delay_s(rules: ProposalRules, count: int) -> float:
        return rules.bulk_delay_hours * 3600.0 if count > 1 else 0.0


def foresee_number(corrections: Corrections, tx: Connection, resident: str, identity: Identity, *, shows: bool) -> Preview:
    """What a number would do to a person, told as what a colour would do is."""
    outlook = corrections.foresee(tx, resident, identity, shows=shows)
    return Preview(1, (Turn(outlook.before.word, outlook.after.word, 1),), 0.0, outlook)


def _proposal(row: ProposalRow) -> Proposal:
    return Proposal(
        row.proposal,
        Colour(row.colour) if row.colour else None,
        HandReason(row.reason) if row.colour else NumberReason(row.reason),
        row.people,
        Actor(row.account, Role(row.role)),
        row.made_ms / 1000,
        row.expires_ms / 1000,
        ProposalState(row.state),
        Actor(row.decided_account, Role(row.decided_role)) if row.decided_account else None,
        None if row.decided_ms is None else row.decided_ms / 1000,
        None if row.force_ms is None else row.force_ms / 1000,
        row.appeal,
    )
