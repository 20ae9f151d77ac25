"""Makes the golden files beside it: `python -m tests.vectors.make`. Done once; the files are kept, for ES256 signatures differ each time.

All keys are TEST KEYS, derived from their names: anybody can make them, and nothing that they sign is worth anything. The clock stands
at NOW. codes.json says for each stage of reading a code whether it passes, and holds what the stages give; signed.json and list.json
do so for the other signed objects, roots.json for roots that follow one another. Bytes are in hexadecimal, times in seconds since 1970.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from healthcode import base45, cose, signed, token
from healthcode.cose import P256_ORDER, Algorithm, SoftwareKey
from healthcode.messages import (
    AuditHead,
    BootMark,
    ClockReset,
    Command,
    Delta,
    Desired,
    Head,
    Message,
    ModeOrder,
    OpenOrder,
    Release,
    SnapshotRef,
    TimeAnswer,
    TrustEntry,
    TrustHead,
    TrustList,
    Watermark,
)
from healthcode.roots import ACCEPTED, ROTATION, Roots, write_rotation
from healthcode.status import StatusList
from healthcode.terms import Colour, Fault, Form, LaneMode, OperatorRole, Status, Use
from healthcode.token import Claims
from healthcode.trust import entry_for

HERE = Path(__file__).parent
NOW = 1_584_345_600
"""16 March 2020, 08:00 UTC."""
DAY_S = 86_400
URI, OTHER_URI = "https://hb.example/s/1", "https://hn.example/s/1"
CAPACITY = 1024


def make_test_key(name: str, algorithm: Algorithm = "ES256") -> SoftwareKey:
    """The TEST KEY of this name."""
    seed = hashlib.sha256(f"healthgate TEST KEY {name}, worthless".encode()).digest()
    if algorithm == "Ed25519":
        return SoftwareKey(ed25519.Ed25519PrivateKey.from_private_bytes(seed))
    return SoftwareKey(ec.derive_private_key(int.from_bytes(seed, "big") % P256_ORDER, ec.SECP256R1()))


ROOT, STRANGER = make_test_key("root"), make_test_key("stranger")
TOKEN, TOKEN_ED = make_test_key("token"), make_test_key("token 2", "Ed25519")
LIST, TIME, ACK = make_test_key("list"), make_test_key("time"), make_test_key("ack")
RELEASE = make_test_key("release")
CHEN, WANG, CONFIG = make_test_key("operator chen"), make_test_key("operator wang", "Ed25519"), make_test_key("config")
OTHER_TOKEN, OTHER_LIST = make_test_key("other token", "Ed25519"), make_test_key("other list", "Ed25519")


def entry(signer: SoftwareKey, use: Use, issuer: str = "CN-HB", uri: str = URI) -> TrustEntry:
    """The entry of a test key."""
    return entry_for(
        signer,
        issuer=issuer,
        use=use,
        sign_from=NOW - 30 * DAY_S,
        sign_until=NOW + 30 * DAY_S,
        verify_until=NOW + 60 * DAY_S,
        uris=[uri] if use in (Use.TOKEN, Use.LIST) else [],
        forms=[Form.LIVE, Form.PAPER] if use is Use.TOKEN else [],
        max_lifetime_s=28 * DAY_S if use is Use.TOKEN else 0,
        epoch=1 if use is Use.LIST else 0,
    )


ENTRIES = [
    entry(TOKEN, Use.TOKEN),
    entry(TOKEN_ED, Use.TOKEN),
    entry(LIST, Use.LIST),
    entry(TIME, Use.TIME),
    entry(ACK, Use.ACK),
    entry(OTHER_TOKEN, Use.TOKEN, "CN-HN", OTHER_URI),
    entry(OTHER_LIST, Use.LIST, "CN-HN", OTHER_URI),
]
OPERATORS = [
    msgspec.structs.replace(entry(CHEN, Use.COMMAND), name="chen", role=OperatorRole.ATTENDANT),
    msgspec.structs.replace(entry(WANG, Use.COMMAND), name="wang", role=OperatorRole.MANAGER),
    msgspec.structs.replace(entry(CONFIG, Use.CONFIG), name="wang", role=OperatorRole.MANAGER),
]
TRUST_LISTS = {
    "trust.cbor": TrustList(version=1, signed_at=NOW, expires_at=NOW + 365 * DAY_S, entries=ENTRIES),
    "trust-collision.cbor": TrustList(
        version=2,
        signed_at=NOW,
        expires_at=NOW + 365 * DAY_S,
        entries=[msgspec.structs.replace(entry(STRANGER, Use.TOKEN, "CN-XX", OTHER_URI), kid=TOKEN.kid), *ENTRIES],
    ),
    "trust-withdrawn.cbor": TrustList(version=3, signed_at=NOW, expires_at=NOW + 365 * DAY_S, entries=ENTRIES[1:]),
    "trust-release.cbor": TrustList(
        version=4, signed_at=NOW, expires_at=NOW + 365 * DAY_S, entries=[*ENTRIES, entry(RELEASE, Use.RELEASE)]
    ),
    "trust-operators.cbor": TrustList(version=4, signed_at=NOW, expires_at=NOW + 365 * DAY_S, entries=[*ENTRIES, *OPERATORS]),
}


def code(signer: SoftwareKey = TOKEN, **changes: Any) -> str:
    """The code of a green person's live slot, with `changes`."""
    said: dict[str, Any] = {
        "issuer": "CN-HB",
        "uri": URI,
        "index": 1_234_567,
        "colour": Colour.GREEN,
        "form": Form.LIVE,
        "ruled_at": NOW - 3600,
        "not_before": NOW - 10,
        "expires": NOW + 130,
    }
    return token.write(Claims(**(said | changes)), signer)


