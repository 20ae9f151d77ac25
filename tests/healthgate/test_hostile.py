"""A town under attack: rubbish on every topic with every account and in front of the camera. Nobody passes on it, nothing falls over."""

from __future__ import annotations

import queue
import random
import secrets
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import cbor2
import numpy as np
import pytest
import segno
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from PIL import Image

from edge.drivers.luma import Pixels
from healthcode import base45, signed, topics
from healthcode.messages import (
    EventBatch,
    Info,
    PassEvent,
    TimeAnswer,
    TimeAnswerEnvelope,
    UnitEvent,
    Watermark,
    encode,
)
from healthcode.terms import ClockState, Colour, Decision, Reason, Screening, Use
from healthgate.stage import NORMAL_SKIN_C, Stage
from healthgate.story import PASSED, refused
from healthgate.town import GATES, ISSUER, OTHER_ISSUER, URI, Town
from healthgate.witness import Mark, mark, relay_pulses, rows_since, wait_for_row
from server.facts import HandReason
from tests.broker import Client
from tests.edge.codes import beside, empty_qr, picture, qr

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

NORTH, SOUTH = GATES
LIMIT_S = 15.0
RANDOM = random.Random(20200316)
NAMES = count()

RUBBISH = (
    b"\x00",
    b"garbage",
    RANDOM.randbytes(300),
    b"{}",
    b"[]",
    b"null",
    b'{"kind":"pass"}',
    b'{"unit":"\xff\xfe"}',
    b"\xed\xa0\x80" * 100,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"9" * 100_000,
    b"1e999",
    b"\x81" * 100_000,
    b"\xd2" * 100_000,
    b"\x9f" * 5_000,
    b"\xa1" * 5_000,
    b"\x5f" * 5_000,
    b"\xc2\x5a\x00\x01\x00\x00" + bytes(65_536),
    b"\xd2\x84\x40\xa0\x40\x40",
    b"\xd2\x84\x43\xa1\x01\x26\xa0\x40\x58\x40" + bytes(64),
    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
    cbor2.dumps({"kind": "chunk", "uri": "", "epoch": 0, "version": 2**60, "offset": 0, "total": 1, "body": b"x"}),
    RANDOM.randbytes(200_000),
    RANDOM.randbytes(1_000_000),
)


