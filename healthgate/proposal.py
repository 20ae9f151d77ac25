"""`healthgate proposal`: colours set by hand and numbers put right: proposed by one officer, in force when a second one approves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from healthcode.terms import Colour
from healthgate.officers import By, PasswordFile, signed_in
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from healthgate.times import rfc3339
from server.actors import Actor
from server.corrections import NumberReason
from server.explanations import explain
from server.facts import HandReason
from server.faults import Faults
from server.four_eyes import ProposalFault, ProposalState, Refused
from server.office import Office
from server.proposals import Preview, Proposal
from server.sentences import Language, say

T = TypeVar("T")
app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Colours set by hand and numbers put right: proposed by one officer, in force when a second one, an approver, agrees.",
)
Number = Annotated[int, typer.Argument(min=1, help="The proposal's number.", show_default=False)]


@app.command("make")
@in_one_line
def make(
    residents: Annotated[Path, typer.Argument(help="A file with residents' ids, one a line.", show_default=False)],
    colour: Annotated[Colour, typer.Argument(help="The colour.", show_default=False)],
    reason: Annotated[HandReason, typer.Option(help="Why: grounds of health and nothing else.", show_default=False)],
    by: By,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many people would change to which colour.")] = False,
    password_file: PasswordFile = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Propose one colour for many people at once. It has a limit of how many, and counts some time after its approval."""
    try:
        ids = residents.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as wrong:
        typer.echo(f"healthgate proposal: {residents}: cannot be read: {wrong}", err=True)
        raise typer.Exit(2) from None
    with opened(config) as office:
        propose(office, signed_in(office, by, password_file), ids, colour, reason, as_json=as_json, dry_run=dry_run)