def wrap(data: bytes) -> str:
    """`data` as a text behind the prefix."""
    return token.PREFIX + base45.encode(data)


def sign1(header: dict[int, Any], payload: bytes, signer: SoftwareKey, unprotected: dict[int, Any] | None = None) -> bytes:
    """A COSE_Sign1 with a header of one's own, truly signed."""
    protected = cbor2.dumps(header, canonical=True)
    parts = [protected, unprotected or {}, payload, signer.sign(cose.signed_bytes(protected, payload))]
    return cbor2.dumps(cbor2.CBORTag(18, parts), canonical=True)


def codes() -> list[dict[str, Any]]:
    """Every vector of codes.json."""
    made: list[dict[str, Any]] = []

    def add(name: str, text: str, fault: Fault | None = None, trust: str = "trust.cbor", at: int = NOW) -> None:
        made.append(describe_code(text, fault) | {"name": name, "at": at, "trust": trust})

    for signer in (TOKEN, TOKEN_ED):
        for form, lifetime in ((Form.LIVE, 130), (Form.PAPER, 20 * DAY_S)):
            for colour in Colour:
                add(f"{signer.algorithm} {form} {colour}", code(signer, form=form, colour=colour, expires=NOW + lifetime))
    other = code(OTHER_TOKEN, issuer="CN-HN", uri=OTHER_URI)
    good = code()
    data = base45.decode(good.removeprefix(token.PREFIX))
    parsed = cose.parse(data)
    header = {1: -7, 4: TOKEN.kid, 16: token.TYP}
    twin = parsed.signature[:32] + (P256_ORDER - int.from_bytes(parsed.signature[32:], "big")).to_bytes(32, "big")
    said = cbor2.loads(parsed.payload)
    add("another province", other)
    add("one key of two with the same kid", good, trust="trust-collision.cbor")
    add("last second", good, at=NOW + 129)
    add("five seconds early", good, at=NOW - 15)
    add("an unknown claim", wrap(sign1(header, cbor2.dumps(said | {7: b"x"}, canonical=True), TOKEN)))
    add("too long", good + "0" * 300, Fault.TOO_LONG)
    add("prefix of the EU", "HC1:" + good[4:], Fault.PREFIX)
    add("newline at the end", good + "\n", Fault.BASE45)
    add("lower case", token.PREFIX + good[4:].lower(), Fault.BASE45)
    add("cut short", wrap(data[:-1]), Fault.CBOR)
    add("byte after the end", wrap(data + b"\0"), Fault.CBOR)
    add("tag of a pattern", wrap(bytes.fromhex("d823") + b"\x65(a+)+"), Fault.CBOR)
    add("untagged", wrap(data[1:]), Fault.COSE)
    add("unprotected header", wrap(sign1(header, parsed.payload, TOKEN, {4: TOKEN.kid})), Fault.COSE)
    add("another typ", wrap(sign1(header | {16: "application/cwt"}, parsed.payload, TOKEN)), Fault.COSE)
    add("crit", wrap(sign1(header | {2: [99]}, parsed.payload, TOKEN)), Fault.COSE)
    add("ES384", wrap(sign1(header | {1: -35}, parsed.payload, TOKEN)), Fault.ALGORITHM)
    add("algorithm of another key", wrap(sign1(header | {1: -8}, parsed.payload, TOKEN)), Fault.ALGORITHM)
    add("stranger's key", code(STRANGER), Fault.UNKNOWN_KEY)
    add("key for lists", code(LIST), Fault.UNKNOWN_KEY)
    add("withdrawn key", good, Fault.UNKNOWN_KEY, trust="trust-withdrawn.cbor")
    add("stranger's key under our kid", wrap(sign1(header, parsed.payload, STRANGER)), Fault.SIGNATURE)
    add("twin with high s", wrap(data.replace(parsed.signature, twin)), Fault.SIGNATURE)
    add("index changed", wrap(data.replace((1_234_567).to_bytes(4, "big"), (1_234_568).to_bytes(4, "big"))), Fault.SIGNATURE)
    add("no expiry", wrap(sign1(header, cbor2.dumps({k: v for k, v in said.items() if k != 4}, canonical=True), TOKEN)), Fault.CLAIMS)
    add("colour revoked", wrap(sign1(header, cbor2.dumps(said | {token.COLOUR: 1}, canonical=True), TOKEN)), Fault.CLAIMS)
    add("begins later", good, Fault.NOT_YET_VALID, at=NOW - 16)
    add("ruled in the future", code(ruled_at=NOW + 6), Fault.NOT_YET_VALID)
    add("ended", good, Fault.EXPIRED, at=NOW + 130)
    add("another province for our list", code(OTHER_TOKEN, issuer="CN-HN"), Fault.ISSUER_SCOPE)
    add("another province as ours", code(OTHER_TOKEN), Fault.ISSUER_SCOPE)
    add("lives too long", code(form=Form.PAPER, expires=NOW + 28 * DAY_S), Fault.ISSUER_SCOPE)
    colliding = wrap(sign1(header, parsed.payload, STRANGER))
    add("stranger with the same kid for our list", colliding, Fault.ISSUER_SCOPE, "trust-collision.cbor")
    return made


