"""Who is let in: secrets that count once, numbers of enrolments, renewals, and what the access rules say of it all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from healthcode.admission import EnrolAnswer, EnrolRequest, Secret, fingerprint
from server import mosquitto
from server.__main__ import ending_operators
from server.admissions import OF_ADDRESS, SECRET_S, Admissions, EnrolFault, Expected, Refused, Retired
from server.authority import Authority, ends, make_key, spki_of, unit_account
from server.fleet_state import Presence
from server.keys import load_roots
from server.mosquitto import Member
from server.office import Office
from server.renewals import LOOK_S, Renewals
from server.store import events
from tests.server.office import Clock

DAY_S = 86_400.0


class House:
    """The office with a fleet's authority and a certificate for its pages; each device is a key."""

    def __init__(self, office: Office, clock: Clock) -> None:
        self.office, self.clock = office, clock
        self.roots = load_roots(office.config.roots)
        self.authority = Authority.create(Path(office.config.keys), clock.at)
        self.server = self.authority.server(make_key().public_key(), ["hub.example"], clock.at)
        self.book = Admissions(office.store, clock)

    def expect(self, unit: str = "north", *, again: bool = False) -> Secret:
        outcome = self.book.expect(unit, self.roots, self.server, again=again)
        assert isinstance(outcome, Expected), outcome
        return outcome.secret

    def request(self, secret: Secret, key: ec.EllipticCurvePrivateKey, seen: bytes | None = None, name: str = "gate") -> EnrolRequest:
        """What a unit asks that has `key` and has seen a certificate with the fingerprint `seen`, by default the server's."""
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        data = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        return EnrolRequest(csr=data, mark=secret.mark, proof=secret.prove(data, seen or fingerprint(spki_of(self.server))))

    def admit(self, request: EnrolRequest, address: str = "10.0.0.9") -> EnrolAnswer | Refused:
        return self.book.admit(request, address, self.authority, self.roots, "hub.example", 8883)

    def enrol(self, unit: str = "north", *, again: bool = False) -> x509.Certificate:
        return admitted(self.admit(self.request(self.expect(unit, again=again), make_key())))

    def alerts(self) -> set[tuple[str, str]]:
        with self.office.store.read() as tx:
            return {(name, unit) for name, unit, _, _ in events.list_alerts(tx)}

    def accounts(self) -> list[str]:
        return [member.account for member in self.book.members()[0]]


@pytest.fixture
def house(office: Office, clock: Clock) -> House:
    return House(office, clock)


def admitted(outcome: EnrolAnswer | Refused) -> x509.Certificate:
    assert isinstance(outcome, EnrolAnswer), outcome
    return x509.load_pem_x509_certificate(outcome.certificate.encode())


