"""Other rules, by two people: who tried them on everybody proposes them, an approver with another account agrees, and they count after
the delay of a crowd's colours, or later where that was asked; until then any approver can take the approval back.

The rules are tried before they are proposed, and what the trial said stays with the proposal. What comes in force is the newest version
by then: a proposal whose version is not higher any more is overtaken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import msgspec
from sqlalchemy import Connection

from server import audit
from server.actors import BY_RULES, Actor, Role
from server.audit import Action
from server.four_eyes import APPROVERS, FourEyes, ProposalFault, ProposalState, Refused
from server.policy import Policy, PolicyError
from server.registry import Registry
from server.rulebook import adopt, check_newer
from server.store import Store, policies, to_ms
from server.store.policies import PolicyProposalRow
from server.trial import Trial

MOST_AHEAD_S = 90 * 86_400.0
"""How far ahead rules may be set."""


class PolicyReason(StrEnum):
    """Why other rules are proposed. Stable words: stored; sentences policy.reason.{word}."""

    ORDER = "order"
    FINDINGS = "findings"
    COURSE = "course"
    MISTAKE = "mistake"


class PolicyState(StrEnum):
    """What became of proposed rules. Stable words: stored; sentences approvals.state.{word}."""

    OPEN = "open"
    APPROVED = "approved"
    IN_FORCE = "in_force"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    EXPIRED = "expired"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True)
class Proposed:
    """Proposed rules; times in seconds since 1970. `changes`: (colour before, colour after, people) as tried, of `people` in all."""

    number: int
    policy: Policy
    reason: PolicyReason
    people: int
    changes: tuple[tuple[str, str, int], ...]
    by: Actor
    made: float
    expires: float
    not_before: float
    state: PolicyState
    decided_by: Actor | None
    decided: float | None
    force: float | None

    @property
    def changed(self) -> int:
        """How many people would have changed colour when the rules were tried."""
        return sum(people for _, _, people in self.changes)


class _Tried(msgspec.Struct, frozen=True):
    people: int
    changes: list[tuple[str, str, int]]


class Policies(FourEyes[PolicyProposalRow, Proposed]):
    """The proposed rules of one registry. `now` gives seconds since 1970."""

    proposers = frozenset({Role.OPERATOR, Role.APPROVER})
    refusers = APPROVERS
    actions: ClassVar = {
        ProposalState.APPROVED: Action.POLICY_APPROVED,
        ProposalState.REFUSED: Action.POLICY_REFUSED,
        ProposalState.WITHDRAWN: Action.POLICY_WITHDRAWN,
        ProposalState.REVOKED: Action.POLICY_REVOKED,
    }

    def __init__(self, store: Store, registry: Registry, now: Callable[[], float]) -> None:
        super().__init__(store, policies, now)
        self._registry = registry

    def propose(
        self, actor: Actor, policy: Policy, trial: Trial, reason: PolicyReason, not_before: float
    ) -> Proposed | Refused | PolicyError:
        """Proposes rules that were tried, to count from `not_before` at the earliest."""
        if actor.role not in self.proposers:
            return Refused(ProposalFault.NOT_ALLOWED)
        with self._store.write() as tx:
            try:
                check_newer(tx, policy)
            except PolicyError as wrong:
                return wrong
            held = self._registry.rulings.policy(tx)
            if held.version == policy.version:
                return PolicyError(f"policy {policy.version} is in force already")
            at = self._now()
            tried = _Tried(trial.people, [(before, after, people) for (before, after), people in sorted(trial.changes.items())])
            number = policies.insert(
                tx,
                version=policy.version,
                name=policy.name,
                body=msgspec.json.encode(policy).decode(),
                reason=reason.value,
                tried=msgspec.json.encode(tried).decode(),
                account=actor.account,
                role=actor.role.value,
                made_ms=to_ms(at),
                expires_ms=to_ms(at + held.proposals.expire_hours * 3600),
                not_before_ms=to_ms(min(max(at, not_before), at + MOST_AHEAD_S)),
            )
            detail: audit.Detail = {"proposal": number, "reason": reason.value, "changed": trial.changes.total()}
            audit.append(tx, actor, Action.POLICY_PROPOSED, audit.about("policy", policy.version), detail, at)
            return self._found(tx, number)

    def list_newest(self, most: int) -> list[Proposed]:
        """The newest proposals: rules are nobody's secret."""
        with self._store.read() as tx:
            return [_proposed(row) for row in policies.list_newest(tx, most)]

    def find(self, number: int) -> Proposed | None:
        """The proposal of this number."""
        with self._store.read() as tx:
            row = policies.find(tx, number)
            return None if row is None else _proposed(row)

    def approve(self, actor: Actor, number: int) -> Proposed | Refused:
        """A second person, an approver, agrees: the rules count after the delay, or from when they were asked for."""
        if actor.role not in APPROVERS:
            return Refused(ProposalFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = self._open(tx, actor, number, of_own=False)
            if isinstance(row, Refused):
                return row
            at = self._now()
            delay_s = self._registry.rulings.policy(tx).proposals.bulk_delay_hours * 3600
            force_ms = max(to_ms(at + delay_s), row.not_before_ms)
            self._decide(tx, actor, row, ProposalState.APPROVED, at, force_ms, {"force_ms": force_ms})
            return self._found(tx, number)

    def step(self) -> bool:
        """Ends what nobody decided in time, and puts approved rules in force whose time has come; whether there was anything."""
        at = self._now()
        with self._store.read() as tx:
            if not policies.list_due(tx, to_ms(at)):
                return False
        with self._store.write() as tx:
            for row in policies.list_due(tx, to_ms(at)):
                if row.state == PolicyState.OPEN.value:
                    policies.set_state(tx, row.proposal, PolicyState.EXPIRED.value)
                    self._note(tx, BY_RULES, Action.POLICY_EXPIRED, row, at)
                else:
                    self._put_in_force(tx, row, at)
        return True

    def _put_in_force(self, tx: Connection, row: PolicyProposalRow, at: float) -> None:
        approver = Actor(row.decided_account, Role(row.decided_role))
        if self._registry.rulings.policy(tx).version >= row.version:
            policies.set_state(tx, row.proposal, PolicyState.OVERTAKEN.value)
            self._note(tx, BY_RULES, Action.POLICY_OVERTAKEN, row, at)
            return
        policies.set_state(tx, row.proposal, PolicyState.IN_FORCE.value)
        adopt(tx, msgspec.json.decode(row.body, type=Policy), at, approver)

    def _show(self, row: PolicyProposalRow) -> Proposed:
        return _proposed(row)

    def _subject(self, row: PolicyProposalRow) -> tuple[str, audit.Detail]:
        return audit.about("policy", row.version), {"proposal": row.proposal}


def _proposed(row: PolicyProposalRow) -> Proposed:
    tried = msgspec.json.decode(row.tried, type=_Tried)
    return Proposed(
        row.proposal,
        msgspec.json.decode(row.body, type=Policy),
        PolicyReason(row.reason),
        tried.people,
        tuple(tried.changes),
        Actor(row.account, Role(row.role)),
        row.made_ms / 1000,
        row.expires_ms / 1000,
        row.not_before_ms / 1000,
        PolicyState(row.state),
        Actor(row.decided_account, Role(row.decided_role)) if row.decided_account else None,
        None if row.decided_ms is None else row.decided_ms / 1000,
        None if row.force_ms is None else row.force_ms / 1000,
    )
