"""`healthgate code read` of an EU Digital COVID Certificate: stage by stage, and its fields for the operator who asks.

This is the one place where such fields are shown; a gate never shows or stores them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from healthcode import cose, dcc
from healthcode.cose import Sign1
from healthcode.dcc import Certificate
from healthcode.dcc_policy import judge
from healthcode.terms import REASON_OF_FAULT, Fault, Reason
from healthcode.token import TokenFault
from healthcode.trust import KeyRing
from healthgate.times import rfc3339

_WIDTH = max(len(fault.value) for fault in Fault)


@dataclass(frozen=True)
class Shown:
    """What became of a certificate: read, or its fault; what it says, verified or not; what the policy makes of it.

    `refusal` is the reason it is not valid.
    """

    seen: Certificate | TokenFault
    sign1: Sign1 | None
    fields: Mapping[object, object]
    judged: Reason | None
    refusal: Reason | None
    detail: str


def look(text: str, keys: KeyRing, at: float) -> Shown:
    """The certificate in `text` at time `at`, seconds since 1970."""
    seen = dcc.read(text, keys, at)
    sign1 = dcc.unwrap(text)
    claims = sign1 if isinstance(sign1, TokenFault) else dcc.read_claims(sign1.payload)
    fields = {} if isinstance(claims, TokenFault) else claims.hcert
    known = None if isinstance(sign1, TokenFault) else sign1
    if isinstance(seen, TokenFault):
        return Shown(seen, known, fields, None, REASON_OF_FAULT[seen.fault], seen.detail)
    return Shown(seen, known, fields, judge(seen, keys.certificates, at), None, "")


def stages(shown: Shown) -> dict[str, bool | None]:
    """Each stage of reading: passed, failed, or not reached (None)."""
    order = list(Fault)
    stopped = order.index(shown.seen.fault) if isinstance(shown.seen, TokenFault) else len(order)
    return {stage.value: True if at < stopped else False if at == stopped else None for at, stage in enumerate(order)}


def as_dict(shown: Shown, *, trust_checked: bool) -> dict[str, object]:
    """What `code read --json` prints. `fields` are what the certificate says, believed or not: `ok` says whether to."""
    read = shown.seen if isinstance(shown.seen, Certificate) else None
    fields: dict[str, object] = json.loads(json.dumps({str(name): value for name, value in shown.fields.items()}, default=str))
    return {
        "ok": shown.refusal is None,
        "format": "HC1",
        "fault": shown.refusal.value if shown.refusal else None,
        "detail": shown.detail,
        "stages": stages(shown),
        "issuer": read.issuer if read else None,
        "kind": read.kind.value if read else None,
        "issued_at": rfc3339(read.issued_at) if read else None,
        "expires": rfc3339(read.expires) if read else None,
        "kid": _kid(shown),
        "judged": shown.judged.value if shown.judged else None,
        "fields": fields,
        "trust_checked": trust_checked,
    }


def as_lines(shown: Shown) -> str:
    """What `code read` prints for people."""
    said = {True: "passed", False: "FAILED", None: "not reached"}
    lines = [f"{name:<{_WIDTH}}  {said[passed]}" for name, passed in stages(shown).items()]
    if shown.sign1 is not None:
        lines.append(f"{'key':<{_WIDTH}}  {_kid(shown) or 'none named'}, algorithm {dcc.header(shown.sign1, cose.ALG)!s:.20}")
    believed = "said and signed" if isinstance(shown.seen, Certificate) else "said, NOT to be believed"
    lines += [f"{believed}: {line}" for line in _flat("", shown.fields)]
    if shown.refusal is not None:
        return "\n".join([*lines, f"not valid: {shown.refusal.value}: {shown.refusal.sentence} ({shown.detail})"])
    read = shown.seen
    if not isinstance(read, Certificate) or shown.judged is None:
        raise TypeError("a certificate that was read is judged")
    span = f"{read.issuer}, {read.kind.value}, {rfc3339(read.issued_at)} to {rfc3339(read.expires)}"
    if shown.judged is Reason.GREEN:
        return "\n".join([*lines, f"valid: {span}; counts as green here"])
    return "\n".join([*lines, f"valid: {span}; does not count here: {shown.judged.value}: {shown.judged.sentence}"])


def _kid(shown: Shown) -> str | None:
    kid = dcc.header(shown.sign1, cose.KID) if shown.sign1 is not None else None
    return kid.hex() if isinstance(kid, bytes) else None


def _flat(path: str, value: object) -> list[str]:
    """A nested value as lines `path = value`, control characters made visible."""
    if isinstance(value, Mapping):
        return [line for name, inner in value.items() for line in _flat(f"{path}.{name}".lstrip("."), inner)]
    if isinstance(value, list | tuple):
        return [line for place, inner in enumerate(value) for line in _flat(f"{path}[{place}]", inner)]
    text = value if isinstance(value, str) else repr(value)
    return ["".join(each if each.isprintable() else repr(each)[1:-1] for each in f"{path} = {text}")]
