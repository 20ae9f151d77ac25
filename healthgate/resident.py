"""`healthgate resident`: residents and their colours, set with a reason; their codes; on the registry's database directly."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, NoReturn
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from healthcode.terms import Colour, Form, Use
from healthgate.cells import cell
from healthgate.officers import By, PasswordFile, signed_in
from healthgate.proposal import propose, propose_number
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, console, in_one_line, opened
from healthgate.times import rfc3339
from server import qr
from server.corrections import NumberReason
from server.explanations import explain
from server.facts import HandReason
from server.faults import Fault
from server.identity import Identity, Paper, read_identity
from server.issuer import Issuer, Pack
from server.keys import load_roots, load_signer, read_trust
from server.papers import Holder, Layout, NoFont, make_pdf
from server.persons import Person
from server.registry import Refused, RegistryFault, Resident
from server.sentences import Language, say
from server.typed import read_date, read_phone

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Residents and their colours: add, list, set with a reason.",
)

Id = Annotated[str, typer.Argument(help="The resident's id, as `resident list` shows it.", show_default=False)]
Reason = Annotated[HandReason, typer.Option(help="Why: grounds of health and nothing else.", show_default=False)]


@app.command("add")
@in_one_line
def add(
    name: Annotated[str, typer.Argument(help="The resident's name.", show_default=False)],
    number: Annotated[str, typer.Option(help="Number of the ID, with its check character; one number has one code.")] = "",
    phone: Annotated[str, typer.Option(help="Telephone number.")] = "",
    paper: Annotated[Paper, typer.Option(help="The kind of ID.")] = Paper.CITIZEN,
    state: Annotated[str, typer.Option(help="Of a passport: the three letters of the state.")] = "",
    born: Annotated[str, typer.Option(help="Date of birth, where the number does not say it.")] = "",
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Register a resident, reviewed and green; the id that comes back is what the other commands want.

    Any other colour takes a second officer: `resident colour`.
    """
    with opened(config) as office:
        person = _read_person(name, number, phone, paper, state, born, office.now())
        if isinstance(person, Refused):
            _fail(person)
            return
        _show(office.registry.add(person, who=console()), as_json)


