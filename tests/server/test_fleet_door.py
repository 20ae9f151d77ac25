"""The pages' doors for units: what strangers learn there, and what comes of any bytes at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from healthcode.admission import MOST_BYTES, PATH, EnrolAnswer, EnrolRequest, Secret, fingerprint
from healthcode.messages import decode, encode
from server.admissions import Admissions, Expected
from server.authority import Authority, make_key, spki, spki_of
from server.config import Web
from server.keys import load_roots
from server.office import Office
from tests.server.office import Clock, Town
from tests.server.web import SITE, make_app

ANY_JSON = st.dictionaries(st.sampled_from(["csr", "mark", "proof", "x"]), st.text() | st.none()).map(msgspec.json.encode)


class Door:
    """The application over HTTP, and somebody with the server's folder."""

    def __init__(self, town: Town, office: Office) -> None:
        self.office = office
        self.app = make_app(town, office)
        self.http = TestClient(self.app, base_url=SITE)
        self.authority = Authority.create(Path(office.config.keys), office.now())
        self.server = self.authority.server(make_key().public_key(), ["hub.example"], office.now())

    def secret(self, unit: str) -> Secret:
        made = Admissions(self.office.store, self.office.now).expect(unit, load_roots(self.office.config.roots), self.server)
        assert isinstance(made, Expected)
        return made.secret

    def request(self, secret: Secret, key: object = None) -> bytes:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        csr = builder.sign(key or make_key(), hashes.SHA256()).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]
        return encode(EnrolRequest(csr=csr, mark=secret.mark, proof=secret.prove(csr, fingerprint(spki_of(self.server)))))


@pytest.fixture
def door(town: Town, office: Office) -> Door:
    return Door(town, office)


def test_a_unit_gets_what_it_needs_and_its_newest_certificate_for_ever_after(door: Door, clock: Clock) -> None:
    key, secret = make_key(), door.secret("north")
    answer = door.http.post(PATH, content=door.request(secret, key))
    assert answer.status_code == 200
    made = decode(answer.content, EnrolAnswer, MOST_BYTES)
    assert (made.unit, made.port) == ("north", door.office.config.broker.port)
    first = x509.load_pem_x509_certificate(made.certificate.encode()).public_bytes(serialization.Encoding.DER)
    place = f"/fleet/certificate/{fingerprint(spki(key.public_key())).hex()}"
    assert door.http.get(place).content == first
    clock.at += 21 * 86_400
    (renewed,) = Admissions(door.office.store, clock).renew(door.authority)
    assert door.http.get(place).content == renewed.certificate != first
    Admissions(door.office.store, clock).retire("north")
    assert door.http.get(place).status_code == 404


@pytest.mark.parametrize("mark", ["", "north", "0" * 64, "0" * 63, "Z" * 64, "%2e%2e%2f" * 8])
def test_who_has_no_unit_s_key_learns_nothing_of_units(door: Door, mark: str) -> None:
    answer = door.http.get(f"/fleet/certificate/{mark}")
    assert answer.status_code == 404
    assert b"north" not in answer.content


def test_each_refusal_has_its_status_its_word_and_a_line(door: Door) -> None:
    secret = door.secret("north")
    stranger = Secret(bytes(16), secret.roots, secret.server)
    assert told(door, door.request(stranger)) == (403, "unknown")
    assert told(door, b"{}") == (400, "bad_request")
    assert door.http.post(PATH, content=door.request(secret)).status_code == 200
    assert told(door, door.request(secret)) == (409, "used")


def told(door: Door, body: bytes) -> tuple[int, str]:
    answer = door.http.post(PATH, content=body)
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert "\n" not in said["title"]
    return answer.status_code, said["fault"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=400)
    | st.dictionaries(st.sampled_from(["csr", "mark", "proof", "x"]), st.text() | st.none()).map(msgspec.json.encode)
)
def test_any_bytes_get_an_answer_and_change_nothing(door: Door, body: bytes) -> None:
    assert told(door, body) == (400, "bad_request")
    assert Admissions(door.office.store, door.office.now).members() == ([], [])


def test_a_body_without_end_is_refused(door: Door) -> None:
    assert door.http.post(PATH, content=b"x" * (MOST_BYTES + 1)).status_code == 413


def test_a_server_without_an_authority_enrols_nobody(door: Door) -> None:
    body = door.request(door.secret("north"))
    (Path(door.office.config.keys) / "fleet-ca.pem").unlink()
    assert told(door, body) == (403, "unknown")


def test_units_may_know_the_server_by_another_name_and_browsers_may_not(town: Town, office: Office) -> None:
    named = replace(office, config=msgspec.structs.replace(office.config, web=Web(origin="https://code.example.org")))
    http = TestClient(make_app(town, named), base_url="https://10.0.0.7:8443")
    assert http.post(PATH, content=b"{}").status_code == 400
    assert http.get("/fleet/certificate/" + "0" * 64).status_code == 404
    assert http.get("/").status_code == 421
