"""Units that are enrolled over HTTPS, a real broker that speaks TLS, and everybody who has no business there."""

from __future__ import annotations

import queue
import secrets
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from edge import config as edge_config
from edge.cache import Cache
from edge.clock import Clock, FloorFile
from edge.dialogue import Dialogue
from edge.identity import open_identity
from edge.link import Link, LinkDown, LinkNews, LinkUp
from edge.outbox import Outbox
from edge.renewal import Renewal
from healthcode import topics
from healthcode.admission import Secret
from healthcode.cose import SoftwareKey
from healthcode.messages import Info, stamp
from healthgate import edge, server
from healthgate.broker_session import NoBroker
from healthgate.fleet_access import prove_shut_out
from server.admissions import Admissions
from server.authority import UNIT_DAYS, Authority, der, ends, key_pem, make_key, pem, spki
from server.config import load
from server.keys import load_roots
from server.mosquitto import reload
from server.office import Office, open_office
from server.renewals import Renewals
from server.store import admissions
from server.store.admissions import CertificateRow
from tests.fleet_house import LIMIT_S, URI, FleetHouse, Peer, certificate_of, come, unit_context

pytestmark = pytest.mark.slow

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHouse]:
    """One server for all of them; each test has units of its own."""
    made = FleetHouse(tmp_path_factory.mktemp("fleet") / "office")
    with made.open():
        yield made


@pytest.fixture(scope="module")
def three(house: FleetHouse) -> dict[str, Path]:
    """Three enrolled units, by name."""
    return {unit: house.enrol(unit) for unit in ("north", "south", "west")}


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory, house: FleetHouse) -> Authority:
    """An authority that calls itself by the same name."""
    assert house.authority.certificate.subject
    return Authority.create(tmp_path_factory.mktemp("strangers"), 1_700_000_000.0)


# ---- enrolment


def test_three_units_have_all_that_they_need_and_nobody_else_may_read_it(house: FleetHouse, three: dict[str, Path]) -> None:
    for unit, folder in three.items():
        checked = CliRunner().invoke(edge.app, ["check", "--config", str(folder / "etc" / "gate.toml")])
        assert checked.exit_code == 0, checked.output
        assert f"unit {unit}, hardware pi: good" in checked.stdout
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {path.name for path in files} == {"gate.toml", "root-1.pub.pem", "unit.pem", "unit.crt", "ca.crt"}
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        assert (folder / "etc" / "root-1.pub.pem").read_bytes() == (house.folder / "keys" / "root.pub.pem").read_bytes()
    listed = CliRunner().invoke(server.app, ["unit", "list", "--config", str(house.folder / "server.toml")])
    assert all(unit in listed.stdout for unit in three)


def test_wherever_the_power_fails_the_same_command_goes_on_with_the_same_key(house: FleetHouse, tmp_path: Path) -> None:
    """Files appear whole, in one order: every beginning of that order is what a power cut can leave."""
    secret = house.secret("powerless")
    whole = tmp_path / "whole"
    assert come(whole, house.server, secret).exit_code == 0
    identity = whole / "data" / "identity"
    order = [
        identity / "unit.pem",
        whole / "etc" / "root-1.pub.pem",
        identity / "ca.crt",
        identity / "unit.crt",
        whole / "etc" / "gate.toml",
    ]
    assert set(order) == {path for path in whole.rglob("*") if path.is_file()}
    times = [path.stat().st_mtime_ns for path in order]
    assert times == sorted(times)
    for done in range(1, len(order)):
        again = tmp_path / f"after-{done}"
        for path in order[:done]:
            target = again / path.relative_to(whole)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        half = again / order[done].relative_to(whole).with_name(order[done].name + ".new")
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")
        finished = come(again, house.server, secret)
        assert finished.exit_code == 0, finished.output
        assert certificate_of(again) == certificate_of(whole), "one enrolment, however often it was asked"
        assert (again / "etc" / "gate.toml").read_text() == (whole / "etc" / "gate.toml").read_text().replace(str(whole), str(again))