@app.command("list")
@in_one_line
def list_residents(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show every resident with colour, rule and reason."""
    with opened(config) as office:
        residents = office.registry.list_residents(console())
    if as_json:
        for resident in residents:
            typer.echo(json.dumps(_as_dict(resident), ensure_ascii=False))
        return
    table = Table("id", "name", "colour", "since", "why", box=None)
    for resident in residents:
        table.add_row(resident.resident, cell(resident.person.name), resident.word, rfc3339(resident.since), cell(explain(resident.why)))
    Console(highlight=False).print(table)


@app.command("why")
@in_one_line
def why(
    resident: Id,
    language: Annotated[Language, typer.Option(help="The language of the sentences.")] = Language.ENGLISH,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Explain a resident's colour: the rule, since when, until when, what would change it. The pages say the same."""
    with opened(config) as office:
        ruling = office.registry.explain(resident, console())
    if ruling is None:
        typer.echo(f"healthgate resident: no resident {resident[:40]!r}: expected an id that `resident list` shows", err=True)
        raise typer.Exit(1)
    reasons = [explain(reason, language) for reason in (ruling.why, *(other.why for other in ruling.others))]
    changes = [explain(change, language) for change in ruling.changes]
    until = None if ruling.until is None else rfc3339(ruling.until)
    if as_json:
        found = {"colour": ruling.word, "rule": ruling.rule.value, "since": rfc3339(ruling.since), "until": until}
        typer.echo(json.dumps({**found, "reasons": reasons, "changes": changes}, ensure_ascii=False))
        return
    typer.echo(f"{ruling.word} by the rule {ruling.rule.value}, since {rfc3339(ruling.since)}{f', until {until}' if until else ''}")
    for line in (*(f"  {reason}" for reason in reasons), "what would change it:", *(f"  {change}" for change in changes)):
        typer.echo(line)


@app.command("colour")
@in_one_line
def set_colour(
    resident: Id,
    colour: Annotated[Colour, typer.Argument(help="The new colour.", show_default=False)],
    reason: Reason,
    by: By,
    password_file: PasswordFile = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Propose a colour for a resident, for a reason that can lead to it. It counts when a second officer approves: `proposal approve`."""
    with opened(config) as office:
        propose(office, signed_in(office, by, password_file), [resident], colour, reason, as_json=as_json)


@app.command("number")
@in_one_line
def put_number_right(
    resident: Id,
    number: Annotated[str, typer.Argument(help="The right number, with its check character, as the ID shows it.", show_default=False)],
    reason: Annotated[NumberReason, typer.Option(help="Why the number is not right.", show_default=False)],
    by: By,
    paper: Annotated[Paper, typer.Option(help="The kind of ID.")] = Paper.CITIZEN,
    state: Annotated[str, typer.Option(help="Of a passport: the three letters of the state.")] = "",
    born: Annotated[str, typer.Option(help="Date of birth, where the number does not say it.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    password_file: PasswordFile = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Propose the right number for a resident whose ID was seen. It counts when a second officer approves: `proposal approve`."""
    typed = {"paper": paper.value, "number": number, "state": state, "born": born}
    with opened(config) as office:
        actor = signed_in(office, by, password_file)
        propose_number(office, actor, resident, typed, reason, as_json=as_json, dry_run=dry_run)


@app.command("clear")
@in_one_line
def clear(
    resident: Id,
    body_c: Annotated[float, typer.Option("--body-c", min=34.0, max=37.2, help="What the clinical thermometer showed, degrees Celsius.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """A clinical thermometer showed a normal temperature: fevers found at gates until now no longer count."""
    with opened(config) as office:
        _show(office.registry.clear(resident, body_c, console()), as_json)


@app.command("revoke")
@in_one_line
def revoke(resident: Id, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """End every code of a resident for good, and give them a fresh index with the same colour: for a lost phone or paper."""
    with opened(config) as office:
        _show(office.registry.revoke(resident, console()), as_json)


@app.command("code")
@in_one_line
def issue(
    resident: Id,
    form: Annotated[Form, typer.Option(help="live: a pack of short-lived codes; paper: one for weeks.")] = Form.PAPER,
    png: Annotated[Path | None, typer.Option(help="Write the (first) code as a picture: .png or .svg.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the (first) code in the terminal.")] = False,
    pdf: Annotated[Path | None, typer.Option(help="Write the paper code as a document to print.")] = None,
    layout: Annotated[
        Layout, typer.Option(help="What --pdf makes: a card of 85 x 54 mm, a sheet of A4 with two cards, large print.")
    ] = Layout.CARD,
    language: Annotated[Language, typer.Option(help="The language of --pdf.")] = Language.CHINESE,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Sign codes for a resident: one on paper, or a pack for a phone. Texts go to the standard output, one a line."""
    if pdf is not None and form is not Form.PAPER:
        _fail_to_print("--pdf makes paper codes: leave out --form live")
    with opened(config) as office:
        folder = Path(office.config.keys)
        ring = read_trust(folder, load_roots(office.config.roots)).ring
        signer = load_signer(folder, Use.TOKEN, ring, time.time())
        issuer = Issuer(office.store, signer, office.config.issuer, office.config.codes, time.time)
        printed = layout.value if pdf is not None else "picture" if png is not None else ""
        pack = issuer.paper(resident, who=console(), layout=printed) if form is Form.PAPER else issuer.live_pack(resident, who=console())
        known = office.registry.find(resident)
        web = office.config.web
    if isinstance(pack, Refused):
        _fail(pack)
        return
    first = pack.codes[0].text
    if pdf is not None and known is not None:
        made = make_pdf(pack, Holder(known.person.name, web.origin), layout, language, ZoneInfo(web.zone))
        if isinstance(made, NoFont):
            _fail_to_print(made.detail)
        _write(pdf, made)
    if png is not None:
        _write(png, qr.svg(first) if png.suffix == ".svg" else qr.png(first))
    if show:
        typer.echo(qr.terminal(first))
    if as_json:
        typer.echo(json.dumps(_pack_dict(pack)))
    elif not show:
        for issued in pack.codes:
            typer.echo(issued.text)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as wrong:
        typer.echo(f"healthgate: {path}: cannot be written: {wrong.strerror}", err=True)
        raise typer.Exit(2) from None


def _fail_to_print(why: str) -> NoReturn:
    typer.echo(f"healthgate resident: {why}", err=True)
    raise typer.Exit(2)


def _show(outcome: Resident | Refused, as_json: bool) -> None:
    if isinstance(outcome, Refused):
        _fail(outcome)
        return
    if as_json:
        typer.echo(json.dumps(_as_dict(outcome), ensure_ascii=False))
    else:
        typer.echo(f"{outcome.resident} {outcome.word}: {explain(outcome.why)}")


def _read_person(name: str, number: str, phone: str, paper: Paper, state: str, born: str, at: float) -> Person | Refused:
    """The person as the arguments say; number, date of birth and telephone may be left out."""
    day = read_date(born, at) if born else None
    if isinstance(day, Fault):
        return _faulty("date of birth", day)
    identity = read_identity(paper, number, at, state=state, born=day) if number else Identity(paper, "", born=day)
    if isinstance(identity, Fault):
        return _faulty("number", identity)
    called = read_phone(phone) if phone else ""
    if isinstance(called, Fault):
        return _faulty("phone", called)
    return Person(name, identity.number, called, identity.paper, identity.state, identity.born)


def _faulty(what: str, fault: Fault) -> Refused:
    return Refused(RegistryFault.BAD_TEXT, f"the {what}: {say(Language.ENGLISH, fault.key, fault.params)}")


def _fail(refused: Refused) -> None:
    typer.echo(f"healthgate resident: {refused.detail}", err=True)
    raise typer.Exit(1)


def _as_dict(resident: Resident) -> dict[str, object]:
    return {
        "id": resident.resident,
        "name": resident.person.name,
        "list": resident.uri,
        "index": resident.index,
        "colour": resident.word,
        "rule": resident.rule.value,
        "since": rfc3339(resident.since),
        "why": explain(resident.why),
        "ruled_at": resident.ruled_at,
    }


def _pack_dict(pack: Pack) -> dict[str, object]:
    return {
        "id": pack.resident,
        "form": pack.form.value,
        "colour": pack.colour.value,
        "ruled_at": pack.ruled_at,
        "codes": [{"text": code.text, "not_before": code.not_before, "expires": code.expires} for code in pack.codes],
    }
