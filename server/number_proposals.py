"""A number that is to be put right: an officer who has seen the paper proposes it, and the proposal waits among the others.

A number that is somebody's already is no correction: there are two records, of one person or of two, and nothing is merged here. The
officer is told that and no more; whose it is the search for people says, to whom it is allowed. Either way the log says that it was sought.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from server import audit
from server.actors import OFFICERS, Actor
from server.audit import Action
from server.corrections import Corrections, NumberReason
from server.enrolment import read_paper
from server.faults import Faults
from server.four_eyes import ProposalFault, Refused
from server.identity import Identity
from server.proposals import Preview, Proposal, Proposals, foresee_number
from server.store import Store, people, proposals, to_ms


class NumberProposals:
    """Proposes numbers; what is done with a proposal: server.proposals. `now` gives seconds since 1970."""

    def __init__(self, store: Store, corrections: Corrections, made: Proposals, now: Callable[[], float]) -> None:
        self._store = store
        self._corrections = corrections
        self._proposals = made
        self._now = now

    def preview(self, actor: Actor, resident: str, typed: Mapping[str, str]) -> Preview | Faults | Refused:
        """What the number of the paper that was typed would do to a person; nothing is written but that somebody asked."""
        with self._store.write() as tx:
            identity = self._read(tx, actor, resident, typed)
            return foresee_number(self._corrections, tx, resident, identity, shows=True) if isinstance(identity, Identity) else identity

    def propose(self, actor: Actor, resident: str, typed: Mapping[str, str], reason: NumberReason) -> Proposal | Faults | Refused:
        """Proposes that a person be known by the number of the paper that was typed and that the officer has seen."""
        with self._store.write() as tx:
            identity = self._read(tx, actor, resident, typed)
            if not isinstance(identity, Identity):
                return identity
            sealed = self._corrections.close(resident, identity)
            detail: audit.Detail = {"kind": "number", "reason": reason.value}
            return self._proposals.make_in(tx, actor, [resident], ("", reason.value), detail, sealed=sealed)

    def _read(self, tx: Connection, actor: Actor, resident: str, typed: Mapping[str, str]) -> Identity | Faults | Refused:
        if actor.role not in OFFICERS:
            return Refused(ProposalFault.NOT_ALLOWED)
        at = self._now()
        if people.find_sealed(tx, resident) is None:
            return Refused(ProposalFault.NO_SUCH_RESIDENT, {"resident": resident[:40]})
        waits = proposals.find_open_number(tx, resident, to_ms(at))
        if waits is not None:
            return Refused(ProposalFault.NUMBER_WAITS, {"n": waits})
        identity = read_paper(typed, at)
        if isinstance(identity, Faults):
            return identity
        if self._corrections.is_as_now(tx, resident, identity):
            return Refused(ProposalFault.NUMBER_SAME)
        found = self._corrections.holder(tx, identity)
        subject = audit.about("resident", found) if found else audit.about("residents", "sought")
        audit.append(tx, actor, Action.RESIDENTS_LISTED, subject, {"found": int(found is not None)}, at)
        return identity if found in (None, resident) else Refused(ProposalFault.NUMBER_KNOWN)