class Siege:
    """A town, and somebody who has the passwords of bridge and north."""

    def __init__(self, folder: Path) -> None:
        self.town = Town(folder)
        self.held = folder / "held.png"
        self.hold(qr("nothing"))
        config = folder / f"{SOUTH}.toml"
        config.write_text(config.read_text().replace('source = "simulated"', f'source = "{self.held}"'))
        self._let_in_twice()
        self.town.__enter__()
        self.stage = Stage(self.town)
        self.bridge = Client(self.town.broker, "bridge", (folder / "bridge.password").read_text())
        self.north = Client(self.town.broker, NORTH, (folder / f"{NORTH}.password").read_text())
        self.pids = self.running()
        self.genuine = self.listen()

    def _let_in_twice(self) -> None:
        """Lets the besieger connect beside those whose passwords it has; else it and they would only take turns at being connected."""
        conf = self.town.broker.folder / "mosquitto.conf"
        conf.write_text(conf.read_text().replace("use_username_as_clientid true", "use_username_as_clientid false"))

    def listen(self) -> dict[str, bytes]:
        """One genuine object of each kind that goes to units, by its topic."""
        spy = Client(self.town.broker, "bridge", (self.town.folder / "bridge.password").read_text())
        spy.subscribe(topics.ALL_DOWN, topics.down_all(NORTH), topics.down_all(SOUTH))
        self.stage.set_colour(self.stage.resident(), Colour.YELLOW, HandReason.CLOSE_CONTACT)
        channels = [topics.list_topic(ISSUER, URI, channel) for channel in ("head", "delta")]
        wanted = {*channels, topics.TRUST_HEAD, *(topics.down(unit, "ack") for unit in GATES)}
        heard: dict[str, bytes] = {}
        while not wanted <= heard.keys():
            topic, payload = spy.next()
            heard[topic] = payload
        spy.close()
        return {topic: heard[topic] for topic in wanted}

    def running(self) -> list[int | None]:
        """The processes of the town that are alive."""
        found = (self.town.server, *self.town.gates.values())
        return [process.running.pid if process.alive() and process.running else None for process in found]

    def hold(self, pixels: Pixels) -> None:
        """Holds a picture up to the south gate's camera."""
        aside = self.held.with_name(f"{next(NAMES)}.png")
        Image.fromarray(pixels).save(aside)
        aside.replace(self.held)

    def marks(self) -> dict[str, Mark]:
        """Now, at each gate."""
        return {unit: mark(self.town, unit) for unit in GATES}

    def pulses(self, since: dict[str, Mark]) -> int:
        """How often any relay rose."""
        return sum(relay_pulses(self.town.world.entries(unit, since[unit].journal)) for unit in GATES)

    def quarantined(self) -> int:
        """What the server has put aside."""
        return self.stage.quarantined()

    def all_told(self, unit: str) -> bool:
        """Whether the server has every event of `unit`, and the unit knows it."""
        return not self.town.files[unit].events(waiting=True)

    def assert_unharmed(self) -> None:
        """Both gates and the server are the processes that they were, none has said Traceback, and they do their work."""
        town, stage = self.town, self.stage
        assert self.running() == self.pids
        for process in (town.server, *town.gates.values()):
            assert "Traceback" not in process.log.read_text(), process.name
        resident = stage.resident()
        code = stage.live(resident).codes[0].text
        assert stage.present(NORTH, code).words == PASSED
        stage.clear()
        stage.set_colour(resident, Colour.RED, HandReason.CONFIRMED)
        version = town.published_version()
        assert version is not None
        assert [stage.held_version(unit) for unit in GATES] == [version, version]

        since = mark(town, SOUTH)
        town.world.set(SOUTH, skin_c=NORMAL_SKIN_C)
        self.hold(qr(code, scale=5))
        row = wait_for_row(town, SOUTH, since, lambda row: row.kind == "pass", LIMIT_S)
        assert row is not None
        assert stage.testimony(SOUTH, since).words == refused(Reason.RED)
        self.hold(qr(stage.live(stage.resident()).codes[0].text, scale=5))
        assert wait_for_row(town, SOUTH, since, lambda row: row.kind == "pass" and row.body["decision"] == Decision.ADMIT, LIMIT_S)
        assert relay_pulses(town.world.entries(SOUTH, since.journal)) == 1
        stage.walk_through(SOUTH)
        self.hold(qr("nothing"))
        stage.clear()
        for unit in GATES:
            assert town.poll(partial(self.all_told, unit), LIMIT_S), f"{unit}: events wait for ever"

    def close(self) -> None:
        self.bridge.close()
        self.north.close()
        self.town.close()


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    siege = Siege(tmp_path_factory.mktemp("t"))
    yield siege
    siege.close()


def everything_a_unit_reads(unit: str) -> list[str]:
    """The topics that `unit` hears, and some that it does not expect."""
    requests = [topics.down(unit, "request", name) for name in ("identify", "selftest", "release", "reset-time", "x")]
    lists = [topics.list_topic(issuer, URI, channel) for issuer in (ISSUER, OTHER_ISSUER, "XX-1") for channel in ("head", "delta")]
    down = [topics.down(unit, channel) for channel in ("ack", "sync", "desired")]
    return [*down, *requests, *lists, topics.TRUST_HEAD, f"{topics.ROOT}/all/else", f"{topics.ROOT}/all/lists/CN-HB/01234567/head/more"]