def name_of(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def fault_of(outcome: EnrolAnswer | Expected | Retired | Refused) -> EnrolFault | None:
    return outcome.fault if isinstance(outcome, Refused) else None


def test_a_secret_lets_one_key_in_under_the_name_that_the_server_chose(house: House) -> None:
    key = make_key()
    secret = house.expect()
    assert house.accounts() == [], "nobody has come yet"
    made = admitted(house.admit(house.request(secret, key, name="gate.south.1")))
    assert name_of(made) == "gate.north.1", "whatever the request said"
    assert house.book.expected_until("north") is None, "it was used"
    assert made.public_key() == key.public_key()
    assert ends(made) - house.clock.at == pytest.approx(30 * DAY_S, abs=1)
    assert house.accounts() == ["gate.north.1"]


def test_the_same_key_gets_the_same_answer_and_another_key_none(house: House) -> None:
    key, secret = make_key(), house.expect()
    first = house.admit(house.request(secret, key))
    house.clock.at += 3600
    assert house.admit(house.request(secret, key)) == first, "the power had failed"
    assert fault_of(house.admit(house.request(secret, make_key()))) is EnrolFault.USED
    assert house.accounts() == ["gate.north.1"]
    assert house.alerts() == {("enrolment", "north")}


def test_the_alert_of_a_secret_that_was_used_twice_ends_with_the_unit_or_its_next_enrolment(house: House) -> None:
    for ends_it in (lambda: house.book.retire("north"), lambda: house.enrol(again=True)):
        secret = house.expect(again=True)
        admitted(house.admit(house.request(secret, make_key())))
        assert house.alerts() == set()
        assert fault_of(house.admit(house.request(secret, make_key()))) is EnrolFault.USED
        assert house.alerts() == {("enrolment", "north")}
        ends_it()
        assert house.alerts() == set()


def test_a_secret_ends_after_a_day_and_with_the_next_one(house: House) -> None:
    early = house.expect()
    late = house.expect()
    assert house.book.expected_until("north") == house.clock.at + SECRET_S
    assert fault_of(house.admit(house.request(early, make_key()))) is EnrolFault.UNKNOWN
    house.clock.at += SECRET_S - 1
    request = house.request(late, make_key())
    house.clock.at += 1
    assert fault_of(house.admit(request)) is EnrolFault.ENDED
    assert house.book.expected_until("north") is None
    assert house.accounts() == []


def test_what_a_man_in_the_middle_could_send(house: House) -> None:
    secret, key = house.expect(), make_key()
    middle = fingerprint(spki_of(house.authority.server(make_key().public_key(), ["hub.example"], house.clock.at)))
    good = house.request(secret, key)
    other = house.request(Secret(bytes(16), secret.roots, secret.server), make_key())
    for request in (
        house.request(secret, key, seen=middle),  # the unit saw his certificate, and he passed its proof on
        EnrolRequest(csr=house.request(secret, make_key()).csr, mark=good.mark, proof=good.proof),  # his own key by the unit's proof
        EnrolRequest(csr=other.csr, mark=secret.mark, proof=other.proof),  # a secret of his own
        EnrolRequest(csr=good.csr, mark=good.mark, proof=bytes(64)),
        EnrolRequest(csr=good.csr, mark=bytes(16), proof=good.proof),
    ):
        assert fault_of(house.admit(request)) is EnrolFault.UNKNOWN
    assert name_of(admitted(house.admit(good))) == "gate.north.1", "and the secret is not used up by any of it"


def test_a_database_that_was_read_lets_nobody_in(house: House) -> None:
    secret = house.expect()
    with house.office.store.read() as tx:
        held = tx.exec_driver_sql("SELECT * FROM unit_secrets").one()
    assert secret.key not in b"".join(each for each in held if isinstance(each, bytes))


@pytest.mark.parametrize("csr", [b"", b"x" * 200, "rsa", "unsigned"])
def test_a_request_for_what_is_no_key_of_ours_is_refused_and_can_be_put_right(house: House, csr: bytes | str) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    secret = house.expect()
    if csr == "rsa":
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        data = builder.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    elif csr == "unsigned":
        good = house.request(secret, make_key()).csr
        data = good[:-1] + bytes([good[-1] ^ 1])
    else:
        assert isinstance(csr, bytes)
        data = csr
    wrong = EnrolRequest(csr=data, mark=secret.mark, proof=secret.prove(data, fingerprint(spki_of(house.server))))
    assert fault_of(house.admit(wrong)) is EnrolFault.BAD_REQUEST
    assert isinstance(house.admit(house.request(secret, make_key())), EnrolAnswer)


def test_who_has_a_secret_that_ended_waits_longer_and_longer(house: House) -> None:
    request = house.request(house.expect(), make_key())
    house.clock.at += SECRET_S
    outcomes = [house.admit(request) for _ in range(OF_ADDRESS.free + 1)]
    assert [fault_of(each) for each in outcomes].count(EnrolFault.WAIT) == 1
    last = outcomes[-1]
    assert isinstance(last, Refused)
    assert last.wait_s > 0
    assert isinstance(house.admit(house.request(house.expect(), make_key()), "10.0.0.10"), EnrolAnswer), "others come in"


def test_strangers_without_a_secret_write_nothing_and_keep_nobody_out_who_shares_their_address(house: House) -> None:
    secret = house.expect()
    wrong = house.request(Secret(bytes(16), bytes(16), bytes(16)), make_key())
    forged = msgspec.structs.replace(house.request(secret, make_key()), proof=bytes(64))
    with house.office.store.write():  # somebody else writes meanwhile
        for request in (wrong, forged):
            assert {fault_of(house.admit(request)) for _ in range(3 * OF_ADDRESS.free)} == {EnrolFault.UNKNOWN}
    assert isinstance(house.admit(house.request(secret, make_key())), EnrolAnswer)


def test_a_name_is_given_to_another_device_on_purpose_alone_and_the_old_one_is_shut_out_when_the_new_one_comes(house: House) -> None:
    house.enrol()
    assert fault_of(house.book.expect("north", house.roots, house.server)) is EnrolFault.ENROLLED
    secret = house.expect(again=True)
    assert house.accounts() == ["gate.north.1"], "until another key comes"
    assert name_of(admitted(house.admit(house.request(secret, make_key())))) == "gate.north.2"
    assert house.accounts() == ["gate.north.2"]


def test_where_a_unit_stands_is_what_was_said_of_it_last(house: House) -> None:
    for note, site, placed in (
        ("", "", ("", "")),
        ("north gate", "square", ("north gate", "square")),
        ("", "hall", ("north gate", "hall")),
    ):
        assert isinstance(house.book.expect("north", house.roots, house.server, note=note, site=site, again=True), Expected)
        with house.office.store.read() as tx:
            row = events.find_unit(tx, "north")
        assert row is not None
        assert (row.note, row.site) == placed


def test_a_retired_unit_is_in_no_rule_and_its_name_comes_back_on_purpose_alone(house: House) -> None:
    house.enrol()
    waiting = house.expect("north", again=True)
    assert house.book.retire("north") == Retired("north", "gate.north.1")
    assert house.accounts() == []
    assert fault_of(house.admit(house.request(waiting, make_key()))) is EnrolFault.UNKNOWN, "nor does a secret that was out let anybody in"
    assert house.book.retire("north") == Retired("north", "gate.north.1"), "twice is no fault"
    found = house.office.watch.find("north")
    assert found is not None
    assert found.state.presence is Presence.RETIRED
    assert fault_of(house.book.expect("north", house.roots, house.server)) is EnrolFault.RETIRED
    secret = house.expect(again=True)
    assert house.accounts() == []
    assert name_of(admitted(house.admit(house.request(secret, make_key())))) == "gate.north.2"
    found = house.office.watch.find("north")
    assert found is not None
    assert found.state.presence is Presence.UNKNOWN


@pytest.mark.parametrize("name", ["", "a/b", "north.1", "#", "x" * 33, "-n"])
def test_names_that_could_be_another_s_account_or_topic_are_refused(house: House, name: str) -> None:
    assert fault_of(house.book.expect(name, house.roots, house.server)) is EnrolFault.BAD_NAME
    outcome = house.book.add_operator(name)
    assert isinstance(outcome, Refused)


def test_who_is_not_known_cannot_be_retired(house: House) -> None:
    assert fault_of(house.book.retire("nobody")) is EnrolFault.NO_SUCH_UNIT


def test_certificates_are_made_anew_after_two_thirds_and_for_who_is_in_service_alone(house: House) -> None:
    first = {unit: house.enrol(unit) for unit in ("north", "south", "west")}
    house.book.retire("west")
    house.clock.at += 19 * DAY_S
    assert {row.unit: ends_of(row.certificate) for row in house.book.renew(house.authority)} == {
        unit: ends(first[unit]) for unit in ("north", "south")
    }
    house.enrol("south", again=True)
    house.clock.at += 1.1 * DAY_S
    renewed = {row.unit: row for row in house.book.renew(house.authority)}
    assert ends_of(renewed["north"].certificate) == pytest.approx(house.clock.at + 30 * DAY_S, abs=2)
    assert ends_of(renewed["south"].certificate) < house.clock.at + 29 * DAY_S, "that one is young"
    fresh = x509.load_der_x509_certificate(renewed["north"].certificate)
    assert (name_of(fresh), fresh.public_key()) == ("gate.north.1", first["north"].public_key())
    assert set(renewed) == {"north", "south"}


def ends_of(certificate: bytes) -> float:
    return ends(x509.load_der_x509_certificate(certificate))


def test_the_bridge_publishes_each_certificate_once_and_all_of_them_again(house: House, tmp_path: Path) -> None:
    house.enrol("north")
    renewals = Renewals(house.book, lambda: house.authority, tmp_path)
    assert [(each.topic, each.retain) for each in renewals.due(0.0)] == [("healthgate/v1/gates/north/down/certificate", True)]
    assert renewals.due(LOOK_S) == []
    house.clock.at += 21 * DAY_S
    (fresh,) = renewals.due(2 * LOOK_S)
    assert ends_of(fresh.payload) > house.clock.at + 29 * DAY_S
    renewals.again()
    assert renewals.due(2 * LOOK_S) == [fresh]


def test_the_bridge_mends_rules_that_were_not_written(house: House, tmp_path: Path) -> None:
    """The power failed between the database and the file."""
    renewals = Renewals(house.book, lambda: house.authority, tmp_path, "ha")
    renewals.due(0.0)
    house.enrol("north")
    renewals.due(LOOK_S)
    assert "user gate.north.1\n" in (tmp_path / "acl").read_text()
    assert "topic readwrite ha/#" in (tmp_path / "acl").read_text(), "as the configuration names it"
    house.book.retire("north")
    renewals.due(2 * LOOK_S)
    assert "gate.north" not in (tmp_path / "acl").read_text()


def test_operators_accounts_are_counted_and_end(house: House) -> None:
    assert house.book.add_operator("li") == ("op.li.1", house.clock.at + 365 * DAY_S)
    assert house.book.add_operator("li") == ("op.li.2", house.clock.at + 365 * DAY_S)
    assert house.book.members()[1] == ["op.li.2"], "the one before is none any more"
    assert house.book.end_operator("li")
    assert not house.book.end_operator("li")
    assert house.book.members()[1] == []


def test_the_server_warns_of_an_operator_s_account_that_ends_by_itself(house: House) -> None:
    house.book.add_operator("li")
    house.book.add_operator("telegraf")
    house.book.end_operator("telegraf")
    assert ending_operators(house.book, house.clock()) == []
    house.clock.at += 345 * DAY_S
    told = "the broker's account of the operator li {}: healthgate fleet operator li, with --end where nobody needs it"
    assert ending_operators(house.book, house.clock()) == [told.format("ends in 20 days")]
    house.clock.at += 30 * DAY_S
    assert ending_operators(house.book, house.clock()) == [told.format("ended 10 days ago")]
    house.book.add_operator("li")
    assert ending_operators(house.book, house.clock()) == []


def test_every_section_of_the_rules_names_its_own_topics_alone() -> None:
    text = mosquitto.rules([Member(unit_account(unit, 1), unit) for unit in ("south", "north")], ["op.li.1"])
    sections = dict(part.split("\n", 1) for part in text.split("user ")[1:])
    assert list(sections) == ["bridge", "console", "gate.north.1", "gate.south.1", "op.li.1"]
    assert sections["gate.north.1"].split() == [
        *("topic", "write", "healthgate/v1/gates/north/up/#"),
        *("topic", "read", "healthgate/v1/gates/north/down/#"),
        *("topic", "read", "healthgate/v1/all/#"),
    ]
    reads = [line.split()[-1] for line in sections["op.li.1"].splitlines() if line.startswith("topic read")]
    watched = {"state", "info", "reported", "status", "lane", "alert/+", "response/+"}
    assert {each for each in reads if "gates" in each} == {f"healthgate/v1/gates/+/up/{channel}" for channel in watched}
    assert "pattern" not in text
    elsewhere = mosquitto.rules([], ["op.ha.1"], "ha")
    assert "homeassistant" not in elsewhere
    assert {line.split()[-1] for line in elsewhere.splitlines() if " ha/" in line} == {"ha/#", "ha/status"}


def test_a_pid_file_that_names_somebody_else_hurts_nobody(tmp_path: Path) -> None:
    import os

    for content in ("", "x", "99999999", str(os.getpid())):
        (tmp_path / "mosquitto.pid").write_text(content)
        told = mosquitto.reload(tmp_path)
        assert told is not None
        assert "systemctl reload healthgate-broker" in told.why
