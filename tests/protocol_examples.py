"""The examples in docs/protocol.md, made by the code that speaks the protocol: `python -m tests.protocol_examples` writes them anew."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from healthcode import cose, messages, signed, status, token
from healthcode.cose import SoftwareKey
from healthcode.desired import digest_settings
from healthcode.messages import Message, stamp
from healthcode.terms import (
    ClockState,
    Colour,
    Decision,
    Form,
    LaneMode,
    OperatorRole,
    PassageOutcome,
    Reason,
    Screening,
    SettingsState,
    Status,
    Use,
)
from healthcode.trust import entry_for

DOCUMENT = Path(__file__).parent.parent / "docs" / "protocol.md"
BLOCK = re.compile(r"<!-- example: (?P<name>[a-z-]+) -->\n```(?P<language>[a-z]*)\n(?P<text>.*?)```\n", re.DOTALL)

AT = 1_584_345_600  # 16 March 2020, 08:00 UTC
URI = "https://hb.example/s/1"
BOOT = "5f0c9a1e7b3d48268c1f2a6be4d90713"
KEY = SoftwareKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))  # for examples and for nothing else
OPERATOR = SoftwareKey(Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))))  # as worthless
NEXT_ROOT = SoftwareKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))  # as worthless
CLAIMS = token.Claims("CN-HB", URI, 4711, Colour.GREEN, Form.LIVE, AT - 3600, AT, AT + 150)

_settings: dict[str, messages.Setting] = {"camera.fps": 15.0, "sound.night_from": "21:30", "sound.volume": 0.5}
_at, _clock = stamp(AT + 12.5), ClockState.TRUSTED
_list = status.StatusList.empty(URI, 1, capacity=64)
_delta = _list.make_delta({4: Status.YELLOW, 61: Status.RED}, AT)
_list.apply(_delta)
_snapshot = _list.snapshot(KEY, AT)

JSON: dict[str, Message] = {
    "info": messages.Info(
        unit="north", boot_id=BOOT, software="healthgate 0.1.0", hardware="Raspberry Pi 4 Model B Rev 1.4", started_at=stamp(AT - 86400)
    ),
    "status": messages.UnitStatus(
        uptime_s=86412.5,
        outbox_pending=0,
        lists_held=2,
        list_age_s=11.2,
        trust_version=3,
        roots_held=1,
        clock_trusted=1,
        passes=1840,
        admitted=1802,
        refused=31,
        called_guard=7,
        frames_per_s=14.9,
        sensor_ok=1,
        camera_ok=1,
        alerts=1,
        ambient_c=21.38,
        board_c=48.3,
        under_voltage=0,
        disk_free_mb=23104,
        certificate_days=21.4,
    ),
    "lane": messages.Lane(since=stamp(AT), mode=LaneMode.FREE, stage="free", signal="pass", until=stamp(AT + 5400)),
    "unit-seen": messages.UnitSeen(unit="north", state="online", since=stamp(AT), alerts=["sensor"]),
    "alert": messages.Alert(name="sensor", since=stamp(AT), detail="the thermometer does not answer at 0x5a"),
    "events": messages.EventBatch(
        unit="north",
        boot_id=BOOT,
        events=[
            messages.PassEvent(
                seq=1841,
                at=_at,
                clock=_clock,
                decision=Decision.ADMIT,
                reason=Reason.GREEN,
                code="HB1:6BF...",
                issuer="CN-HB",
                list=URI,
                index=4711,
                form=Form.LIVE,
                colour=Colour.GREEN,
                said_at=stamp(AT),
                screening=Screening.NORMAL,
                skin_c=34.8,
                ambient_c=21.3,
                body_c=36.6,
                samples=3,
                ms=412.0,
                reader="zxing_local",
                frames=7,
                glimpses=2,
            ),
            messages.PassageEvent(seq=1842, at=_at, clock=_clock, outcome=PassageOutcome.USED, grant=1841, list=URI, index=4711),
            messages.ReleaseEvent(seq=1843, at=_at, clock=_clock, by="staff"),
            messages.LaneEvent(seq=1844, at=_at, clock=_clock, mode=LaneMode.FREE, until=stamp(AT + 5412.5), note="li: market day"),
            messages.UnitEvent(seq=1845, at=_at, clock=_clock, what="sensor_lost", detail="the thermometer does not answer at 0x5a"),
        ],
    ),
    "reported": messages.Reported(
        unit="north",
        version=8,
        state=SettingsState.REJECTED,
        in_force=7,
        digest=digest_settings(_settings),
        settings=_settings,
        faults=["desired 8:2: camera.fps = 90: expected a number from 1 to 60 1/s"],
    ),
    "range": messages.RangeRequest(uri=URI, epoch=1, from_version=38, to_version=41),
    "chunk": messages.ChunkRequest(uri=URI, epoch=1, version=38, offset=65536),
    "time-request": messages.TimeRequest(nonce="00112233445566778899aabbccddeeff"),
    "request": messages.Request(transaction="7c1d"),
    "response": messages.Response(status="ok", transaction="7c1d", data={"sensor_ok": True, "camera_ok": True}),
}
"""Payloads in JSON, by the name of their example."""

CBOR: dict[str, Message] = {
    "delta-answer": messages.DeltaAnswer(body=b"\xd2\x84"),
    "chunk-answer": messages.ChunkAnswer(uri=URI, epoch=1, version=38, offset=65536, total=856064, body=b"\x01\x02"),
    "time-envelope": messages.TimeAnswerEnvelope(body=b"\xd2\x84"),
    "head": messages.Head(
        uri=URI,
        epoch=1,
        version=1,
        digest=_list.digest,
        oldest=0,
        as_of=AT,
        snapshot=messages.SnapshotRef(version=1, size=856_064, sha256=hashlib.sha256(b"snapshot").digest()),
    ),
    "delta": _delta,
    "watermark": messages.Watermark(
        unit="north", at_ms=AT * 1000, boots=[messages.BootMark(boot_id=BOOT, up_to=1845, missing=[1840])], is_complete=True
    ),
    "audit-head": messages.AuditHead(issuer="CN-HB", entry=4711, digest=hashlib.sha256(b"entry 4711").digest(), at_ms=AT * 1000),
    "desired": messages.Desired(unit="north", version=8, at_ms=AT * 1000, settings="[camera]\nfps = 90\n"),
    "time": messages.TimeAnswer(unit="north", nonce="00112233445566778899aabbccddeeff", at_ms=AT * 1000),
    "release": messages.Release(
        version="0.2.0",
        after="0.1.0",
        size=70_213_004,
        sha256=hashlib.sha256(b"bundle").digest(),
        platforms=["cp311-aarch64", "cp311-x86_64"],
        signed_at=AT,
    ),
    "clock-reset": messages.ClockReset(unit="north", serial=1, floor=AT),
    "command": messages.Command(
        unit="north",
        transaction="7c1d" * 8,
        signed_at=AT,
        expires_at=AT + 30,
        why="market day",
        order=messages.ModeOrder(mode=LaneMode.FREE, for_s=5400),
    ),
    "trust-list": messages.TrustList(
        version=3,
        signed_at=AT,
        expires_at=AT + 30 * 86400,
        entries=[
            entry_for(
                KEY,
                issuer="CN-HB",
                use=Use.TOKEN,
                sign_from=AT - 86400,
                sign_until=AT + 365 * 86400,
                verify_until=AT + 400 * 86400,
                uris=[URI],
                forms=[Form.LIVE, Form.PAPER],
                max_lifetime_s=60 * 86400,
            ),
            entry_for(
                OPERATOR,
                issuer="CN-HB",
                use=Use.COMMAND,
                sign_from=AT - 86400,
                sign_until=AT + 365 * 86400,
                verify_until=AT + 365 * 86400,
                name="chen",
                role=OperatorRole.ATTENDANT,
            ),
        ],
        certificates=messages.CertificatePolicy(
            agents=["840539006"],
            vaccination=messages.VaccinationRule(products=["EU/1/20/1528", "EU/1/20/1507"], from_days=14, until_days=270),
            recovery=messages.RecoveryRule(from_days=11, until_days=180),
            test=messages.SampleRule(naa_hours=72, rat_hours=24),
        ),
    ),
    "root-rotation": messages.RootRotation(old=KEY.kid, algorithm=NEXT_ROOT.algorithm, key=NEXT_ROOT.public, since=4, until=4),
    "root-chain": messages.RootChain(rotations=[b"\xd2\x84"]),
    "trust-head": messages.TrustHead(version=3, size=1_234, sha256=hashlib.sha256(b"trust list").digest(), signed_at=AT),
}
"""Payloads in CBOR, the signed ones without their signature, by the name of their example."""


def diagnostic(value: object, depth: int = 0) -> str:
    """`value` in CBOR's diagnostic notation (RFC 8949 section 8); maps one entry a line, long byte strings cut short."""
    margin = "  " * (depth + 1)
    match value:
        case Mapping() if value:
            entries = [f"{margin}{diagnostic(key)}: {diagnostic(item, depth + 1)}" for key, item in value.items()]
            return "{\n" + ",\n".join(entries) + "\n" + margin[2:] + "}"
        case bytes():
            return f"h'{value.hex()}'" if len(value) <= 16 else f"h'{value[:12].hex()}...' / {len(value)} bytes /"
        case list() | tuple():
            return "[" + ", ".join(diagnostic(item, depth) for item in value) + "]"
        case _:
            return json.dumps(value) if value != {} else "{}"