def describe_code(text: str, fault: Fault | None) -> dict[str, Any]:
    """What every stage of reading `text` gives, as far as it comes before failing at `fault`."""
    order: list[Fault] = [stage for stage in Fault if stage is not Fault.COMPRESSION]
    passed = order if fault is None else order[: order.index(fault)]
    found: dict[str, Any] = {"text": text, "fault": fault, "stages": {stage: stage in passed for stage in order}}
    if Fault.BASE45 in passed:
        data = base45.decode(text.removeprefix(token.PREFIX))
        found["bytes"] = data.hex()
    if Fault.COSE in passed:
        parsed = cose.parse(data)
        found |= {"kid": parsed.kid.hex(), "alg": parsed.header[1], "typ": parsed.typ, "payload": parsed.payload.hex()}
    if Fault.CLAIMS in passed:
        claims = token.read_claims(parsed.payload)
        assert isinstance(claims, Claims)
        found["claims"] = msgspec.structs.asdict(claims)
    return found


DIGEST = hashlib.sha256(b"healthgate").digest()
MESSAGES: list[tuple[Message, SoftwareKey]] = [
    (
        Head(uri=URI, epoch=1, version=3, digest=DIGEST, oldest=1, snapshot=SnapshotRef(version=2, size=99, sha256=DIGEST), as_of=NOW),
        LIST,
    ),
    (StatusList.empty(URI, 1, CAPACITY).make_delta({7: Status.RED, 600: Status.YELLOW}, NOW), LIST),
    (
        Watermark(
            unit="north",
            at_ms=NOW * 1000,
            boots=[BootMark(boot_id="0" * 32, up_to=9, missing=[4]), BootMark(boot_id="f" * 32, up_to=200)],
        ),
        ACK,
    ),
    (TimeAnswer(unit="north", nonce="0123456789abcdef" * 2, at_ms=NOW * 1000), TIME),
    (TRUST_LISTS["trust.cbor"], ROOT),
    (TrustHead(version=1, size=1000, sha256=DIGEST, signed_at=NOW), ROOT),
    (ClockReset(unit="north", serial=3, floor=NOW), ROOT),
    (AuditHead(issuer="CN-HB", entry=7, digest=DIGEST, at_ms=NOW * 1000), ACK),
    (Release(version="0.2.0", after="0.1.0", size=70_000_000, sha256=DIGEST, platforms=["cp311-aarch64"], signed_at=NOW), RELEASE),
    (Desired(unit="north", version=3, at_ms=NOW * 1000, settings='[sound]\nnight_from = "21:30"\nvolume = 0.5\n'), CONFIG),
]
TRUSTED_BY: dict[type[Message], str] = {Release: "trust-release.cbor", Desired: "trust-operators.cbor"}
"""Where the golden trust list that holds a kind's key is another than trust.cbor."""


