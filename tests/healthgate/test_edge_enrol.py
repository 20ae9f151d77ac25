"""What a new unit writes down of the server that it was enrolled by, and what that server is called."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge import config as configuration
from healthcode.admission import EnrolAnswer
from healthgate.edge_enrol import Places, first_config, keep
from healthgate.enrol_client import Answered, NotEnrolled, Server
from healthgate.fleet_enrol import told_server
from server.authority import Authority, der, make_key, pem
from server.config import parse

OFFICE = 'issuer = "CN-HB"\nuri = "https://hb.example/s/1"\n[broker]\nname = "hub.example"\n[web]\n'


@pytest.mark.parametrize(
    ("web", "told"),
    [
        ("port = 8443", "hub.example:8443"),
        ('origin = "https://code.example.org"', "code.example.org:443"),
        ('origin = "https://code.example.org:8443"', "code.example.org:8443"),
    ],
)
def test_a_unit_is_told_the_port_too(web: str, told: str) -> None:
    assert told_server(parse(OFFICE + web)) == told
    assert str(Server.parse(told)) == told


@pytest.mark.parametrize("text", ["", "hub.example:0", "hub.example:65536", "http://hub.example", "hub.example/path", "a b"])
def test_what_is_no_server_is_one_line(text: str) -> None:
    with pytest.raises(NotEnrolled, match="expected a name or address"):
        Server.parse(text)


def test_releases_come_by_the_fleet_s_authority_or_behind_a_proxy_by_those_that_the_system_knows(tmp_path: Path) -> None:
    at = time.time()
    ours, strangers = (Authority.create(tmp_path / name, at) for name in ("ours", "strangers"))
    places, server = Places(tmp_path / "etc", tmp_path / "data"), Server("code.example.org", 443)
    made = pem(ours.client(make_key().public_key(), "gate.north.1", at, 30))
    answer = EnrolAnswer(unit="north", certificate=made, ca=ours.pem, roots=["root"], host="hub.example", port=8883)
    for authority, ca in ((ours, str(places.ca)), (strangers, "")):
        shown = der(authority.server(make_key().public_key(), ["code.example.org"], at))
        read = configuration.parse(first_config(Answered(answer, shown), places, "", server))
        assert (read.updates.server, read.updates.ca) == ("https://code.example.org:443", ca)
        assert read.link.ca == str(places.ca), "the broker is the fleet's own"


def test_a_unit_that_came_by_an_address_of_ipv6_is_told_what_it_lacks(tmp_path: Path) -> None:
    at = time.time()
    ours = Authority.create(tmp_path / "ours", at)
    made = pem(ours.client(make_key().public_key(), "gate.north.1", at, 30))
    answer = EnrolAnswer(unit="north", certificate=made, ca=ours.pem, roots=["root"], host="hub.example", port=8883)
    shown = der(ours.server(make_key().public_key(), ["::1"], at))
    for host, lacks in (("::1", True), ("127.0.0.1", False)):
        places = Places(tmp_path / host / "etc", tmp_path / host / "data")
        lines = keep(Answered(answer, shown), places, "", Server(host, 8443))
        assert ("without [updates], which wants a name" in lines[-1]) is lacks
        assert configuration.load(places.config).updates.server == ("" if lacks else "https://127.0.0.1:8443")