def everything_the_server_reads(unit: str) -> list[str]:
    """The topics that the server hears of `unit`, and some that it does not expect."""
    plain = [topics.up(unit, channel) for channel in sorted(topics.UP_PLAIN)]
    named = [topics.up(unit, channel, "x") for channel in sorted(topics.UP_NAMED)]
    return [*plain, *named, f"{topics.ROOT}/gates/{unit}/up/else", f"{topics.ROOT}/gates/{unit}/up/alert/a/b/c"]


def odd_properties() -> Properties:
    """Everything that MQTT 5 lets a sender put beside a message."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 30
    properties.ContentType = "x" * 1000
    properties.ResponseTopic = "healthgate/v1/bridge/state"
    properties.CorrelationData = bytes(range(256))
    properties.UserProperty = [("k" * 100, "v" * 1000)] * 20
    return properties


def test_rubbish_on_every_topic_with_every_account(siege: Siege) -> None:
    since, before = siege.marks(), siege.quarantined()
    hostile = [*everything_a_unit_reads(NORTH), *everything_a_unit_reads(SOUTH)]
    for unit in (NORTH, SOUTH, "nobody"):
        hostile += everything_the_server_reads(unit)
    retained = list(dict.fromkeys(hostile))
    for topic in retained:
        for payload in RUBBISH:
            siege.bridge.publish(topic, payload, retain=True)
    for topic in everything_the_server_reads(NORTH):
        for payload in RUBBISH:
            siege.north.publish(topic, payload, retain=True, properties=odd_properties())
    siege.bridge.publish(topics.BRIDGE_STATE, b"rubbish", retain=True)
    assert siege.pulses(since) == 0
    siege.assert_unharmed()
    assert siege.quarantined() - before >= 100

    siege.town.broker.kill()  # and all of it once more, retained, at a new connection
    siege.town.broker.start()
    siege.assert_unharmed()
    for topic in retained:
        siege.bridge.publish(topic, b"", retain=True)
    siege.assert_unharmed()


def test_genuine_objects_in_places_where_they_do_not_belong(siege: Siege) -> None:
    since, before = siege.marks(), siege.quarantined()
    now = int(datetime.now(UTC).timestamp())
    time_key, ack_key, token_key = siege.town.key(Use.TIME), siege.town.key(Use.ACK), siege.town.key(Use.TOKEN)
    watermark = Watermark(unit=NORTH, at_ms=now * 1000 + 10**9, boots=[])
    answer = TimeAnswer(unit=NORTH, nonce=secrets.token_hex(16), at_ms=(now + 10**8) * 1000)
    genuine = [
        *siege.genuine.values(),
        signed.write(watermark, token_key),
        signed.write(watermark, time_key),
        signed.write(answer, time_key),
        signed.pack(TimeAnswerEnvelope(body=signed.write(answer, time_key))),
        signed.pack(TimeAnswerEnvelope(body=signed.write(answer, ack_key))),
    ]
    own_place = {payload: topic for topic, payload in siege.genuine.items()}
    for topic in (*everything_a_unit_reads(NORTH), *everything_the_server_reads(NORTH), *everything_the_server_reads(SOUTH)):
        for payload in genuine:
            if own_place.get(payload) != topic:
                siege.bridge.publish(topic, payload, retain=True)
    assert siege.pulses(since) == 0
    siege.assert_unharmed()
    assert siege.quarantined() > before
    for topic in (*everything_a_unit_reads(NORTH), *everything_the_server_reads(NORTH), *everything_the_server_reads(SOUTH)):
        siege.bridge.publish(topic, b"", retain=True)


def test_events_that_claim_the_impossible(siege: Siege) -> None:
    since, before = siege.marks(), siege.quarantined()
    at = datetime.now(UTC)

    def event(seq: int = 1, when: datetime = at) -> UnitEvent:
        return UnitEvent(seq=seq, at=when, clock=ClockState.TRUSTED, what="started")

    def batch(unit: str, *events: UnitEvent | PassEvent, boot: str | None = None) -> bytes:
        return encode(EventBatch(unit=unit, boot_id=boot or secrets.token_hex(16), events=list(events)))

    early, late = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    stamps = [stamp.isoformat().encode() for stamp in (early, late)]
    odd_stamps = [stamps[0].replace(b"+00:00", b"+23:59"), stamps[1].replace(b"+00:00", b"-23:59")]
    fever = PassEvent(
        seq=1, at=late, clock=ClockState.TRUSTED, decision=Decision.REFUSE, reason=Reason.FEBRILE,
        code="HB1:" + "A" * 296, list="nowhere", index=1, screening=Screening.FEBRILE, body_c=200.0,
    )  # fmt: skip
    same, last = secrets.token_hex(16), secrets.token_hex(16)
    payloads = [
        batch(SOUTH, event()),
        batch("nobody", event()),
        batch(NORTH, event(2**53)),
        batch(NORTH, event(2**53), event(1), event(2**52)),
        batch(NORTH, event(1, early)),
        batch(NORTH, event(1, late)),
        *(batch(NORTH, event(1, early)).replace(b"0001-01-01T00:00:00Z", odd) for odd in odd_stamps),
        batch(NORTH, fever),
        batch(NORTH, event(7), boot=same),
        batch(NORTH, event(7, early), boot=same),
        *(batch(NORTH, event()) for _ in range(100)),
    ]
    for payload in payloads:
        siege.north.publish(topics.up(NORTH, "events"), payload)
    siege.north.publish(topics.up(NORTH, "events"), batch(NORTH, event(), boot=last))
    siege.north.publish(topics.up(NORTH, "info"), encode(Info(unit=SOUTH, boot_id="0" * 32, software="s", hardware="h", started_at=at)))
    assert wait_for_row(siege.town, NORTH, since[NORTH], lambda row: row.boot_id == last, LIMIT_S), "the server is through with them"
    assert siege.pulses(since) == 0
    siege.assert_unharmed()
    assert siege.quarantined() - before >= 3


def noise(length: int) -> str:
    """A code's alphabet in no order."""
    alphabet = string.digits + string.ascii_uppercase + " $%*+-./:"
    return "HB1:" + "".join(RANDOM.choices(alphabet, k=length - 4))