def test_a_secret_that_was_used_or_is_another_server_s_says_so(house: FleetHouse, tmp_path: Path) -> None:
    secret = house.secret("twice")
    assert "a secret waits for it until 2" in house.fleet("show", "twice").stdout
    assert come(tmp_path / "first", house.server, secret).exit_code == 0
    second = come(tmp_path / "second", house.server, secret)
    assert second.exit_code == 2
    assert "has let another key in" in second.stderr
    known = Secret.parse(house.secret("other"))
    unknown = come(tmp_path / "third", house.server, str(Secret(bytes(16), known.roots, known.server)))
    assert unknown.exit_code == 2
    assert "not known here" in unknown.stderr
    for folder in ("second", "third"):
        assert [path.name for path in (tmp_path / folder).rglob("*") if path.is_file()] == ["unit.pem"], "nothing but its own key was kept"


def test_a_root_that_the_secret_does_not_name_is_not_believed(house: FleetHouse, tmp_path: Path) -> None:
    """Somebody has the server and its certificate, and hands over a root of their own."""
    secret = house.secret("rooted")
    root = house.folder / "keys" / "root.pub.pem"
    kept = root.read_bytes()
    root.write_bytes(SoftwareKey.generate().public_key.to_pem())
    try:
        told = come(tmp_path, house.server, secret)
    finally:
        root.write_bytes(kept)
    assert told.exit_code == 2
    assert "not believed. Nothing was kept" in told.stderr
    assert not (tmp_path / "etc").exists()
    assert come(tmp_path, house.server, secret).exit_code == 0, "and the right one is taken, by the same secret"


def test_a_man_in_the_middle_hears_nothing(house: FleetHouse, strangers: Authority, tmp_path: Path) -> None:
    """He has a certificate for the right name from an authority of his own, and from ours by its key: not the server's key."""
    secret = house.secret("careful")
    for number, authority in enumerate((strangers, house.authority)):
        with listening(authority, tmp_path) as (port, heard):
            told = come(tmp_path / str(number), f"127.0.0.1:{port}", secret)
            assert told.exit_code == 2
            assert "Nothing was sent" in told.stderr
        assert heard == [b""]
    assert come(tmp_path / "unit", house.server, secret).exit_code == 0


