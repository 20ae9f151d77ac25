"""What one person proposes counts when a second one, an approver, agrees: who may do what with it, and when it is too late for that.

    open -> approved -> in force        and an approver may revoke it while it does not count yet
         -> refused, by somebody else; withdrawn, by who proposed it; expired, when nobody decided in time

What is proposed, who may, what it takes until it counts and what happens then is for those who inherit this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from server import audit
from server.actors import Actor, Role, Who
from server.audit import Action
from server.store import Store, to_ms

APPROVERS = frozenset({Role.APPROVER})


class ProposalState(StrEnum):
    """What became of a proposal. Stable words: stored."""

    OPEN = "open"
    APPROVED = "approved"
    IN_FORCE = "in_force"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    EXPIRED = "expired"


class ProposalFault(StrEnum):
    """Why something about a proposal was not done. Sentences: proposal.{word}."""

    NOT_ALLOWED = "not_allowed"
    NOBODY = "nobody"
    NO_SUCH_RESIDENT = "no_such_resident"
    REASON_DOES_NOT_FIT = "reason_does_not_fit"
    TOO_MANY = "too_many"
    TOO_MANY_TODAY = "too_many_today"
    NO_SUCH_PROPOSAL = "no_such_proposal"
    DECIDED = "decided"
    OWN = "own"
    NOT_OWN = "not_own"
    NUMBER_KNOWN = "number_known"
    NUMBER_SAME = "number_same"
    NUMBER_WAITS = "number_waits"


@dataclass(frozen=True)
class Refused:
    """What was not done, as a sentence: the key is proposal.{fault}."""

    fault: ProposalFault
    params: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the sentence that says so."""
        return f"proposal.{self.fault.value}"


class Proposed(Protocol):
    """A row of a table of proposals, as far as it is the same for all of them; times in milliseconds since 1970."""

    @property
    def proposal(self) -> int:
        """Its number."""

    @property
    def account(self) -> str:
        """Who proposed it."""

    @property
    def state(self) -> str:
        """What became of it."""

    @property
    def expires_ms(self) -> int:
        """Until when somebody has to decide."""


Row = TypeVar("Row", bound=Proposed)
Row_co = TypeVar("Row_co", bound=Proposed, covariant=True)
Shown = TypeVar("Shown")


class Table(Protocol[Row_co]):
    """The queries of one table of proposals; all inside the caller's transaction."""

    def find(self, tx: Connection, proposal: int, /) -> Row_co | None:
        """The proposal of this number."""

    def decide(self, tx: Connection, proposal: int, state: str, account: str, role: str, at_ms: int, force_ms: int | None, /) -> None:
        """Notes what became of a proposal, by whom; `force_ms` is when an approved one counts."""


class FourEyes(ABC, Generic[Row, Shown]):
    """Proposals of one kind. `now` gives seconds since 1970."""

    proposers: ClassVar[frozenset[Role]]
    """Who proposes, and withdraws."""
    refusers: ClassVar[frozenset[Role]]
    """Who refuses what others proposed."""
    actions: ClassVar[Mapping[ProposalState, Action]]
    """What the log says of each decision."""

    def __init__(self, store: Store, table: Table[Row], now: Callable[[], float]) -> None:
        self._store = store
        self._table = table
        self._now = now

    @abstractmethod
    def _show(self, row: Row) -> Shown:
        """The proposal as people see it."""

    @abstractmethod
    def _subject(self, row: Row) -> tuple[str, audit.Detail]:
        """What a line of the log about the proposal is about, and what it always says."""

    def refuse(self, actor: Actor, number: int) -> Shown | Refused:
        """Another one than who proposed it says no."""
        return self._end(actor, number, self.refusers, ProposalState.REFUSED, of_own=False)

    def withdraw(self, actor: Actor, number: int) -> Shown | Refused:
        """Who proposed it takes it back."""
        return self._end(actor, number, self.proposers, ProposalState.WITHDRAWN, of_own=True)

    def revoke(self, actor: Actor, number: int) -> Shown | Refused:
        """Any approver takes an approval back while it does not count yet."""
        if actor.role not in APPROVERS:
            return Refused(ProposalFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = self._table.find(tx, number)
            if row is None:
                return Refused(ProposalFault.NO_SUCH_PROPOSAL)
            if row.state != ProposalState.APPROVED:
                return Refused(ProposalFault.DECIDED, {"state": row.state})
            self._decide(tx, actor, row, ProposalState.REVOKED, self._now())
            return self._found(tx, number)

    def _end(self, actor: Actor, number: int, roles: frozenset[Role], state: ProposalState, *, of_own: bool) -> Shown | Refused:
        if actor.role not in roles:
            return Refused(ProposalFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = self._open(tx, actor, number, of_own=of_own)
            if isinstance(row, Refused):
                return row
            self._decide(tx, actor, row, state, self._now())
            return self._found(tx, number)

    def _open(self, tx: Connection, actor: Actor, number: int, *, of_own: bool) -> Row | Refused:
        """The proposal, which nobody has decided and for which it is not too late, of the actor's own or of another one's."""
        row = self._table.find(tx, number)
        if row is None:
            return Refused(ProposalFault.NO_SUCH_PROPOSAL)
        if row.state != ProposalState.OPEN:
            return Refused(ProposalFault.DECIDED, {"state": row.state})
        if row.expires_ms <= to_ms(self._now()):
            return Refused(ProposalFault.DECIDED, {"state": ProposalState.EXPIRED.value})
        if (row.account == actor.account) != of_own:
            return Refused(ProposalFault.NOT_OWN if of_own else ProposalFault.OWN)
        return row

    def _decide(
        self,
        tx: Connection,
        actor: Actor,
        row: Row,
        state: ProposalState,
        at: float,
        force_ms: int | None = None,
        more: audit.Detail | None = None,
    ) -> None:
        """Somebody has decided: in the table, and in the log with `more`."""
        self._table.decide(tx, row.proposal, state.value, actor.account, actor.role.value, to_ms(at), force_ms)
        self._note(tx, actor, self.actions[state], row, at, more)

    def _found(self, tx: Connection, number: int) -> Shown:
        row = self._table.find(tx, number)
        if row is None:
            raise LookupError(f"proposal {number} is gone within one transaction")
        return self._show(row)

    def _note(self, tx: Connection, who: Who, action: Action, row: Row, at: float, more: audit.Detail | None = None) -> None:
        subject, detail = self._subject(row)
        audit.append(tx, who, action, subject, {**detail, **(more or {})}, at)
