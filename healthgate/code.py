"""`healthgate code`: writes, reads and shows health codes, without a gate or a server."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from edge.verdict import Source, Standing, standing
from healthcode import dcc, token
from healthcode.cose import SoftwareKey
from healthcode.messages import MAX_SNAPSHOT
from healthcode.signed import SignedFault
from healthcode.status import StatusList, read_snapshot
from healthcode.terms import COLOUR_OF_STATUS, REASON_OF_FAULT, Colour, Form, Reason, Status
from healthcode.token import Claims, HealthCode, TokenFault
from healthcode.trust import GRACE_S, KeyRing
from healthgate import code_dcc, code_list, conform
from healthgate.keyring_files import KeysError, read_file, read_root, read_trust
from healthgate.times import BadTime, rfc3339
from healthgate.times import moment as moment_of
from server import qr
from server.sealing import SealError, read_private

LIFETIME_S = {Form.LIVE: 120, Form.PAPER: 28 * 86_400}
"""How long a code that `write` makes is good unless it is told, in seconds."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Write, read and show health codes.")

Text = Annotated[str, typer.Argument(help="The code's text, or - for standard input.", show_default=False)]


class CodeError(ValueError):
    """An argument or file that cannot be used; the text is one line."""


@dataclass(frozen=True)
class Judged:
    """What came of a text: the code or its fault, and the standing where a list was given. `refusal` is the reason it is not valid."""

    seen: HealthCode | TokenFault
    standing: Standing | None
    refusal: Reason | None
    detail: str


@app.command("write")
def write(
    key: Annotated[Path, typer.Option(help="The private key, PEM of mode 0600.", show_default=False)],
    issuer: Annotated[str, typer.Option(help="Who issues it, such as CN-HB.", show_default=False)],
    uri: Annotated[str, typer.Option(help="The status list's uri.", show_default=False)],
    index: Annotated[int, typer.Option(min=0, max=token.MAX_INDEX, help="The person's index in the list.", show_default=False)],
    colour: Annotated[Colour, typer.Option(help="The colour.")] = Colour.GREEN,
    form: Annotated[Form, typer.Option(help="On a phone or on paper.")] = Form.LIVE,
    ruled_at: Annotated[str, typer.Option(help="Time of the ruling, ISO 8601.", show_default="now")] = "",
    not_before: Annotated[str, typer.Option(help="When it begins, ISO 8601.", show_default="now")] = "",
    lifetime: Annotated[
        int, typer.Option(min=0, max=10**9, help="How long it is good, in seconds; 0: two minutes live, 28 days on paper.")
    ] = 0,
) -> None:
    """Sign a code for tests and experiments and print its text. The server is what issues codes to residents."""
    now = time.time()
    try:
        begins = int(moment_of(not_before, "--not-before", now))
        claims = Claims(
            issuer=issuer,
            uri=uri,
            index=index,
            colour=colour,
            form=form,
            ruled_at=int(moment_of(ruled_at, "--ruled-at", now)),
            not_before=begins,
            expires=begins + (lifetime or LIFETIME_S[form]),
        )
        typer.echo(token.write(claims, SoftwareKey.from_pem(read_private(key))))
    except SealError as wrong:
        _fail(str(wrong))
    except ValueError as wrong:
        _fail(f"{key}: {wrong}" if str(wrong).startswith("not a private key") else str(wrong))