COMMANDS: list[tuple[Command, SoftwareKey]] = [
    (Command(unit="north", transaction="7c" * 16, signed_at=NOW, expires_at=NOW + 30, why="a pram", order=OpenOrder()), CHEN),
    (
        Command(
            unit="north",
            transaction="1d" * 16,
            signed_at=NOW,
            expires_at=NOW + 60,
            why="market day",
            order=ModeOrder(mode=LaneMode.FREE, for_s=5400),
        ),
        WANG,
    ),
]


def commands() -> list[dict[str, Any]]:
    """What signed.json has of operators' commands: as they should be, by keys that do not count, and outside the key's own time."""
    made: list[dict[str, Any]] = []

    def add(name: str, data: bytes, fault: str | None = None, message: Message | None = None) -> None:
        said = None if message is None else in_hex(msgspec.to_builtins(message, builtin_types=(bytes,)))
        place = {"name": name, "kind": "Command", "at": NOW, "trust": "trust-operators.cbor"}
        made.append(place | {"data": data.hex(), "fault": fault, "says": said})

    for message, signer in COMMANDS:
        add(f"Command {message.name}", signed.write(message, signer), None, message)
        add(f"Command {message.name} by a stranger", signed.write(message, STRANGER), "UNKNOWN_KEY")
    first = COMMANDS[0][0]
    add("Command by the key for configuration", signed.write(first, CONFIG), "UNKNOWN_KEY")
    add("Command signed before its key counts", signed.write(msgspec.structs.replace(first, signed_at=NOW - 31 * DAY_S), CHEN), "SCOPE")
    long = msgspec.to_builtins(first, builtin_types=(bytes,)) | {"order": {"command": "explode"}}
    add("Command that is none", cose.sign1(cbor2.dumps(long, canonical=True), signed.KINDS[Command].typ, CHEN), "CONTENT")
    return made