# Where no reason is named, the text is no code of ours or too dense to be read: whatever the gate makes of it, it does not admit.
TEXTS: tuple[tuple[str, Reason | None], ...] = (
    ("HB1:", Reason.CBOR),
    ("HB1", None),
    ("", None),
    (noise(300), Reason.BASE45),
    (noise(301), Reason.TOO_LONG),
    (noise(2900), None),
    ("HB1:" + "A" * 2896, None),
    ("HB1:" + "\x00" * 100, Reason.BASE45),
    ("HB1:\u202e\u0000\ufeff" + "健康" * 40, Reason.BASE45),
    ("HB1:" + "é" * 100, Reason.BASE45),
    ("HB1:%s%n\x1b[2J\r\n2026 INFO edge: admit GREEN", Reason.BASE45),
    ("HC1:" + noise(200)[4:], Reason.BASE45),
    ("HB1:" + base45.encode(b"\xa1" * 90 + b"\x01" + b"\x02" * 90), Reason.CBOR),
    ("hb1:6BF", None),
    ("HB1:\U0001f9a0" * 20, Reason.BASE45),
)


def test_texts_held_up_to_the_simulated_camera(siege: Siege) -> None:
    since = siege.marks()
    stage, world = siege.stage, siege.town.world
    for text, reason in TEXTS:
        at = mark(siege.town, NORTH)
        world.set(NORTH, skin_c=NORMAL_SKIN_C)
        (shown,) = world.show(NORTH, text)
        assert world.wait_for(NORTH, lambda entry, shown=shown: entry.get("shown") == [shown], LIMIT_S, at.journal)  # type: ignore[misc]
        if reason is None:
            stage.pause_frames(NORTH, world.mark(NORTH), 3)
            assert all(row.body["decision"] == Decision.REFUSE for row in rows_since(siege.town, NORTH, at, "pass"))
        else:
            row = wait_for_row(siege.town, NORTH, at, lambda row: row.kind == "pass", LIMIT_S)
            assert row is not None, text[:40]
            assert (row.body["decision"], row.body["reason"]) == (Decision.REFUSE, reason), text[:40]
            assert "code" not in row.body
        stage.clear()
    assert siege.pulses(since) == 0
    siege.assert_unharmed()


