"""Every MQTT payload as a typed struct: unknown fields are refused and every length is bounded.

What people watch (events, status, requests) is JSON with units in the names; what is signed is deterministic CBOR inside a COSE_Sign1
(`healthcode.signed`). Times are UTC: RFC 3339 strings in JSON, whole seconds since 1970 in signed objects.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from healthcode.terms import (
    CertificateKind,
    ClockState,
    Colour,
    CommandName,
    Decision,
    Form,
    LaneMode,
    OperatorRole,
    PassageOutcome,
    Reason,
    Screening,
    SettingsState,
    Use,
)

T = TypeVar("T")

MAX_EVENTS = 100
MAX_CHUNK = 64 * 1024
MAX_CHANGES = 20_000
MAX_HEAD = 1024
MAX_SAID = 4096
MAX_SIGNED = 256 * 1024
MAX_TRUST = 1024 * 1024
MAX_SNAPSHOT = 64 * 1024 * 1024
MAX_BATCH = 256 * 1024
MAX_DESIRED = 16 * 1024
MAX_ROTATIONS = 16
MAX_BUNDLE = 512 * 1024 * 1024
MAX_CHAIN = MAX_ROTATIONS * (MAX_HEAD + 3) + 16

UnitId = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z", extra={"form": "1 to 32 of A-Z, a-z, 0-9, - and _, the first a letter or a digit"}),
]
IssuerId = UnitId
BootId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Uri = Annotated[str, Meta(min_length=1, max_length=120)]
Seq = Annotated[int, Meta(ge=1, le=2**53)]
Seconds = Annotated[int, Meta(ge=0, le=2**40)]
Version = Annotated[int, Meta(ge=0, le=2**53)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Stamp = Annotated[datetime, Meta(tz=True)]
Index = Annotated[int, Meta(ge=0, lt=2**26)]
Celsius = Annotated[float, Meta(ge=-100.0, le=200.0)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Frames = Annotated[int, Meta(ge=0, le=1_000_000)]
Amount = Annotated[float, Meta(ge=0, le=1e12)]
Short = Annotated[str, Meta(max_length=200)]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,29}\Z")]
CodeText = Annotated[str, Meta(max_length=300)]
CertificateId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Days = Annotated[int, Meta(ge=0, le=3650)]
Hours = Annotated[int, Meta(ge=1, le=24 * 365)]
Name = Annotated[str, Meta(min_length=1, max_length=60)]
ReleaseVersion = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){2}\Z",
        extra={"form": "three numbers with dots between, such as 0.2.0"},
    ),
]
Platform = Annotated[str, Meta(pattern=r"^cp3[0-9]{1,2}-(aarch64|x86_64)\Z")]
OperatorName = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,31})?\Z")]
Transaction = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Why = Annotated[str, Meta(min_length=1, max_length=120)]
HexDigest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
FaultLine = Annotated[str, Meta(max_length=600)]
Plain = (
    Annotated[str, Meta(max_length=400)] | bool | Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[float, Meta(ge=-1e12, le=1e12)]
)
Setting = Plain | Annotated[list[Plain], Meta(max_length=64)]


def stamp(seconds: float) -> datetime:
    """`seconds` since 1970 as the UTC time that goes into a message, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Base of all payloads."""


class Event(Message, frozen=True, tag_field="kind"):
    """One thing that happened at a unit; (unit, boot_id, seq) names it for ever."""

    seq: Seq
    at: Stamp
    clock: ClockState


class PassEvent(Event, frozen=True, tag="pass"):
    """A verdict on a person. `code` is the text that was read, so that the server can judge it anew; readings only where one was taken.

    `list` and `index` name the person; `said_at` is when the issuer said the colour that counted; `ms` is sighting to verdict. `frames` is
    in how many frames the code was located until the verdict, `glimpses` in how many of them it was not read before it first was.
    Of a foreign certificate there is nothing but `certificate`, a hash of its identifier under a key that never leaves the unit: the same
    certificate has the same one there, and nobody else can make anything of it.
    """

    decision: Decision
    reason: Reason
    code: CodeText | None = None
    certificate: CertificateId | None = None
    issuer: IssuerId | None = None
    list: Uri | None = None
    index: Index | None = None
    form: Form | None = None
    colour: Colour | None = None
    said_at: Stamp | None = None
    screening: Screening | None = None
    skin_c: Celsius | None = None
    ambient_c: Celsius | None = None
    body_c: Celsius | None = None
    samples: Annotated[int, Meta(ge=0, le=10_000)] = 0
    ms: Amount | None = None
    reader: Short | None = None
    frames: Frames = 0
    glimpses: Frames = 0


class PassageEvent(Event, frozen=True, tag="passage"):
    """How a grant, or the lack of one, ended at the barrier; `grant` is the seq of the event that granted it."""

    outcome: PassageOutcome
    grant: Seq | None = None
    list: Uri | None = None
    index: Index | None = None


class ReleaseEvent(Event, frozen=True, tag="release"):
    """The barrier was opened by a person in charge, without a code."""

    by: Literal["staff", "command", "exit"]
    note: Short = ""


class LaneEvent(Event, frozen=True, tag="lane"):
    """The lane changed: its mode, the fire loop, the tamper contact. `until`: when the mode free ends; `note`: who asked, and why."""

    mode: LaneMode
    fire: bool = False
    tamper: bool = False
    until: Stamp | None = None
    note: Short = ""


class UnitEvent(Event, frozen=True, tag="unit"):
    """The unit itself: started, stopping, a device lost or back. `what` is a stable word, `detail` one line for people."""

    what: Short
    detail: Short = ""


AnyEvent = PassEvent | PassageEvent | ReleaseEvent | LaneEvent | UnitEvent


class EventBatch(Message, frozen=True):
    """up/events: up to 100 events of one boot of one unit."""

    unit: UnitId
    boot_id: BootId
    events: Annotated[list[AnyEvent], Meta(min_length=1, max_length=MAX_EVENTS)]


class Info(Message, frozen=True):
    """up/info: what the unit is and runs."""

    unit: UnitId
    boot_id: BootId
    software: Short
    hardware: Short
    started_at: Stamp


class UnitStatus(Message, frozen=True):
    """up/status: flat numbers, as Telegraf and the like expect. Ages in seconds; an age of None is a thing not held."""

    uptime_s: Amount
    outbox_pending: Count
    lists_held: Count
    list_age_s: Annotated[float, Meta(ge=-1e12, le=1e12)] | None = None
    trust_version: Version | None = None
    roots_held: Count = 0
    clock_trusted: Count = 0
    passes: Count = 0
    admitted: Count = 0
    refused: Count = 0
    called_guard: Count = 0
    frames_per_s: Amount | None = None
    sensor_ok: Count = 0
    camera_ok: Count = 0
    alerts: Count = 0
    ambient_c: Celsius | None = None
    board_c: Celsius | None = None
    under_voltage: Count | None = None
    disk_free_mb: Amount | None = None
    certificate_days: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None


class Lane(Message, frozen=True):
    """up/lane: how the lane stands since `since`: its mode, where it is in a passage, what the light shows. It says nothing of who passes.

    `until`: when the mode free ends. `stage` and `signal` are the unit's own words (docs/protocol.md).
    """

    since: Stamp
    mode: LaneMode
    stage: Word
    signal: Word
    fire: bool = False
    tamper: bool = False
    until: Stamp | None = None


class Reported(Message, frozen=True):
    """up/reported, retained: what has become of the newest configuration that the unit was given, and which is in force.

    `version` is the newest that was given (0: none yet), `in_force` the one that stands above the unit's own file (0: none); `faults`
    says, a line each, why they differ. `settings` are all keys that may be set from afar as they are in force, `digest` their SHA-256.
    """

    unit: UnitId
    version: Version
    state: SettingsState
    in_force: Version
    digest: HexDigest
    settings: Annotated[dict[Short, Setting], Meta(max_length=500)]
    faults: Annotated[list[FaultLine], Meta(max_length=50)] = []


class Alert(Message, frozen=True):
    """up/alert/{name}, retained; an empty payload clears it."""

    name: Short
    since: Stamp
    detail: Short = ""


class UnitSeen(Message, frozen=True):
    """bridge/units/{unit}: how the server sees a unit: whether it is there, since when that is so, and its alerts.

    What is said of one that is not online was so when it was last heard. Empty where it is retired.
    """

    unit: UnitId
    state: Literal["online", "offline", "silent", "unknown", "retired"]
    since: Stamp
    alerts: Annotated[list[Short], Meta(max_length=64)] = []


class Response(Message, frozen=True):
    """up/response/{command}: the answer to a request."""

    status: Literal["ok", "error"]
    transaction: Short
    data: Annotated[dict[Short, Annotated[str, Meta(max_length=2000)] | int | float | bool | None], Meta(max_length=100)] = {}
    error: Short = ""


class Request(Message, frozen=True):
    """down/request/{command} where it needs no signature (identify, selftest)."""

    transaction: Short


class RangeRequest(Message, frozen=True, tag_field="kind", tag="range"):
    """up/sync: the deltas of `uri` that lead from version `from_version` to `to_version`."""

    uri: Uri
    epoch: Version
    from_version: Version
    to_version: Version


class ChunkRequest(Message, frozen=True, tag_field="kind", tag="chunk"):
    """up/sync: at most MAX_CHUNK bytes from `offset` of a snapshot (`uri` set) or of the trust list (`uri` empty), at `version`."""

    uri: Annotated[str, Meta(max_length=120)]
    epoch: Version
    version: Version
    offset: Annotated[int, Meta(ge=0, le=MAX_SNAPSHOT)]


class TimeRequest(Message, frozen=True, tag_field="kind", tag="time"):
    """up/sync: asks a time key to sign what time it is, together with `nonce` (16 random bytes in hexadecimal)."""

    nonce: BootId


SyncRequest = RangeRequest | ChunkRequest | TimeRequest


class DeltaAnswer(Message, frozen=True, tag_field="kind", tag="delta"):
    """down/sync: one signed delta of a range."""

    body: Annotated[bytes, Meta(max_length=MAX_SIGNED)]


class ChunkAnswer(Message, frozen=True, tag_field="kind", tag="chunk"):
    """down/sync: a piece of a signed snapshot or trust list; `total` is the whole object's length in bytes."""

    uri: Annotated[str, Meta(max_length=120)]
    epoch: Version
    version: Version
    offset: Annotated[int, Meta(ge=0, le=MAX_SNAPSHOT)]
    total: Annotated[int, Meta(ge=1, le=MAX_SNAPSHOT)]
    body: Annotated[bytes, Meta(min_length=1, max_length=MAX_CHUNK)]