def signed_objects() -> list[dict[str, Any]]:
    """Every vector of signed.json: each kind as it should be, each by a stranger's key, and heads that fail at each stage."""
    made: list[dict[str, Any]] = []

    def add(name: str, kind: type[Message], data: bytes, fault: str | None = None, message: Message | None = None) -> None:
        said = None if message is None else in_hex(msgspec.to_builtins(message, builtin_types=(bytes,)))
        place = {"name": name, "kind": kind.__name__, "at": NOW, "trust": TRUSTED_BY.get(kind, "trust.cbor")}
        made.append(place | {"data": data.hex(), "fault": fault, "says": said})

    for message, signer in MESSAGES:
        kind = type(message)
        add(f"{kind.__name__}", kind, signed.write(message, signer), None, message)
        add(f"{kind.__name__} by a stranger", kind, signed.write(message, STRANGER), "UNKNOWN_KEY")
        add(f"{kind.__name__} by a key for codes", kind, signed.write(message, TOKEN), "UNKNOWN_KEY")
    desired = MESSAGES[-1][0]
    told = msgspec.to_builtins(desired)
    configured = signed.KINDS[Desired].typ
    add("Desired by a key for acknowledgements", Desired, signed.write(desired, ACK), "UNKNOWN_KEY")
    add("a clock reset as desired", Desired, signed.write(MESSAGES[6][0], ROOT), "TYPE")
    add("Desired without a version", Desired, cose.sign1(cbor2.dumps(told | {"version": 0}, canonical=True), configured, CONFIG), "CONTENT")
    late = cbor2.dumps(told | {"at_ms": (NOW + 31 * DAY_S) * 1000}, canonical=True)
    add("Desired after the key's time", Desired, cose.sign1(late, configured, CONFIG), "SCOPE")
    head, delta = MESSAGES[0][0], MESSAGES[1][0]
    good = signed.write(head, LIST)
    said = msgspec.to_builtins(head, builtin_types=(bytes,))
    typ = signed.KINDS[Head].typ
    header = {1: -7, 4: LIST.kid, 16: typ}
    add("Head too long", Head, bytes(1025), "SIZE")
    add("Head cut short", Head, good[:-1], "CBOR")
    add("Head untagged", Head, good[1:], "COSE")
    add("a delta as head", Head, signed.write(delta, LIST), "TYPE")
    add("a head as delta", Delta, good, "TYPE")
    add("a trust head as trust list", TrustList, signed.write(MESSAGES[5][0], ROOT), "TYPE")
    add("Head with ES384", Head, sign1(header | {1: -35}, cose.parse(good).payload, LIST), "ALGORITHM")
    add("Head changed", Head, good[:-1] + bytes([good[-1] ^ 1]), "SIGNATURE")
    add("Head with more", Head, cose.sign1(cbor2.dumps(said | {"more": 1}, canonical=True), typ, LIST), "CONTENT")
    add("Head of another list", Head, cose.sign1(cbor2.dumps(said | {"uri": OTHER_URI}, canonical=True), typ, LIST), "SCOPE")
    add("Head of another epoch", Head, cose.sign1(cbor2.dumps(said | {"epoch": 2}, canonical=True), typ, LIST), "SCOPE")
    return made


