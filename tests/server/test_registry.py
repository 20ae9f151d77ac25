"""Residents, colours with a reason, revocation, and the codes that follow."""

from __future__ import annotations

import io
import threading

import pytest
from PIL import Image
from sqlalchemy import text

from healthcode import token
from healthcode.terms import ClockState, Colour, Form, Status, Use
from healthcode.token import HealthCode
from server import qr
from server.actors import BY_GATE
from server.colours import Rule
from server.config import Codes, ConfigError
from server.facts import FeverAtGate, HandReason
from server.issuer import Issuer, Pack
from server.office import Office, open_office
from server.persons import Person
from server.registry import Refused, Registry, RegistryFault, Resident
from server.store import publication
from tests.server.office import ISSUER, URI, Clock, Town, set_colour

NEXT_URI = "https://hb.example/s/2"


def add(registry: Registry, name: str = "Resident", colour: Colour = Colour.GREEN, reason: HandReason = HandReason.REVIEWED) -> Resident:
    resident = registry.add(Person(name), colour=colour, reason=reason)
    assert isinstance(resident, Resident)
    return resident


def waiting(office: Office) -> list[tuple[int, Status]]:
    with office.store.read() as tx:
        return [(change.idx, change.status) for change in publication.waiting_changes(tx, URI, 1000)]


def test_a_resident_is_green_by_review_and_sealed_on_disk(office: Office, clock: Clock) -> None:
    resident = office.registry.add(Person("居民甲", "420106199001011234", "13800000000"))
    assert isinstance(resident, Resident)
    assert (resident.colour, resident.rule, resident.ruled_at) == (Colour.GREEN, Rule.SET_BY_HAND, int(clock()))
    assert office.registry.find(resident.resident) == resident
    assert office.registry.list_residents() == [resident]
    assert waiting(office) == []
    with office.store.read() as tx:
        raw = tx.execute(text("SELECT * FROM residents")).one()
    assert not any("420106199001011234" in str(value) or "居民甲" in str(value) for value in raw)


def test_names_of_many_scripts_are_taken(office: Office) -> None:
    names = ["居民 甲", "居民\u3000甲", "O'Brien-Łukasz", "سارا\u200cعلی", "X" * 200]
    for name in names:
        assert add(office.registry, name).person.name == name


def test_one_number_has_one_code(office: Office) -> None:
    first = office.registry.add(Person("A", "42010619900101123x"))
    again = office.registry.add(Person("B", "42010619900101123X "))
    assert isinstance(first, Resident)
    assert isinstance(again, Refused)
    assert again.fault is RegistryFault.NUMBER_KNOWN


def test_a_first_colour_needs_a_reason_that_can_lead_to_it(office: Office) -> None:
    refused = office.registry.add(Person("A"), colour=Colour.RED, reason=HandReason.CLOSE_CONTACT)
    assert isinstance(refused, Refused)
    assert refused.fault is RegistryFault.REASON_DOES_NOT_FIT
    assert "confirmed" in refused.detail
    assert office.registry.list_residents() == []


def test_a_ruling_and_its_change_are_written_together(office: Office, clock: Clock) -> None:
    resident = add(office.registry)
    clock.at += 100
    red = set_colour(office, resident.resident, Colour.RED, HandReason.CONFIRMED)
    assert isinstance(red, Resident)
    assert (red.colour, red.ruled_at, red.index) == (Colour.RED, int(clock()), resident.index)
    assert waiting(office) == [(resident.index, Status.RED)]


def test_an_officer_is_heard_although_the_clock_went_back(office: Office, clock: Clock) -> None:
    resident = add(office.registry)
    clock.at -= 3600
    red = set_colour(office, resident.resident, Colour.RED, HandReason.CONFIRMED)
    assert isinstance(red, Resident)
    assert red.colour is Colour.RED
    assert red.ruled_at >= resident.ruled_at


def test_whose_colour_is_changed_again_and_again_has_a_code_that_gates_take(office: Office, town: Town, clock: Clock) -> None:
    """Forty rulings in a second: none is of a time that gates refuse, and no later one is of an earlier time."""
    resident = add(office.registry).resident
    times = []
    for turn in range(40):
        clock.at += 0.01
        colour, reason = [(Colour.RED, HandReason.CONFIRMED), (Colour.GREEN, HandReason.REVIEWED)][turn % 2]
        times.append(set_colour(office, resident, colour, reason).ruled_at)
        pack = issuer(office, town, clock).live_pack(resident)
        assert isinstance(pack, Pack)
        code = token.read(pack.codes[0].text, town.ring(), clock())
        assert isinstance(code, HealthCode), (turn, code)
        assert (code.colour, code.ruled_at) == (colour, times[-1])
    assert times == sorted(times)
    assert times[:2] == [int(clock()) + 1, int(clock()) + 2], "the first few are a second apart, so that a list says which is the newer"
    clock.at += 3
    assert set_colour(office, resident, Colour.RED, HandReason.CONFIRMED).ruled_at == int(clock())


def test_fever_and_clearance(office: Office, clock: Clock) -> None:
    resident = add(office.registry)
    clock.at += 10
    with office.store.write() as tx:
        office.registry.record(tx, resident.resident, FeverAtGate(clock(), "north", 38.5, ClockState.TRUSTED), clock(), BY_GATE)
    yellow = office.registry.find(resident.resident)
    assert yellow is not None
    assert (yellow.colour, yellow.rule) == (Colour.YELLOW, Rule.FEVER_AT_GATE)
    clock.at += 10
    cleared = office.registry.clear(resident.resident, 36.6)
    assert isinstance(cleared, Resident)
    assert cleared.colour is Colour.GREEN
    assert cleared.ruled_at == int(clock())
    assert [status for _, status in waiting(office)] == [Status.YELLOW, Status.GREEN]