class TimeAnswerEnvelope(Message, frozen=True, tag_field="kind", tag="time"):
    """down/sync: a signed TimeAnswer."""

    body: Annotated[bytes, Meta(max_length=MAX_HEAD)]


SyncAnswer = DeltaAnswer | ChunkAnswer | TimeAnswerEnvelope


class SnapshotRef(Message, frozen=True):
    """The snapshot that a head points to: its version, its length in bytes and its SHA-256."""

    version: Version
    size: Annotated[int, Meta(ge=1, le=MAX_SNAPSHOT)]
    sha256: Digest


class Head(Message, frozen=True):
    """Signed: where a status list stands at `as_of`. `digest` ends the chain of changes; deltas reach back to version `oldest`."""

    uri: Uri
    epoch: Version
    version: Version
    digest: Digest
    oldest: Version
    snapshot: SnapshotRef
    as_of: Seconds


class Delta(Message, frozen=True):
    """Signed: the changes that lead a status list from version `start` to `to`, as `healthcode.status` packs them.

    On the wire `start` is called "from". `digest` is the chain's digest after the changes.
    """

    uri: Uri
    epoch: Version
    start: Version = msgspec.field(name="from")
    to: Version
    as_of: Seconds
    gaps: Annotated[bytes, Meta(max_length=128 * 1024)]
    values: Annotated[bytes, Meta(max_length=8 * 1024)]
    digest: Digest