class listening:  # noqa: N801
    """A TLS server of somebody else's; what it hears of one visitor after the handshake."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        key = make_key()
        (folder / "middle.pem").write_bytes(key_pem(key) + pem(authority.server(key.public_key(), ["127.0.0.1"], 1_790_000_000.0)).encode())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "middle.pem")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LIMIT_S)
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(LIMIT_S)
        with self._context.wrap_socket(connection, server_side=True) as visitor:
            try:
                self.heard.append(visitor.recv(4096))
            except (ssl.SSLError, ConnectionError):
                self.heard.append(b"")

    def __enter__(self) -> tuple[int, list[bytes]]:
        self._thread.start()
        return self._listener.getsockname()[1], self.heard

    def __exit__(self, *_: object) -> None:
        self._thread.join(LIMIT_S)
        self._listener.close()


# ---- who is let in


def test_nobody_comes_in_without_a_good_certificate(house: FleetHouse, strangers: Authority) -> None:
    """By TLS 1.3 a client believes itself connected before the server has looked at its certificate: what counts is the CONNACK."""
    now = time.time()
    key = make_key()
    server_s = house.authority.server(key.public_key(), ["gate.north.1"], now)
    alone = key_pem(key).decode()
    for name, context in {
        "none": house.context_of(""),
        "no TLS": None,
        "another authority's": house.context("gate.north.1", by=strangers, at=now),
        "our name, another key": house.context("gate.north.1", by=Authority(make_key(), house.authority.certificate)),
        "expired": house.context("gate.north.1", at=now - 31 * DAY_S),
        "a server's": house.context_of(alone + pem(server_s)),
    }.items():
        with Peer(house, context) as peer:
            assert peer.refused, name
    with Peer(house, house.context("gate.north.1")) as peer:
        assert peer.refused == "", "and a good one is let in"


def test_old_protocols_are_refused(house: FleetHouse) -> None:
    def shake(version: ssl.TLSVersion) -> str:
        context = house.context("gate.north.1")
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
        with (
            socket.create_connection(("127.0.0.1", house.port), LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as made,
        ):
            return str(made.version())

    with pytest.warns(DeprecationWarning):
        assert shake(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                shake(old)


def test_a_unit_writes_only_under_its_own_up_and_reads_only_its_own_down_and_what_is_for_all(
    house: FleetHouse, three: dict[str, Path]
) -> None:
    with Peer(house, house.context("bridge")) as bridge, Peer(house, unit_context(house, three["north"])) as north:
        assert north.refused == bridge.refused == ""
        bridge.subscribe("healthgate/v1/#")
        forbidden = (
            topics.up("south", "events"),
            topics.up("south", "state"),
            topics.down("south", "ack"),
            topics.down("north", "ack"),
            topics.down("north", "certificate"),
            topics.TRUST_HEAD,
            topics.TRUST_ROOTS,
            topics.list_topic("CN-HB", URI, "head"),
            topics.list_topic("CN-HB", URI, "delta"),
            topics.BRIDGE_STATE,
            "healthgate/v1/gates/north",
            "homeassistant/device/north/config",
            "elsewhere",
        )
        for topic in forbidden:
            assert not north.publish(topic, retain=True), topic
        assert north.publish(topics.up("north", "events"), b"last")
        assert bridge.until(topics.up("north", "events"), b"last") == set(), "nothing came through in between"
        north.subscribe(topics.down_all("north"), topics.ALL_DOWN)
        north.subscribe(topics.down_all("south"), "#", topics.ALL_UP, "healthgate/v1/bridge/#", "$share/all/healthgate/v1/gates/#")
        for topic in (topics.down("south", "ack"), topics.up("south", "events"), topics.BRIDGE_STATE):
            assert bridge.publish(topic, b"not for north")
        assert bridge.publish(topics.TRUST_HEAD, b"for all")
        assert bridge.publish(topics.down("north", "ack"), b"yours")
        assert north.until(topics.down("north", "ack"), b"yours") == {topics.TRUST_HEAD}


def test_a_last_will_speaks_for_nobody_else(house: FleetHouse, three: dict[str, Path]) -> None:
    """Each connection ends the one before it, and has its last will said where the broker takes it."""
    own, end = topics.up("north", "state"), topics.up("north", "events")
    others = (topics.up("south", "state"), topics.down("south", "ack"), topics.TRUST_HEAD, topics.BRIDGE_STATE)
    with Peer(house, house.context("bridge")) as bridge:
        bridge.subscribe(*others, own, end)
        said = [Peer(house, unit_context(house, three["north"]), will=topic) for topic in (*others, own)]
        with Peer(house, unit_context(house, three["north"])) as last:
            assert last.publish(end, b"last")
            assert bridge.until(end, b"last") == {own}
        assert bridge.publish(own, retain=True, payload=b"")
    for peer in said:
        peer.close()


@pytest.mark.parametrize("name", ["gate.south.1", "south", "bridge"])
def test_nobody_takes_over_another_s_session_by_its_client_id(house: FleetHouse, three: dict[str, Path], name: str) -> None:
    """Whatever both of them call themselves."""
    with Peer(house, unit_context(house, three["south"]), client_id=name) as south:
        south.subscribe(topics.down_all("south"))
        with Peer(house, unit_context(house, three["north"]), client_id=name) as thief:
            assert thief.refused == ""
            thief.subscribe(topics.down_all("south"))
            with Peer(house, house.context("bridge"), client_id=name) as bridge:
                assert bridge.publish(topics.down("south", "ack"), b"yours")
                assert south.until(topics.down("south", "ack"), b"yours") == set()
            assert thief.heard.empty()
        assert south.lost.empty(), "its connection was never touched"


def test_an_operator_asks_units_and_hears_them_and_does_no_more(house: FleetHouse, three: dict[str, Path], tmp_path: Path) -> None:
    made = house.fleet("operator", "li", "--folder", str(tmp_path))
    assert made.exit_code == 0, made.output
    assert (tmp_path / "op.li.pem").stat().st_mode & 0o777 == 0o600
    context = house.context_of((tmp_path / "op.li.pem").read_text() + (tmp_path / "op.li.crt").read_text())
    with Peer(house, context) as li, Peer(house, unit_context(house, three["north"])) as north:
        li.subscribe(topics.ALL_UP, "#", "$share/li/healthgate/v1/gates/+/up/events")
        north.subscribe(topics.down_all("north"))
        assert li.publish(topics.down("north", "request", "identify"), b"who")
        assert north.until(topics.down("north", "request", "identify"), b"who") == set()
        answered, raised = topics.up("north", "response", "identify"), topics.up("north", "alert", "clock")
        assert north.publish(topics.up("north", "events"), b"HB1:"), "codes, of which some are good for weeks"
        assert north.publish(topics.up("north", "sync"), b"a list, please")
        assert north.publish(raised, b"the time is not certain")
        assert north.publish(answered, b"me")
        heard = li.until(answered, b"me")
        assert raised in heard
        assert not heard & {topics.up("north", "events"), topics.up("north", "sync")}
        for topic in (topics.up("north", "state"), topics.down("north", "ack"), topics.down("north", "desired"), topics.TRUST_HEAD):
            assert not li.publish(topic), topic
    assert house.fleet("operator", "li", "--end").exit_code == 0
    assert told(house, context, topics.down("north", "request", "identify")), "the account is none any more"


def told(house: FleetHouse, context: ssl.SSLContext, topic: str) -> bool:
    """Whether the broker comes to refuse `topic` to who shows this: it reads its rules a moment after it was told to."""
    for _ in range(600):
        with Peer(house, context) as peer:
            if not peer.publish(topic):
                return True
    return False


# ---- retiring


def test_a_retired_unit_hears_and_says_nothing_any_more_in_the_session_that_it_has(house: FleetHouse) -> None:
    folder = house.enrol("gone")
    up, down = topics.up("gone", "status"), topics.down("gone", "ack")
    live = Peer(house, unit_context(house, folder), will=topics.up("gone", "state"))
    with Peer(house, house.context("bridge")) as bridge:
        live.subscribe(topics.down_all("gone"), topics.ALL_DOWN)
        assert live.publish(topics.up("gone", "state"), b"online", retain=True)
        assert live.publish(up, b"{}", retain=True)
        assert bridge.publish(down, b"ack", retain=True)
        live.until(down, b"ack")
        done = house.fleet("retire", "gone")
        assert done.exit_code == 0, done.output
        assert "the broker refuses gate.gone.1" in done.stdout
        assert "3 retained messages cleared" in done.stdout
        assert live.lost.get(timeout=LIMIT_S), "its session was ended"
        live.close()
        bridge.subscribe("healthgate/v1/gates/gone/#")
        with Peer(house, unit_context(house, folder), will=topics.up("gone", "state")) as back:
            assert back.refused == "", "its certificate is good for weeks: there is no list of those that are not"
            back.subscribe(topics.down_all("gone"), topics.ALL_DOWN)
            assert not back.publish(up, retain=True)
            assert not back.publish(topics.up("gone", "state"), b"online", retain=True)
            assert bridge.publish(down, b"more")
            assert bridge.publish(topics.TRUST_HEAD, b"more")
            assert bridge.publish("healthgate/v1/gates/gone/mark", b"end")
            assert bridge.until("healthgate/v1/gates/gone/mark", b"end") == {down}, "nothing retained, no word of its own, no last will"
            assert back.heard.empty()
    listed = CliRunner().invoke(server.app, ["unit", "list", "--config", str(house.folder / "server.toml")])
    assert any("gone" in line and "retired" in line for line in listed.stdout.splitlines())
    assert house.fleet("enrol", "gone").exit_code == 2


def test_a_unit_that_comes_back_while_it_is_shut_out_is_shut_out_all_the_same(house: FleetHouse) -> None:
    """Who proves it and the unit end each other's connection, until the rules are read."""
    folder, broker = house.enrol("stubborn"), house.config.broker
    outcomes: queue.SimpleQueue[NoBroker | None] = queue.SimpleQueue()

    def prove() -> None:
        try:
            prove_shut_out(broker, house.authority, "gate.stubborn.1", "stubborn")
        except NoBroker as wrong:
            outcomes.put(wrong)
        else:
            outcomes.put(None)

    with Peer(house, unit_context(house, folder)) as first:
        proving = threading.Thread(target=prove)
        proving.start()
        first.lost.get(timeout=LIMIT_S)
    with Peer(house, unit_context(house, folder)) as second:
        second.lost.get(timeout=LIMIT_S)
    assert house.fleet("retire", "stubborn").exit_code == 0
    proving.join(LIMIT_S)
    assert outcomes.get(timeout=LIMIT_S) is None