@app.command("list")
@in_one_line
def list_proposals(
    by: By,
    state: Annotated[ProposalState | None, typer.Option(help="Only these.", show_default=False)] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    password_file: PasswordFile = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show proposals, the newest first."""
    with opened(config) as office:
        found = done(office.proposals.list_newest(signed_in(office, by, password_file), most, state=state))
    if as_json:
        for proposal in found:
            typer.echo(json.dumps(_as_dict(proposal)))
        return
    table = Table("number", "what", "reason", "people", "by", "made", "state", "in force", box=None)
    for proposal in found:
        force = "" if proposal.force is None else rfc3339(proposal.force)
        row = (
            proposal.colour.value if proposal.colour else "number",
            proposal.reason.value,
            str(proposal.people),
            proposal.by.account,
            rfc3339(proposal.made),
        )
        table.add_row(str(proposal.number), *row, proposal.state.value, force)
    Console(highlight=False).print(table)


@app.command("show")
@in_one_line
def show(number: Number, by: By, password_file: PasswordFile = None, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show a proposal, whom it is about, and how many people would change to which colour now."""
    with opened(config) as office:
        proposal, residents, preview = done(office.proposals.look(signed_in(office, by, password_file), number))
    if as_json:
        typer.echo(json.dumps({**_as_dict(proposal), "residents": residents, **foreseen(preview)}))
        return
    _tell(proposal)
    typer.echo(f"about: {' '.join(residents)}")
    if preview.turns:
        tell_preview(preview)


@app.command("approve")
@in_one_line
def approve(
    number: Number, by: By, password_file: PasswordFile = None, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Agree as the second officer. About one person it counts at once: every gate knows within about a second."""
    _decide(lambda office, actor: office.proposals.approve(actor, number), by, password_file, config, as_json)


@app.command("refuse")
@in_one_line
def refuse(
    number: Number, by: By, password_file: PasswordFile = None, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Say no to another officer's proposal."""
    _decide(lambda office, actor: office.proposals.refuse(actor, number), by, password_file, config, as_json)


@app.command("withdraw")
@in_one_line
def withdraw(
    number: Number, by: By, password_file: PasswordFile = None, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Take a proposal of one's own back before anybody has decided it."""
    _decide(lambda office, actor: office.proposals.withdraw(actor, number), by, password_file, config, as_json)


@app.command("revoke")
@in_one_line
def revoke(
    number: Number, by: By, password_file: PasswordFile = None, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Take an approval back while it does not count yet."""
    _decide(lambda office, actor: office.proposals.revoke(actor, number), by, password_file, config, as_json)


def propose(
    office: Office, actor: Actor, residents: list[str], colour: Colour, reason: HandReason, *, as_json: bool, dry_run: bool = False
) -> None:
    """Says what a proposal would do, makes it unless it is only tried, and says what waits now."""
    preview = done(office.proposals.preview(actor, residents, colour, reason))
    if not as_json:
        tell_preview(preview)
    if dry_run:
        if as_json:
            typer.echo(json.dumps(foreseen(preview)))
        return
    proposal = done(office.proposals.propose(actor, residents, colour, reason))
    if as_json:
        typer.echo(json.dumps({**_as_dict(proposal), **foreseen(preview)}))
    else:
        _tell(proposal)


def propose_number(
    office: Office, actor: Actor, resident: str, typed: Mapping[str, str], reason: NumberReason, *, as_json: bool, dry_run: bool
) -> None:
    """The same for the number by which one is known, as it was typed from their paper."""
    preview = done(office.number_proposals.preview(actor, resident, typed))
    if not as_json:
        tell_preview(preview)
    if dry_run:
        if as_json:
            typer.echo(json.dumps(foreseen(preview)))
        return
    proposal = done(office.number_proposals.propose(actor, resident, typed, reason))
    if as_json:
        typer.echo(json.dumps({**_as_dict(proposal), **foreseen(preview)}))
    else:
        _tell(proposal)


def done(outcome: T | Faults | Refused) -> T:
    """What was done. Exits with status 1 and one line where it was refused, or a line for each thing that is wrong with what was typed."""
    if isinstance(outcome, Faults):
        for field, fault in outcome.by_field.items():
            typer.echo(f"healthgate: {field}: {say(Language.ENGLISH, fault.key, fault.params)}", err=True)
        raise typer.Exit(1)
    if isinstance(outcome, Refused):
        typer.echo(f"healthgate proposal: {say(Language.ENGLISH, outcome.key, outcome.params)}", err=True)
        if outcome.fault is ProposalFault.NUMBER_KNOWN:
            typer.echo(say(Language.ENGLISH, "number.known_what", {}), err=True)
        raise typer.Exit(1)
    return outcome


def tell_preview(preview: Preview) -> None:
    """How many people would change to which colour, in lines; and what else a number would do."""
    typer.echo(f"{preview.changed} of {preview.people} people would change colour")
    for turn in preview.turns:
        what = f"{turn.after} as now" if turn.before == turn.after else f"{turn.before} to {turn.after}"
        typer.echo(f"  {what}: {turn.people}")
    told = preview.number
    if told is not None:
        typer.echo(f"  {told.old.number if told.old else 'no number'} to {told.new.number} ({told.new.paper.value})")
        for sentence in told.sentences():
            typer.echo(f"  {explain(sentence)}")


def foreseen(preview: Preview) -> dict[str, object]:
    """The same for programs."""
    turns = [{"from": turn.before, "to": turn.after, "people": turn.people} for turn in preview.turns]
    found = {"would_change": preview.changed, "turns": turns, "delay_s": preview.delay_s}
    if preview.number is None:
        return found
    told = preview.number
    return {**found, "reports_found": told.found, "reports_lost": told.lost, "claims_end": told.claims, "years": told.years}


def _decide(act: Callable[[Office, Actor], Proposal | Refused], by: str, password_file: Path | None, config: Path, as_json: bool) -> None:
    with opened(config) as office:
        proposal = done(act(office, signed_in(office, by, password_file)))
    if as_json:
        typer.echo(json.dumps(_as_dict(proposal)))
    else:
        _tell(proposal)


def _tell(proposal: Proposal) -> None:
    said = proposal.colour.value if proposal.colour else "number put right"
    what = f"proposal {proposal.number}: {said} for {proposal.people}, reason {proposal.reason.value}"
    match proposal.state:
        case ProposalState.OPEN:
            command = f"healthgate proposal approve {proposal.number} --by NAME"
            more = f"waits for a second officer until {rfc3339(proposal.expires)}: {command}"
        case ProposalState.APPROVED:
            command = f"healthgate proposal revoke {proposal.number} --by NAME"
            more = f"approved, in force from {rfc3339(proposal.force or 0.0)}; until then: {command}"
        case state:
            more = state.value.replace("_", " ")
    typer.echo(f"{what}: {more}")


def _as_dict(proposal: Proposal) -> dict[str, object]:
    decided = proposal.decided_by
    return {
        "number": proposal.number,
        "what": "colour" if proposal.colour else "number",
        "colour": proposal.colour.value if proposal.colour else None,
        "reason": proposal.reason.value,
        "people": proposal.people,
        "by": proposal.by.account,
        "made": rfc3339(proposal.made),
        "expires": rfc3339(proposal.expires),
        "state": proposal.state.value,
        "decided_by": None if decided is None else decided.account,
        "decided": None if proposal.decided is None else rfc3339(proposal.decided),
        "in_force": None if proposal.force is None else rfc3339(proposal.force),
        "appeal": proposal.appeal,
    }