class BootMark(Message, frozen=True):
    """Of one boot: the database holds every seq from 1 to `up_to`, except those in `missing`."""

    boot_id: BootId
    up_to: Annotated[int, Meta(ge=0, le=2**53)]
    missing: Annotated[list[Seq], Meta(max_length=500)] = []


class Watermark(Message, frozen=True):
    """Signed, down/ack: what of a unit's events the database holds. Names the unit; `at_ms` orders watermarks (milliseconds since 1970).

    `is_complete`: these are all the boots of this unit that the database has heard of in the last eight days at least; of any other
    boot it is to be sent again what the unit still keeps.
    """

    unit: UnitId
    at_ms: Annotated[int, Meta(ge=0, le=2**53)]
    boots: Annotated[list[BootMark], Meta(max_length=64)]
    is_complete: bool = False


class AuditHead(Message, frozen=True):
    """Signed, bridge/audit: where the issuer's audit log stands at `at_ms` (milliseconds since 1970): its last entry, and its digest.

    Who keeps it can tell later whether anything up to that entry was changed or left out.
    """

    issuer: IssuerId
    entry: Annotated[int, Meta(ge=0, le=2**53)]
    digest: Digest
    at_ms: Annotated[int, Meta(ge=0, le=2**53)]


class TimeAnswer(Message, frozen=True):
    """Signed: the time, in milliseconds since 1970, answering one unit's nonce."""

    unit: UnitId
    nonce: BootId
    at_ms: Annotated[int, Meta(ge=0, le=2**53)]