def test_a_session_that_nobody_ends_is_dead_to_its_topics_when_the_rules_are_read(house: FleetHouse) -> None:
    """The same without the command's own visit: only the rules have changed."""
    folder = house.enrol("mute")
    config = load(house.folder / "server.toml")
    acl = Path(config.broker.files) / "acl"
    with Peer(house, unit_context(house, folder)) as live, Peer(house, house.context("bridge")) as bridge:
        live.subscribe(topics.down_all("mute"))
        assert live.publish(topics.up("mute", "status"))
        text = acl.read_text()
        start = text.index("user gate.mute.1")
        acl.write_text(text[:start] + text[text.index("\nuser ", start) + 1 :] if "\nuser " in text[start:] else text[:start])
        assert reload(Path(config.broker.files)) is None
        until_refused(live, topics.up("mute", "status"))
        assert bridge.publish(topics.down("mute", "ack"), b"secret")
        assert not live.publish(topics.up("mute", "events"))
        assert live.heard.empty()
        assert live.lost.empty(), "it is the same session"
    acl.write_text(text)
    reload(Path(config.broker.files))


def until_refused(peer: Peer, topic: str) -> None:
    """Says something again and again until the broker takes it no more."""
    for _ in range(20_000):
        if not peer.publish(topic):
            return
    raise AssertionError("the broker takes it still")