def test_revoking_ends_the_index_and_keeps_the_colour(office: Office, clock: Clock) -> None:
    resident = add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    clock.at += 50
    moved = office.registry.revoke(resident.resident)
    assert isinstance(moved, Resident)
    assert moved.index != resident.index
    assert moved.colour is Colour.RED
    assert moved.ruled_at > int(clock()), "no list made so far may be taken for newer than the fresh index"
    assert waiting(office) == [(resident.index, Status.RED), (resident.index, Status.REVOKED), (moved.index, Status.RED)]
    with office.store.read() as tx:
        assert office.registry.resident_at(tx, URI, resident.index) is None
        assert office.registry.resident_at(tx, URI, moved.index) == resident.resident


def test_a_full_list_refuses(town: Town, clock: Clock) -> None:
    office = town.open(clock)
    with office.store.write() as tx:
        tx.execute(text("UPDATE lists SET next_position = capacity"))
    refused = office.registry.add(Person("late"))
    assert isinstance(refused, Refused)
    assert refused.fault is RegistryFault.LIST_FULL
    office.store.close()


def test_indices_are_never_used_twice_by_many_at_once(office: Office) -> None:
    found: list[int] = []

    def work() -> None:
        found.extend(add(office.registry).index for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 40


def issuer(office: Office, town: Town, clock: Clock) -> Issuer:
    return Issuer(office.store, town.keys[Use.TOKEN], ISSUER, Codes(), clock)


def test_a_pack_is_valid_slot_by_slot_with_one_iat(office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry)
    clock.at += 1000
    pack = issuer(office, town, clock).live_pack(resident.resident)
    assert isinstance(pack, Pack)
    assert len(pack.codes) == 120
    for number, issued in enumerate(pack.codes):
        code = token.read(issued.text, town.ring(), clock() + number * 120 + 60)
        assert isinstance(code, HealthCode)
        assert (code.ruled_at, code.person, code.colour, code.form) == (resident.ruled_at, (URI, resident.index), Colour.GREEN, Form.LIVE)
        assert not isinstance(token.read(issued.text, town.ring(), clock() + number * 120 + 300), HealthCode)


def test_a_code_says_what_the_registry_says(office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry)
    clock.at += 5
    set_colour(office, resident.resident, Colour.YELLOW, HandReason.CLOSE_CONTACT)
    ruled_at = int(clock())
    clock.at += 5
    paper = issuer(office, town, clock).paper(resident.resident, days=14)
    assert isinstance(paper, Pack)
    code = token.read(paper.codes[0].text, town.ring(), clock() + 13 * 86400)
    assert isinstance(code, HealthCode)
    assert (code.colour, code.form, code.ruled_at) == (Colour.YELLOW, Form.PAPER, ruled_at)
    with office.store.read() as tx:
        assert tx.execute(text("SELECT form, codes FROM codes_issued")).all() == [("paper", 1)]
    nobody = issuer(office, town, clock).paper("nobody")
    assert isinstance(nobody, Refused)


@pytest.mark.filterwarnings("default")
def test_a_code_as_picture_reads_back(office: Office, town: Town, clock: Clock) -> None:
    import zxingcpp
    from pyzbar import pyzbar

    paper = issuer(office, town, clock).paper(add(office.registry).resident)
    assert isinstance(paper, Pack)
    text_ = paper.codes[0].text
    image = Image.open(io.BytesIO(qr.png(text_, 4))).convert("L")
    # One code in some hundreds misleads a reader for good, whatever its size on screen: each reader has others.
    read = {found.text for found in zxingcpp.read_barcodes(image)} | {found.data.decode("ascii") for found in pyzbar.decode(image)}
    assert read == {text_}
    assert qr.svg(text_).startswith(b"<?xml")
    assert len(qr.terminal(text_).splitlines()) > 20


def test_a_full_list_opens_the_next(town: Town, clock: Clock) -> None:
    config = town.config(f'further_uris = ["{NEXT_URI}"]')
    office = open_office(config, clock, capacity=4)
    first = [add(office.registry, f"resident {number}") for number in range(4)]
    assert {resident.uri for resident in first} == {URI}
    assert {resident.index for resident in first} == {0, 1, 2, 3}
    fifth = add(office.registry, "resident 4")
    assert fifth.uri == NEXT_URI
    moved = office.registry.revoke(first[0].resident)
    assert isinstance(moved, Resident)
    assert moved.uri == NEXT_URI
    with office.store.read() as tx:
        assert office.registry.resident_at(tx, URI, first[0].index) is None
        assert office.registry.resident_at(tx, NEXT_URI, moved.index) == moved.resident
        assert [(change.idx, change.status) for change in publication.waiting_changes(tx, URI, 10)] == [(first[0].index, Status.REVOKED)]
    for number in range(5, 7):
        add(office.registry, f"resident {number}")
    refused = office.registry.add(Person("one too many"))
    assert isinstance(refused, Refused)
    assert (refused.fault, "further_uris" in refused.detail) == (RegistryFault.LIST_FULL, True)
    office.store.close()


def test_a_list_named_twice_is_refused(town: Town) -> None:
    with pytest.raises(ConfigError, match="further_uris: expected lists that differ"):
        town.config(f'further_uris = ["{URI}"]')