class Desired(Message, frozen=True):
    """Signed, down/desired: what shall stand above the unit's own file, TOML in `settings`, all of it: what is not there is the file's.

    Names the unit; `version` is above that of every configuration that the unit was given before. `at_ms` is when it was signed.
    """

    unit: UnitId
    version: Seq
    at_ms: Annotated[int, Meta(ge=0, le=2**53)]
    settings: Annotated[str, Meta(max_length=12_000)]


class ClockReset(Message, frozen=True):
    """Signed by the root key, down/clock: from now on the unit's time is `floor` or later, though a time key has said more before.

    `serial` is above that of the unit's last reset: each counts once. It carries no time of its own, because the unit's may be wrong.
    """

    unit: UnitId
    serial: Seq
    floor: Seconds


class OpenOrder(Message, frozen=True, tag_field="command", tag="open"):
    """Open the barrier once, as the staff's button does."""


class ModeOrder(Message, frozen=True, tag_field="command", tag="mode"):
    """Run the lane in `mode` from now on; free for `for_s` seconds, which no other mode has."""

    mode: LaneMode
    for_s: Annotated[int, Meta(ge=0, le=86_400)] = 0


class SyncOrder(Message, frozen=True, tag_field="command", tag="sync"):
    """Ask the server for the time, the heads and the lists now."""


class CalibrateOrder(Message, frozen=True, tag_field="command", tag="calibrate"):
    """Take the thermometer's offset from a black body of so many degrees Celsius that somebody holds before it."""

    black_body_c: Annotated[float, Meta(ge=34, le=40)]
    emissivity: Annotated[float, Meta(ge=0.8, le=1.0)] = 0.99


class RestartOrder(Message, frozen=True, tag_field="command", tag="restart"):
    """End the process in order; its service starts it again."""


class RebootOrder(Message, frozen=True, tag_field="command", tag="reboot"):
    """Start the whole machine anew."""


class LogsOrder(Message, frozen=True, tag_field="command", tag="logs"):
    """Say the last `lines` lines of the log."""

    lines: Annotated[int, Meta(ge=1, le=90)] = 50


class UpdateOrder(Message, frozen=True, tag_field="command", tag="update"):
    """Fetch, try and run the release of this version."""

    release: ReleaseVersion


Order = OpenOrder | ModeOrder | SyncOrder | CalibrateOrder | RestartOrder | RebootOrder | LogsOrder | UpdateOrder


class Command(Message, frozen=True):
    """Signed by an operator, down/request/{command}: what one unit is to do, once, between `signed_at` and `expires_at`.

    `transaction` is 128 random bits: a unit carries each out once. `why` is on record with the operator's name.
    """

    unit: UnitId
    transaction: Transaction
    signed_at: Seconds
    expires_at: Seconds
    why: Why
    order: Order

    @property
    def name(self) -> CommandName:
        """The command's name, as its topic has it."""
        return CommandName(str(self.order.__struct_config__.tag))


class TrustEntry(Message, frozen=True):
    """What one key may do. Algorithm, issuer, use and scope of whatever it signs come from here, never from the signed object.

    `name` and `role` are those of the operator whose key it is, where it signs commands; empty for other keys.
    `key` is the raw public key: 65 bytes uncompressed point for ES256 (SEC 1), 32 bytes for Ed25519 (RFC 8032), the DER of a
    SubjectPublicKeyInfo for PS256, which counts for the use `dcc` alone. `kid` is the first 8 bytes of the SHA-256 of `key`; for the use
    `dcc` those of the SHA-256 of the key's own certificate, and `kinds` are the certificates that it may sign.
    A signature counts where its own time lies in [sign_from, sign_until] and the time of checking is at most verify_until.
    """

    issuer: IssuerId
    kid: Annotated[bytes, Meta(min_length=8, max_length=8)]
    algorithm: Literal["ES256", "Ed25519", "PS256"]
    key: Annotated[bytes, Meta(min_length=32, max_length=600)]
    use: Use
    sign_from: Seconds
    sign_until: Seconds
    verify_until: Seconds
    uris: Annotated[list[Uri], Meta(max_length=16)] = []
    forms: Annotated[list[Form], Meta(max_length=2)] = []
    max_lifetime_s: Seconds = 0
    epoch: Version = 0
    kinds: Annotated[list[CertificateKind], Meta(max_length=3)] = []
    name: OperatorName = ""
    role: OperatorRole | None = None