@app.command("read")
def read(
    text: Text,
    trust: Annotated[Path, typer.Option(help="The signed trust list, trust.cbor.", show_default=False)],
    root: Annotated[Path | None, typer.Option(help="The root's public key, to check the trust list with.", show_default=False)] = None,
    status: Annotated[Path | None, typer.Option(help="A signed snapshot of the code's list, to judge the standing by.")] = None,
    at: Annotated[str, typer.Option(help="The time to judge at, ISO 8601.", show_default="now")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Read a code, or an EU Digital COVID Certificate, as a gate does. Exit status 0: valid; 1: not; 2: the arguments cannot be used.

    Valid says that the code is genuine and, with --status, not revoked; its colour is another matter. With --status the colour is that of
    the issuer's newest statement, code or list. A certificate is shown stage by stage with all that it says, and what the trust list's
    policy makes of it.
    """
    try:
        moment = moment_of(at, "--at", time.time())
        trust_list = read_trust(trust, None if root is None else (read_root(root),))
        keys = KeyRing.of(trust_list)
        held = None if status is None else _load_list(status, keys, moment)
        taken = _take(text)
        judged = code_dcc.look(taken, keys, moment) if taken.startswith(dcc.PREFIX) else judge(taken, keys, held, moment)
        if moment > trust_list.expires_at + GRACE_S:
            ended_days = (moment - trust_list.expires_at) / 86_400
            detail = f"the trust list ended {ended_days:.1f} days before the time of judging: it counts for {GRACE_S / 86_400:.0f}"
            judged = replace(judged, refusal=Reason.TRUST_MISSING, detail=detail)
    except (KeysError, CodeError, BadTime) as wrong:
        _fail(str(wrong))
        return
    if root is None:
        typer.echo("healthgate code: the trust list's signature was not checked: name the root's public key with --root", err=True)
    if isinstance(judged, Judged):
        typer.echo(json.dumps(as_dict(judged, trust_checked=root is not None)) if as_json else as_line(judged))
    else:
        shown = code_dcc.as_dict(judged, trust_checked=root is not None)
        typer.echo(json.dumps(shown) if as_json else code_dcc.as_lines(judged))
    raise typer.Exit(0 if judged.refusal is None else 1)


@app.command("conform")
def run_conform(
    folder: Annotated[Path, typer.Argument(help="A folder of the EU's public test data, whatever its layout below.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Run test data for EU Digital COVID Certificates, each file at its own clock: what it gives, and what it should.

    Exit status 1 where a file differs in a stage that counts. Files that are no test data are named on standard error.
    """
    if not folder.is_dir():
        _fail(f"{folder}: expected a folder")
    count = different = 0
    for outcome in conform.run(folder):
        if isinstance(outcome, conform.NotAVector):
            typer.echo(f"healthgate code: {outcome}: passed over", err=True)
            continue
        count += 1
        different += bool(outcome.different)
        if as_json:
            typer.echo(json.dumps({"file": outcome.file, "got": outcome.got, "expected": outcome.expected}))
        else:
            typer.echo(f"{outcome.file}: {'DIFFERS in ' + ', '.join(outcome.different) if outcome.different else 'as expected'}")
    if not count:
        _fail(f"{folder}: holds no test data: expected JSON files with PREFIX, TESTCTX and EXPECTEDRESULTS")
    if not as_json:
        typer.echo(f"{count} files, {different} different")
    raise typer.Exit(1 if different else 0)


app.command("list")(code_list.inspect)


@app.command("show")
def show(
    text: Text,
    png: Annotated[Path | None, typer.Option(help="Write the picture to this PNG file.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write the picture to this SVG file.")] = None,
) -> None:
    """Show a code as a QR picture, level M: in the terminal, unless it is written to a file."""
    try:
        taken = _take(text)
        if png is not None:
            _save(png, qr.png(taken))
        if svg is not None:
            _save(svg, qr.svg(taken))
        if png is None and svg is None:
            typer.echo(qr.terminal(taken))
    except ValueError as wrong:
        _fail(str(wrong))


def judge(text: str, keys: KeyRing, held: StatusList | None, at: float) -> Judged:
    """The code in `text` and, where a list is held, the bearer's standing, at time `at` in seconds since 1970."""
    seen = token.read(text, keys, at)
    if isinstance(seen, TokenFault):
        return Judged(seen, None, REASON_OF_FAULT[seen.fault], seen.detail)
    if held is None:
        return Judged(seen, None, None, "")
    found = standing(seen, {held.uri: held})
    if found.status is None:
        detail = f"the code names {seen.uri} at {seen.index}, held is {held.uri} with {held.capacity} entries"
        return Judged(seen, found, Reason.LIST_MISSING, detail)
    if found.status is Status.REVOKED:
        return Judged(seen, found, Reason.REVOKED, "revoked in the list, which is final")
    return Judged(seen, found, None, "")


def as_dict(judged: Judged, *, trust_checked: bool) -> dict[str, object]:
    """What `code read --json` prints; a fault before the claims could be verified leaves all that the code says null."""
    seen, found = judged.seen, judged.standing
    code = seen if isinstance(seen, HealthCode) else None
    return {
        "ok": judged.refusal is None,
        "fault": judged.refusal.value if judged.refusal else None,
        "detail": judged.detail,
        "issuer": code.issuer if code else None,
        "colour": _colour(judged),
        "code_colour": code.colour.value if code else None,
        "source": found.source.value if found else Source.CODE.value if code else None,
        "said_at": rfc3339(found.said_at) if found else rfc3339(code.ruled_at) if code else None,
        "list": code.uri if code else None,
        "index": code.index if code else None,
        "form": code.form.value if code else None,
        "ruled_at": rfc3339(code.ruled_at) if code else None,
        "not_before": rfc3339(code.not_before) if code else None,
        "expires": rfc3339(code.expires) if code else None,
        "kid": code.kid.hex() if code else None,
        "trust_checked": trust_checked,
    }


def as_line(judged: Judged) -> str:
    """What `code read` prints for people."""
    if judged.refusal is not None:
        return f"not valid: {judged.refusal.value}: {judged.refusal.sentence} ({judged.detail})"
    shown = as_dict(judged, trust_checked=True)
    return "valid: {colour} (by the {source} of {said_at}), {issuer}, {list} {index}, {form}, {not_before} to {expires}".format(**shown)


def _colour(judged: Judged) -> str | None:
    if judged.standing is not None:
        status = judged.standing.status
        return COLOUR_OF_STATUS[status].value if status in COLOUR_OF_STATUS else None
    return judged.seen.colour.value if isinstance(judged.seen, HealthCode) else None


def _load_list(path: Path, keys: KeyRing, at: float) -> StatusList:
    """The list in a snapshot, whichever of the trust list's lists it is."""
    data = read_file(path, MAX_SNAPSHOT)
    fault = SignedFault.UNKNOWN_KEY
    for uri in keys.list_entries():
        found = read_snapshot(data, uri, keys, at)
        if isinstance(found, StatusList):
            return found
        fault = found
    raise CodeError(f"{path}: {fault.value}: expected a signed snapshot of a list that the trust list names")


def _take(text: str) -> str:
    """The text itself, or for - what standard input holds, without the line's end."""
    if text != "-":
        return text
    try:
        return sys.stdin.buffer.read(64 * 1024).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CodeError("standard input: expected text in UTF-8") from None


def _save(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as wrong:
        raise CodeError(f"{path}: cannot be written: {wrong.strerror}") from None


def _fail(line: str) -> None:
    typer.echo(f"healthgate code: {line}", err=True)
    raise typer.Exit(2)
