"""The rules in force, and what others would change before they are: a policy that is pasted or uploaded is tried on everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from server.actors import Role
from server.policies import PolicyReason, Proposed
from server.policy import DEFAULT, Policy, PolicyError, parse
from server.rulebook import check_newer
from server.trial import Trial, count_people, try_policy
from server.web import desk_jobs
from server.web.desk_pages import show_desk
from server.web.desk_rules import StaffSession, add, may
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.jobs import Job
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
PATH = "/desk/policy"
MOST_BYTES = 256 * 1024
"""A policy with every key and a remark on each has under 10 KB."""
KIND = "policy"
MOST_PROPOSALS = 20


@dataclass(frozen=True)
class Tried:
    """A policy that was tried on everybody, and what would change."""

    policy: Policy
    held: int
    trial: Trial


def add_routes(router: APIRouter) -> None:
    """The rules, and their trial."""
    add(router, "GET", "/desk/policy", policy_page)
    add(router, "POST", "/desk/policy", simulate)
    add(router, "GET", "/desk/policy/jobs/{job}", trial_page)
    add(router, "POST", "/desk/policy/jobs/{job}", propose)


def policy_page(request: Request, services: House, session: StaffSession) -> Response:
    """The rules in force, key by key."""
    return _show(request, services, session, "", [])


def simulate(request: Request, services: House, session: StaffSession, form: Form) -> Response:
    """Begins to try a policy on everybody. Nothing is written."""
    typed = form.text("policy")
    files = [file for file in form.files.get("file", ()) if file.filename]
    try:
        text = files[0].file.read().decode() if files else typed
        policy = parse(text, files[0].filename or "policy" if files else "policy")
        with services.office.store.read() as tx:
            check_newer(tx, policy)
            held = services.office.registry.rulings.policy(tx).version
    except UnicodeDecodeError:
        return _show(request, services, session, typed, [Shown("policy", "policy.not_text")])
    except PolicyError as wrong:
        faults = [Shown("policy", "policy.wrong", {"why": line}) for line in str(wrong).splitlines()]
        return _show(request, services, session, typed, faults)

    def work(job: Job) -> Tried:
        job.enter("ruling", count_people(services.office.store))
        total = Trial()
        for part in try_policy(services.office.store, policy, services.office.now()):
            total.add(part)
            job.tell(total.people)
        return Tried(policy, held, total)

    job = Job(KIND, session.actor.account, services.office.now(), policy.name)
    desk_jobs.begin(services, job, work)
    return RedirectResponse(f"{PATH}/jobs/{job.name}", 303)


def trial_page(request: Request, services: House, visitor: Seen, session: StaffSession, job: str) -> Response:
    """How far a trial is, and what came of it."""
    found = desk_jobs.find(services, job, KIND)
    waiting = desk_jobs.answer(request, visitor.words, session, found, "policy", f"{PATH}/jobs/{job}")
    return waiting if waiting is not None else _show_trial(request, services, visitor.words, session, found, "", "", [])


def propose(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, job: str) -> Response:
    """Proposes rules that were tried."""
    found = desk_jobs.find(services, job, KIND)
    reason, typed, words = form.text("reason"), form.text("from"), visitor.words
    if not isinstance(found.result, Tried):
        return RedirectResponse(f"{PATH}/jobs/{job}", 303)
    faults = [] if reason in tuple(PolicyReason) else [Shown("reason", "policy.reason_missing")]
    not_before = services.office.now()
    try:
        not_before = datetime.strptime(typed, "%Y-%m-%dT%H:%M").replace(tzinfo=words.zone).timestamp() if typed else not_before
    except (ValueError, OverflowError):
        faults.append(Shown("from", "policy.from_wrong"))
    if not faults:
        made = services.office.policies.propose(session.actor, found.result.policy, found.result.trial, PolicyReason(reason), not_before)
        if isinstance(made, Proposed):
            return RedirectResponse(f"{PATH}/proposals/{made.number}", 303)
        faults.append(Shown("", "policy.wrong", {"why": str(made)}) if isinstance(made, PolicyError) else Shown("", made.key, made.params))
    return _show_trial(request, services, words, session, found, reason, typed, faults)


def _show_trial(
    request: Request, services: Services, words: Words, session: StaffSession, found: Job, reason: str, typed: str, faults: list[Shown]
) -> Response:
    tried = found.result
    if not isinstance(tried, Tried):
        raise TypeError("a trial without a result")
    return show_desk(
        request,
        session,
        "desk_trial.html",
        "policy",
        status=422 if faults else 200,
        policy=tried.policy,
        held=tried.held,
        people=tried.trial.people,
        changed=tried.trial.changes.total(),
        changes=sorted(tried.trial.changes.items(), key=lambda item: -item[1]),
        rules=[(_tell_rule(words, rule), _tell_rule(words, then), count) for (rule, then), count in tried.trial.rules.most_common()],
        differs=compare(services, tried.policy),
        at=found.began,
        may_propose=tried.policy.version > tried.held,
        hours=delay_hours(services),
        reasons=[each.value for each in PolicyReason],
        reason=reason,
        faults=faults,
        begins=typed,
    )


def _show(request: Request, services: Services, session: StaffSession, typed: str, faults: list[Shown]) -> Response:
    with services.office.store.read() as tx:
        held = services.office.registry.rulings.policy(tx)
    return show_desk(
        request,
        session,
        "desk_policy.html",
        "policy",
        status=422 if faults else 200,
        policy=held,
        keys=[(key, _plain(value), _plain(dict(_walk(DEFAULT))[key])) for key, value in _walk(held)],
        proposals=services.office.policies.list_newest(MOST_PROPOSALS),
        may_try=may(Role(session.actor.role), "POST", PATH),
        jobs=[job for job in services.jobs.list_jobs(KIND) if job.account == session.actor.account],
        typed=typed or f"version = {held.version + 1}\nname = {json.dumps(held.name, ensure_ascii=False)}\n\n[record]\nlapse_days = 5\n",
        faults=faults,
    )


def delay_hours(services: Services) -> int:
    """How long approved rules wait at least, by those in force."""
    with services.office.store.read() as tx:
        return services.office.registry.rulings.policy(tx).proposals.bulk_delay_hours


def compare(services: Services, policy: Policy) -> list[tuple[str, str, str]]:
    """(key, value in force, value by `policy`) of what differs."""
    with services.office.store.read() as tx:
        held = dict(_walk(services.office.registry.rulings.policy(tx)))
    return [(key, _plain(held[key]), _plain(value)) for key, value in _walk(policy) if held[key] != value]


def _walk(policy: Policy) -> Iterator[tuple[str, object]]:
    """Every key with its section, and its value."""
    for name, value in msgspec.to_builtins(policy).items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", each) for key, each in value.items())
        else:
            yield name, value


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tell_rule(words: Words, rule: str) -> str:
    return words(f"rule_name.{rule}")