class VaccinationRule(Message, frozen=True):
    """A complete series (as many doses as it has, or more) of one of `products`, its last dose `from_days` to `until_days` days ago.

    Products by their number in the EU's register of medicines, such as EU/1/20/1528.
    """

    products: Annotated[list[Name], Meta(min_length=1, max_length=100)]
    from_days: Days
    until_days: Days


class RecoveryRule(Message, frozen=True):
    """A recovery whose first positive test was `from_days` to `until_days` days ago, within the certificate's own dates."""

    from_days: Days
    until_days: Days


class SampleRule(Message, frozen=True):
    """A negative test, its sample at most so many hours old: of nucleic acid (NAA), of antigen (RAT). One without hours does not count."""

    naa_hours: Hours | None = None
    rat_hours: Hours | None = None


class CertificatePolicy(Message, frozen=True):
    """Which EU Digital COVID Certificates count as green here. A kind without a rule does not count.

    `agents` are the diseases that count, by their SNOMED CT code; 840539006 is COVID-19.
    """

    agents: Annotated[list[Name], Meta(min_length=1, max_length=20)]
    vaccination: VaccinationRule | None = None
    recovery: RecoveryRule | None = None
    test: SampleRule | None = None


class TrustList(Message, frozen=True):
    """Signed by the root key: every key that counts here, and which foreign certificates do (None: none). Versions only go up."""

    version: Version
    signed_at: Seconds
    expires_at: Seconds
    entries: Annotated[list[TrustEntry], Meta(max_length=4000)]
    certificates: CertificatePolicy | None = None


class TrustHead(Message, frozen=True):
    """Signed by the root key, all/trust/head: the newest trust list's version, length in bytes and SHA-256."""

    version: Version
    size: Annotated[int, Meta(ge=1, le=MAX_TRUST)]
    sha256: Digest
    signed_at: Seconds


class RootRotation(Message, frozen=True):
    """Signed by the root that comes, `key`, and over that by the root before, whose identifier is `old` (`healthcode.roots`).

    The new root signs trust lists from version `since` on; from version `until` on the old one signs none (None: not decided yet).
    """

    old: Annotated[bytes, Meta(min_length=8, max_length=8)]
    algorithm: Literal["ES256", "Ed25519"]
    key: Annotated[bytes, Meta(min_length=32, max_length=65)]
    since: Version
    until: Version | None = None


class RootChain(Message, frozen=True):
    """all/trust/roots: every rotation of a root so far. It needs no signature of its own, for each has two."""

    rotations: Annotated[list[Annotated[bytes, Meta(max_length=MAX_HEAD)]], Meta(max_length=MAX_ROTATIONS)]


class Release(Message, frozen=True):
    """Signed by a key of the use `release`: a version of what gates run. Length in bytes and SHA-256 are those of its bundle, one file.

    `platforms` are the Pythons and processors that it has wheels for. `after` is the oldest version from which it may be reached: what an
    older one keeps on disk, this one may not be able to read.
    """

    version: ReleaseVersion
    after: ReleaseVersion
    size: Annotated[int, Meta(ge=1, le=MAX_BUNDLE)]
    sha256: Digest
    platforms: Annotated[list[Platform], Meta(min_length=1, max_length=8)]
    signed_at: Seconds


class BadPayload(ValueError):
    """A payload that is not what its topic calls for; the text is one line for the log."""


_ENCODER = msgspec.json.Encoder()
_SYNC_REQUEST: msgspec.json.Decoder[SyncRequest] = msgspec.json.Decoder(SyncRequest)


def encode(message: Message) -> bytes:
    """`message` as JSON bytes."""
    return _ENCODER.encode(message)


def decode(payload: bytes, kind: type[T], limit: int = MAX_BATCH) -> T:
    """`payload`, JSON, as a `kind`; BadPayload names what was wrong where it is too long, no JSON or no such message."""
    if len(payload) > limit:
        raise BadPayload(f"payload of {len(payload)} bytes: expected at most {limit}")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as wrong:
        raise BadPayload(f"{wrong}: expected {_name(kind)}") from None


def decode_sync_request(payload: bytes) -> SyncRequest:
    """An up/sync payload; BadPayload where it is none."""
    if len(payload) > MAX_HEAD:
        raise BadPayload(f"payload of {len(payload)} bytes: expected at most {MAX_HEAD}")
    try:
        request: SyncRequest = _SYNC_REQUEST.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as wrong:
        raise BadPayload(f"{wrong}: expected a range, chunk or time request") from None
    return request


def _name(kind: object) -> str:
    return getattr(kind, "__name__", str(kind))