def raw_qr(content: bytes, version: int = 20) -> Pixels:
    """Bytes as a QR code in byte mode."""
    return picture(segno.make_qr(content, error="l", version=version, mode="byte", boost_error=False))


def sequence(text: str) -> list[Pixels]:
    """The parts of a Structured Append sequence."""
    return [picture(part) for part in segno.make_sequence(text, symbol_count=3, error="l", boost_error=False)]


def pictures() -> list[Pixels]:
    """What a stranger may hold up."""
    return [
        *sequence(noise(300)),
        beside(*sequence(noise(300))),
        raw_qr(bytes(range(256)) * 2),
        raw_qr(b"HB1:" + bytes(range(256))),
        raw_qr(b"HB1:\xff\xfe\xed\xa0\x80"),
        raw_qr(b"\xef\xbb\xbfHB1:" + b"\x80" * 200),
        picture(segno.make_qr(noise(2900), error="l", boost_error=False), scale=3),
        picture(segno.make_qr("HB1:" + "1" * 1000, error="l", boost_error=False), scale=3),
        empty_qr(),
        picture(segno.make_micro("HB1:1")),
        beside(*(qr(noise(40), scale=3) for _ in range(12))),
        qr(noise(300))[::-1, ::-1].copy(),
        np.invert(qr(noise(300))),
        qr("nothing")[:1, :1].copy(),
    ]


def test_pictures_held_up_to_a_camera_of_files(siege: Siege) -> None:
    since = siege.marks()
    siege.town.world.set(SOUTH, skin_c=NORMAL_SKIN_C)
    at = mark(siege.town, SOUTH)
    for pixels in pictures():
        siege.hold(pixels)
        siege.stage.pause_frames(SOUTH, siege.town.world.mark(SOUTH), 6)
    siege.held.write_bytes(b"no image at all")
    siege.stage.pause_frames(SOUTH, siege.town.world.mark(SOUTH), 6)
    siege.hold(qr("nothing"))
    assert siege.pulses(since) == 0
    siege.assert_unharmed()
    reasons = {row.body["reason"] for row in rows_since(siege.town, SOUTH, at, "pass")}
    assert {Reason.TOO_LONG, Reason.BASE45, Reason.ONE_AT_A_TIME} <= reasons
    what = [row.body["what"] for row in rows_since(siege.town, SOUTH, at, "unit")]
    assert "camera_lost" in what
    assert "camera_back" in what


def test_what_the_siege_heard_is_no_secret(siege: Siege) -> None:
    """North's account reads nothing that is not north's, as the town's own broker is set up."""
    siege.north.subscribe("#", topics.ALL_UP, topics.down_all(SOUTH), f"{topics.ROOT}/bridge/#")
    siege.bridge.publish(topics.down(SOUTH, "ack"), b"for south")
    siege.bridge.publish(topics.down(NORTH, "request", "x"), b"for north")
    heard = []
    while (topics.down(NORTH, "request", "x"), b"for north") not in heard:
        try:
            heard.append(siege.north.next())
        except queue.Empty:
            pytest.fail("north does not hear what is its own")
    own = (f"{topics.ROOT}/gates/{NORTH}/down/", f"{topics.ROOT}/all/")
    assert all(topic.startswith(own) for topic, _ in heard)