def test_a_new_device_takes_the_place_of_one_that_runs(house: FleetHouse) -> None:
    old = house.enrol("swap")
    with Peer(house, unit_context(house, old)) as before:
        assert before.publish(topics.up("swap", "status"))
        new = house.enrol("swap", "--again")
        until_refused(before, topics.up("swap", "status"))
    with Peer(house, unit_context(house, new)) as after:
        assert after.publish(topics.up("swap", "status"))
    names = [certificate_of(folder).subject.rfc4514_string() for folder in (old, new)]
    assert names == ["CN=gate.swap.1", "CN=gate.swap.2"]


def test_what_retire_cannot_do_it_says(house: FleetHouse, tmp_path: Path) -> None:
    """A server whose broker is down."""
    alone = FleetHouse(tmp_path / "office")
    with alone.pages():
        alone.enrol("north")
    done = alone.fleet("retire", "north")
    assert done.exit_code == 1
    assert "systemctl reload healthgate-broker" in done.stdout
    assert "type healthgate fleet retire north again" in done.stdout
    assert "gate.north" not in (alone.folder / "broker" / "acl").read_text()
    alone.start_broker()
    try:
        again = alone.fleet("retire", "north")
        assert again.exit_code == 0, again.output
        assert "the broker refuses gate.north.1" in again.stdout
    finally:
        alone.stop_broker()


# ---- a unit's own link


class Gate:
    """An enrolled unit without devices: keeps, dialogue, link; `news` is what its deciding thread hears."""

    def __init__(self, folder: Path) -> None:
        config = edge_config.load(folder / "etc" / "gate.toml")
        boot_id, data = secrets.token_hex(16), Path(config.data)
        self.cache, self.outbox = Cache(data / "cache", load_roots(config.roots)), Outbox(data / "outbox.sqlite", boot_id)
        clock = Clock(
            FloorFile(data / "floor"),
            monotonic=time.monotonic,
            system=lambda: 0.0,  # no battery: the unit believes that it is 1970
            draw=lambda: secrets.token_hex(16),
            synchronised=lambda: False,
        )
        identity = open_identity(config)
        assert identity is not None
        self.identity = identity
        self.news: queue.SimpleQueue[LinkNews] = queue.SimpleQueue()
        self.dialogue = Dialogue(
            Info(unit=config.unit, boot_id=boot_id, software="0", hardware="simulated", started_at=stamp(0)),
            cache=self.cache,
            outbox=self.outbox,
            clock=clock,
            random=Random(0),
            at=time.monotonic(),
            identity=identity,
        )
        link, fetch = msgspec.structs.replace(config.link, backoff_max_s=1.0), Renewal(identity, config.updates.server).fetch
        self.link = Link(config.unit, link, self.dialogue, post=self.news.put, random=Random(0), fetch=fetch, fetch_after_s=0.5)

    def __enter__(self) -> Gate:
        self.link.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.link.stop()
        self.outbox.close()
        self.cache.close()

    def wait(self, kind: type[LinkUp | LinkDown]) -> LinkNews:
        """The next news of this kind."""
        until = time.monotonic() + LIMIT_S
        while True:
            heard = self.news.get(timeout=max(0.01, until - time.monotonic()))
            if isinstance(heard, kind):
                return heard