def status_list() -> dict[str, Any]:
    """list.json: a list step by step, deltas that it must refuse, and the snapshot at the end."""
    held = StatusList.empty(URI, 1, CAPACITY)
    steps = []
    for number, step in enumerate([{3: Status.RED, 1023: Status.YELLOW}, {0: Status.REVOKED}, {3: Status.GREEN, 4: Status.RED}]):
        delta = held.make_delta(step, NOW + number)
        assert held.apply(delta) is None
        steps.append({"delta": signed.write(delta, LIST).hex(), "version": held.version, "digest": held.digest.hex(), "as_of": held.as_of})
    following = held.make_delta({9: Status.RED}, NOW + 9)
    refused = {
        "OLD": msgspec.structs.replace(following, start=1, to=2),
        "GAP": msgspec.structs.replace(following, start=4, to=5),
        "CONTENT": msgspec.structs.replace(following, gaps=following.gaps[:-1]),
        "DIGEST": msgspec.structs.replace(following, values=b"\x03"),
    }
    entries = {str(index): held.get(index).name for index in range(CAPACITY) if held.get(index) is not Status.GREEN}
    return {
        "uri": URI,
        "epoch": 1,
        "capacity": CAPACITY,
        "trust": "trust.cbor",
        "at": NOW,
        "steps": steps,
        "refused": {fault: signed.write(delta, LIST).hex() for fault, delta in refused.items()},
        "snapshot": held.snapshot(LIST, NOW + 10).hex(),
        "snapshot_by_a_stranger": held.snapshot(STRANGER, NOW + 10).hex(),
        "entries": entries,
    }


def roots() -> dict[str, Any]:
    """roots.json: the roots of a unit that was given ROOT, after each rotation, and rotations that it must refuse then."""
    second, third = make_test_key("root 2"), make_test_key("root 3", "Ed25519")
    kept, ended = write_rotation(ROOT, second, 10, None), write_rotation(ROOT, second, 10, 15)
    steps = [kept, ended, write_rotation(second, third, 20, 20)]
    followed = Roots((ROOT.public_key,)).offer(steps)[0]
    unsigned = cose.sign1(cose.sign1(b"\xa0", ACCEPTED.typ, STRANGER), ROTATION.typ, ROOT)
    refused = {
        "by a stranger": write_rotation(STRANGER, second, 10, 15),
        "of a root that has another successor": write_rotation(ROOT, STRANGER, 10, 15),
        "that ends a root twice": write_rotation(ROOT, second, 10, 40),
        "that closes a circle": write_rotation(third, ROOT, 30, 30),
        "before its root's own time": write_rotation(third, STRANGER, 19, 19),
        "without content": unsigned,
        "cut short": steps[0][:-1],
        "that the new root did not sign": cose.sign1(cose.parse(steps[0]).payload[:-1] + b"\x00", ROTATION.typ, ROOT),
        "a trust list": signed.write(TRUST_LISTS["trust.cbor"], ROOT)[:1024],
    }
    after = [Roots((ROOT.public_key,)).offer(steps[: number + 1])[0] for number in range(len(steps))]
    return {
        "root": ROOT.kid.hex(),
        "steps": [
            {"data": raw.hex(), "signing": {str(version): [key.kid.hex() for key in held.signing(version)] for version in VERSIONS}}
            for raw, held in zip(steps, after, strict=True)
        ],
        "refused": {name: {"data": raw.hex(), "fault": fault_of(followed, raw)} for name, raw in refused.items()},
    }


VERSIONS = (0, 9, 10, 14, 15, 19, 20, 1000)


def fault_of(held: Roots, raw: bytes) -> str:
    """Why a rotation is refused; ValueError where it is not."""
    taken = held.take(raw)
    if isinstance(taken, Roots):
        raise ValueError("a rotation that is to be refused is taken")
    return taken.value


def in_hex(value: Any) -> Any:
    """`value` with all bytes in hexadecimal."""
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {key: in_hex(inner) for key, inner in value.items()}
        case list():
            return [in_hex(inner) for inner in value]
    return value


def main() -> None:
    """Writes every file anew."""
    (HERE / "root.pub.pem").write_bytes(ROOT.public_key.to_pem())
    for name, trust_list in TRUST_LISTS.items():
        (HERE / name).write_bytes(signed.write(trust_list, ROOT))
    made = {"codes.json": codes(), "signed.json": signed_objects() + commands(), "list.json": status_list(), "roots.json": roots()}
    for name, content in made.items():
        (HERE / name).write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