def render(name: str) -> str:
    """The text of one example as it stands in the document."""
    if name in JSON:
        return json.dumps(json.loads(messages.encode(JSON[name])), indent=2, ensure_ascii=False) + "\n"
    if name in CBOR:
        return diagnostic(cbor2.loads(signed.pack(CBOR[name]))) + "\n"
    if name == "signed":
        return signed_table()
    sign1 = token.unwrap(token.write(CLAIMS, KEY)) if name.startswith("token") else cose.parse(_snapshot)
    if isinstance(sign1, token.TokenFault):
        raise TypeError(sign1)
    return {
        "token-text": token.write(CLAIMS, KEY) + "\n",
        "token-header": diagnostic(sign1.header) + "\n",
        "token-claims": diagnostic(cbor2.loads(sign1.payload)) + "\n",
        "snapshot": diagnostic(cbor2.loads(sign1.payload)) + "\n",
    }[name]


def signed_table() -> str:
    """The typ, use and limit of every signed object, one a line."""
    lines = [f"{kind.__name__:<12} {what.typ:<32} {what.use or 'root key':<9} {what.limit:>9}" for kind, what in signed.KINDS.items()]
    return "\n".join([f"{'object':<12} {'typ':<32} {'key':<9} {'at most':>9}", *lines]) + "\n"


def payload_classes() -> set[type[Message]]:
    """Every message class that travels as a payload or signed object of its own."""
    parts = {
        messages.Event,
        messages.SnapshotRef,
        messages.BootMark,
        messages.TrustEntry,
        *messages.AnyEvent.__args__,
        *messages.Order.__args__,
    }
    rules = {messages.CertificatePolicy, messages.VaccinationRule, messages.RecoveryRule, messages.SampleRule}
    ours = {kind for kind in vars(messages).values() if isinstance(kind, type) and issubclass(kind, Message)}
    return ours - parts - rules - {Message}


def main() -> None:
    """Writes every example in the document anew."""
    old = DOCUMENT.read_text(encoding="utf-8")
    new = BLOCK.sub(lambda found: f"<!-- example: {found['name']} -->\n```{found['language']}\n{render(found['name'])}```\n", old)
    DOCUMENT.write_text(new, encoding="utf-8")


def decode_again(message: Message) -> Message:
    """`message` after a journey in JSON."""
    return msgspec.json.decode(messages.encode(message), type=type(message))


if __name__ == "__main__":
    main()