def aged(office: Office, house: FleetHouse, folder: Path, days: float) -> x509.Certificate:
    """Lets the certificate of the unit in `folder` be so many days old, there and in the database."""
    young, at = certificate_of(folder), time.time() - days * DAY_S
    key = young.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    account = str(young.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    made = house.authority.client(key, account, at, UNIT_DAYS)
    (folder / "data" / "identity" / "unit.crt").write_text(pem(made))
    with office.store.write() as tx:
        row = CertificateRow(account.split(".")[1], 1, spki(key), der(made), round(ends(made) * 1000))
        admissions.put_certificate(tx, row, round(at * 1000))
    return made


def test_a_certificate_is_renewed_by_itself_and_shown_at_the_next_connection(house: FleetHouse) -> None:
    """Three weeks after: the server makes the next one, the unit keeps it and connects anew, and the broker sees it."""
    folder = house.enrol("aged")
    office = open_office(house.config)
    try:
        held = aged(office, house, folder, 21)
        renewals = Renewals(Admissions(office.store, time.time), lambda: house.authority, None)
        with Gate(folder) as gate, Peer(house, house.context("bridge")) as bridge:
            gate.wait(LinkUp)
            bridge.subscribe(topics.up("aged", "state"))
            bridge.until(topics.up("aged", "state"), b"online")
            assert bridge.publish(topics.down("aged", "certificate"), der(held), retain=True)
            for publication in renewals.due(0.0):
                assert bridge.publish(publication.topic, publication.payload, retain=publication.retain)
            gate.wait(LinkDown)
            gate.wait(LinkUp)
            fresh = certificate_of(folder)
            assert fresh.not_valid_after_utc - held.not_valid_after_utc > timedelta(days=20)
            assert fresh.public_key() == held.public_key()
            assert gate.identity.ends == fresh.not_valid_after_utc.timestamp()
            bridge.until(topics.up("aged", "state"), b"online")
            assert gate.dialogue.counts["certificate_renewed"] == 1
        with Peer(house, unit_context(house, folder)) as again:
            assert again.refused == ""
    finally:
        office.store.close()


def test_a_unit_that_slept_until_its_certificate_had_ended_comes_back_by_itself(house: FleetHouse) -> None:
    folder = house.enrol("slept")
    office = open_office(house.config)
    try:
        ended = aged(office, house, folder, 40)
        with Peer(house, unit_context(house, folder)) as refused:
            assert refused.refused
        assert [row.unit for row in Admissions(office.store, time.time).renew(house.authority) if row.unit == "slept"] == ["slept"]
        with Gate(folder) as gate:
            gate.wait(LinkUp)
            assert certificate_of(folder) != ended
            assert gate.dialogue.counts["attempts_failed"] >= 1
        lost = house.enrol("lost")
        aged(office, house, lost, 40)
        Admissions(office.store, time.time).retire("lost")
        identity = open_identity(edge_config.load(lost / "etc" / "gate.toml"))
        assert identity is not None
        assert not Renewal(identity, f"https://{house.server}").fetch(), "a retired one gets nothing"
        assert not Renewal(identity, "").fetch()
    finally:
        office.store.close()


def test_a_unit_that_is_refused_knows_that_it_is_not_connected(house: FleetHouse, strangers: Authority) -> None:
    folder = house.enrol("lone")
    link = edge_config.load(folder / "etc" / "gate.toml").link
    key = serialization.load_pem_private_key(Path(link.key).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    Path(link.certificate).write_text(pem(strangers.client(key.public_key(), "gate.lone.1", time.time(), 30)))
    with Gate(folder) as gate:
        until = time.monotonic() + LIMIT_S
        while gate.dialogue.counts["attempts_failed"] < 2 and time.monotonic() < until:
            assert not gate.link.is_connected
            time.sleep(0.02)
        assert gate.dialogue.counts["attempts_failed"] >= 2
        assert gate.news.empty(), "it never thought that it was"
