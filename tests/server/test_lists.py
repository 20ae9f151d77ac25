"""The status list as a gate sees it: what the publisher sends, applied by a follower, always says what the registry says."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import text

from edge.verdict import STRICTNESS, standing
from healthcode import token, topics
from healthcode.budget import LEAST, most
from healthcode.cose import Signer, SoftwareKey
from healthcode.messages import (
    ChunkAnswer,
    ChunkRequest,
    Delta,
    DeltaAnswer,
    Head,
    RangeRequest,
    SyncRequest,
    TimeAnswer,
    TimeAnswerEnvelope,
    TimeRequest,
    encode,
)
from healthcode.signed import Signed, read, unpack
from healthcode.status import StatusList, read_snapshot
from healthcode.terms import STATUS_OF_COLOUR, Colour, Status, Use
from healthcode.token import HealthCode
from server.__main__ import build
from server.answers import Answers
from server.config import Codes, Lists
from server.facts import HandReason
from server.issuer import Issuer, Pack
from server.keys import TrustFiles, load_roots
from server.lists import Compacted, ListError, Publication, Publisher, import_foreign, is_heavy, make_pair
from server.office import Office, open_office
from server.registry import Resident
from server.store import events, publication
from tests.server.office import CAPACITY, FOREIGN, FOREIGN_URI, ISSUER, URI, Clock, Town, entry, set_colour
from tests.server.test_registry import add

LISTS = Lists()


def code_of(office: Office, town: Town, resident: Resident) -> HealthCode:
    """The code that the resident's phone gets now."""
    pack = Issuer(office.store, town.keys[Use.TOKEN], issuer=ISSUER, codes=Codes(), now=office.now).live_pack(resident.resident)
    assert isinstance(pack, Pack)
    code = token.read(pack.codes[0].text, town.ring(), office.now())
    assert isinstance(code, HealthCode), code
    return code


def publisher(
    office: Office,
    town: Town,
    clock: Clock,
    settings: Lists = LISTS,
    most_changes: int = 20_000,
    signer: Callable[[], Signer] | None = None,
) -> Publisher:
    return Publisher(
        office.store,
        signer or (lambda: town.keys[Use.LIST]),
        issuer=ISSUER,
        uri=URI,
        capacity=CAPACITY,
        keys=town.ring,
        settings=settings,
        now=clock,
        most_changes=most_changes,
    )


class Follower:
    """A gate's view: applies deltas, adopts heads, refuses what does not verify."""

    def __init__(self, town: Town, clock: Clock) -> None:
        self.town, self.clock = town, clock
        self.held = StatusList.empty(URI, 1, CAPACITY)

    def take(self, publications: list[Publication]) -> None:
        for item in publications:
            kind = topics.parse(item.topic)
            assert isinstance(kind, topics.ListTopic)
            assert kind.issuer == ISSUER
            if kind.channel == "delta":
                assert not item.retain
                delta = read(item.payload, Delta, self.town.ring(), self.clock())
                assert isinstance(delta, Signed)
                assert self.held.apply(delta.message) is None
            else:
                assert item.retain
                head = read(item.payload, Head, self.town.ring(), self.clock())
                assert isinstance(head, Signed)
                assert self.held.adopt(head.message)


def test_a_follower_knows_every_ruling(office: Office, town: Town, clock: Clock) -> None:
    source, gate = publisher(office, town, clock), Follower(town, clock)
    gate.take(source.step())
    people = [add(office.registry) for _ in range(5)]
    for number, colour in enumerate([Colour.RED, Colour.YELLOW, Colour.GREEN]):
        clock.at += 1
        set_colour(office, people[number].resident, colour, HandReason.CORRECTION)
        gate.take(source.step())
        assert gate.held.get(people[number].index) is STATUS_OF_COLOUR[colour]
        if colour is not Colour.GREEN:
            assert gate.held.as_of == int(clock())
    clock.at += 1
    moved = office.registry.revoke(people[0].resident)
    gate.take(source.step())
    assert gate.held.get(people[0].index) is Status.REVOKED
    assert gate.held.get(getattr(moved, "index", -1)) is Status.RED


def test_changes_are_gathered_for_the_delta_period_and_heads_come_every_thirty_seconds(office: Office, town: Town, clock: Clock) -> None:
    source = publisher(office, town, clock)
    assert [item.retain for item in source.step()] == [True]
    resident = add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    assert [item.retain for item in source.step()] == [False, True]
    set_colour(office, resident.resident, Colour.YELLOW, HandReason.DISCHARGED)
    clock.at += 0.3
    assert source.step() == []
    clock.at += 0.25
    assert [item.retain for item in source.step()] == [False, True]
    clock.at += 29
    assert source.step() == []
    clock.at += 1.1
    assert [item.retain for item in source.step()] == [True]


def test_a_code_of_the_same_second_never_beats_the_list_that_knows_more(office: Office, town: Town, clock: Clock) -> None:
    """Green and red within one second: the red list's as_of is not before the green code's iat."""
    source, gate = publisher(office, town, clock), Follower(town, clock)
    gate.take(source.step())
    resident = add(office.registry)
    clock.at += 0.2
    set_colour(office, resident.resident, Colour.RED, HandReason.CONFIRMED)
    gate.take(source.step())
    assert gate.held.get(resident.index) is Status.RED
    assert gate.held.as_of >= resident.ruled_at


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 9])
def test_of_many_rulings_in_one_second_no_gate_admits_by_an_old_code_and_the_last_code_is_right(
    office: Office, town: Town, clock: Clock, turns: int
) -> None:
    """What a gate makes of every code that was issued on the way, once it has the newest list: never less strict than that list."""
    source, gate = publisher(office, town, clock), Follower(town, clock)
    gate.take(source.step())
    resident = add(office.registry).resident
    shown = []
    for turn in range(turns):
        colour, reason = [(Colour.RED, HandReason.CONFIRMED), (Colour.GREEN, HandReason.REVIEWED)][turn % 2]
        shown.append(code_of(office, town, set_colour(office, resident, colour, reason)))
        if turn == turns // 2:
            gate.take(source.step())
    clock.at += 1
    gate.take(source.step())
    found = [standing(code, {URI: gate.held}).status for code in shown]
    strictness = [STRICTNESS[status] for status in found if status is not None]
    newest = STRICTNESS[gate.held.get(shown[-1].index)]
    assert len(strictness) == turns and min(strictness) >= newest
    assert strictness[-1] == newest == STRICTNESS[STATUS_OF_COLOUR[shown[-1].colour]]
    clock.at += 31
    gate.take(source.step())
    assert {standing(code, {URI: gate.held}).status for code in shown} == {gate.held.get(shown[-1].index)}, "the next head settles it"


def test_a_red_code_on_a_fresh_index_beats_every_list_that_does_not_know_it(office: Office, town: Town, clock: Clock) -> None:
    source, gate = publisher(office, town, clock), Follower(town, clock)
    gate.take(source.step())
    resident = add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    assert gate.held.get(resident.index) is Status.GREEN
    assert resident.ruled_at > gate.held.as_of


def test_rulings_that_cancel_out_before_the_delta_are_stated_by_a_head_at_once(office: Office, town: Town, clock: Clock) -> None:
    publishing = publisher(office, town, clock)
    follower = Follower(town, clock)
    follower.take(publishing.step())
    clock.at += 5
    someone = add(office.registry, colour=Colour.RED, reason=HandReason.SUSPECTED)
    printed_red = office.registry.find(someone.resident)
    set_colour(office, someone.resident, Colour.GREEN, HandReason.CORRECTION)
    clock.at += 1
    follower.take(publishing.step())
    assert printed_red is not None
    assert follower.held.get(someone.index) is Status.GREEN
    assert follower.held.as_of >= printed_red.ruled_at


def test_as_of_does_not_move_while_a_change_waits(office: Office, town: Town, clock: Clock) -> None:
    source, gate = publisher(office, town, clock, Lists(delta_period_s=10, head_period_s=1)), Follower(town, clock)
    gate.take(source.step())
    add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    gate.take(source.step())
    before = gate.held.as_of
    add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    clock.at += 3
    gate.take(source.step())
    assert gate.held.as_of == before


def test_a_restarted_publisher_goes_on_where_the_other_stopped(office: Office, town: Town, clock: Clock) -> None:
    gate = Follower(town, clock)
    gate.take(publisher(office, town, clock).step())
    for _ in range(3):
        source = publisher(office, town, clock)
        resident = add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
        gate.take(source.step())
        assert gate.held.get(resident.index) is Status.RED
        clock.at += 1
    assert gate.held.version == 3


def test_a_restarted_publisher_whose_clock_is_behind_says_no_earlier_time_than_was_said(office: Office, town: Town, clock: Clock) -> None:
    gate = Follower(town, clock)
    source = publisher(office, town, clock)
    source.step()
    clock.at += 100
    gate.take(source.step())
    said = gate.held.as_of
    assert said == int(clock())
    clock.at -= 50
    source = publisher(office, town, clock)
    add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    delta = read(source.step()[0].payload, Delta, town.ring(), clock())
    assert isinstance(delta, Signed)
    assert delta.message.as_of == said


def test_many_changes_make_consecutive_versions(office: Office, town: Town, clock: Clock) -> None:
    source, gate = publisher(office, town, clock, most_changes=3), Follower(town, clock)
    gate.take(source.step())
    people = [add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED) for _ in range(8)]
    clock.at += 1
    gate.take(source.step())
    assert gate.held.version == 3
    assert all(gate.held.get(person.index) is Status.RED for person in people)


def test_compaction_and_what_can_still_be_asked_for(office: Office, town: Town, clock: Clock) -> None:
    settings = Lists(snapshot_period_s=600, keep_deltas=2)
    source, gate = publisher(office, town, clock, settings), Follower(town, clock)
    gate.take(source.step())
    for _ in range(6):
        clock.at += 1
        add(office.registry, colour=Colour.YELLOW, reason=HandReason.CLOSE_CONTACT)
        gate.take(source.step())
    assert source.copy_for_snapshot() is None
    clock.at += 600
    copy = source.copy_for_snapshot()
    assert copy is not None
    source.take_snapshot(source.compact(copy))
    last = source.step()
    gate.take(last)
    head = read(last[-1].payload, Head, town.ring(), clock())
    assert isinstance(head, Signed)
    assert (head.message.version, head.message.oldest, head.message.snapshot.version) == (6, 4, 6)
    assert source.copy_for_snapshot() is None
    again = publisher(office, town, clock, settings)
    gate.take(again.step())


@pytest.mark.parametrize("snapshot", [1, 20_000, LEAST // 2, 850_000, 16 * 2**20])
def test_a_snapshot_and_as_many_deltas_as_it_may_have_are_within_a_new_unit_s_budget(snapshot: int) -> None:
    heaviest = max(deltas for deltas in (LEAST // 4, snapshot // 2) if not is_heavy(deltas, snapshot))
    assert is_heavy(heaviest + 1, snapshot)
    assert snapshot + heaviest <= most(snapshot) * 0.8, "and a fifth is left for what comes while the next snapshot is made"


def test_deltas_that_outweigh_a_fresh_list_s_snapshot_have_it_made_anew_after_a_minute(office: Office, town: Town, clock: Clock) -> None:
    source = Publisher(
        office.store,
        lambda: town.keys[Use.LIST],
        issuer=ISSUER,
        uri=URI,
        capacity=2**26,
        keys=town.ring,
        settings=LISTS,
        now=clock,
    )
    source.step()
    with office.store.read() as tx:
        first = publication.newest_snapshot(tx, URI)
    assert first is not None
    indices = random.Random(1).sample(range(2**26), 140_000)
    with office.store.write() as tx:
        rows = [{"uri": URI, "idx": index, "status": 2, "ruled_at": int(clock())} for index in indices]
        tx.execute(text("INSERT INTO list_changes (uri, idx, status, ruled_at) VALUES (:uri, :idx, :status, :ruled_at)"), rows)
    clock.at += 1
    sent = sum(len(item.payload) for item in source.step() if not item.retain)
    assert sent > 10 * first.size
    assert source.copy_for_snapshot() is None, "a slow unit is still fetching the one before"
    clock.at += LISTS.snapshot_period_s / 10
    again = Publisher(
        office.store, lambda: town.keys[Use.LIST], issuer=ISSUER, uri=URI, capacity=2**26, keys=town.ring, settings=LISTS, now=clock
    )
    again.step()
    assert again.copy_for_snapshot() is not None, "a server that was started meanwhile knows it, too"
    copy = source.copy_for_snapshot()
    assert copy is not None
    source.take_snapshot(Compacted(copy.epoch, copy.version, copy.snapshot(town.keys[Use.LIST], copy.as_of)))
    with office.store.write() as tx:
        publication.insert_changes(tx, [publication.Waiting(URI, 7, Status.YELLOW, int(clock()))])
    clock.at += LISTS.snapshot_period_s / 2
    source.step()
    assert source.copy_for_snapshot() is None, "one small delta is no reason"


def test_a_snapshot_that_was_under_way_when_the_epoch_was_raised_is_let_go(office: Office, town: Town, clock: Clock) -> None:
    source = publisher(office, town, clock, LISTS)
    source.step()
    add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    clock.at += 700
    source.step()
    copy = source.copy_for_snapshot()
    assert copy is not None
    made = source.compact(copy)
    town.publish([entry(key, use, epoch=2) for use, key in town.keys.items()])
    source.reload()
    source.step()
    source.take_snapshot(made)
    with office.store.read() as tx:
        row = publication.newest_snapshot(tx, URI)
    assert row is not None
    assert (row.epoch, row.version) == (2, 1)
    clock.at += 60
    head = read(source.step()[-1].payload, Head, town.ring(), clock())
    assert isinstance(head, Signed)
    assert head.message.snapshot.sha256 == row.sha256
    assert publisher(office, town, clock).step(), "a restarted server still reads its list"


def test_a_raised_epoch_begins_anew_with_what_the_registry_knows(office: Office, town: Town, clock: Clock) -> None:
    source = publisher(office, town, clock)
    red = add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    moved = add(office.registry)
    office.registry.revoke(moved.resident)
    source.step()
    late = add(office.registry, colour=Colour.YELLOW, reason=HandReason.CLOSE_CONTACT)
    town.publish([entry(key, use, epoch=2) for use, key in town.keys.items()])
    clock.at += 1
    source.reload()
    (head,) = source.step()
    signed = read(head.payload, Head, town.ring(), clock())
    assert isinstance(signed, Signed)
    assert (signed.message.epoch, signed.message.version, signed.message.oldest) == (2, 1, 0)
    assert signed.message.snapshot.version == 1, "with what the registry knows in the first snapshot: one fetch, and no delta after it"
    with office.store.read() as tx:
        chunk = publication.snapshot_chunk(tx, URI, 2, 1, 0, 10**6)
        deltas = publication.list_deltas(tx, URI, 2, 0, 9, 9)
    assert chunk is not None
    held = read_snapshot(chunk[1], URI, town.ring(), clock())
    assert isinstance(held, StatusList)
    chained = StatusList.empty(URI, 2, CAPACITY)
    delta = read(deltas[0], Delta, town.ring(), clock())
    assert isinstance(delta, Signed)
    assert chained.apply(delta.message) is None
    assert (held.packed[:], held.digest) == (chained.packed[:], chained.digest)
    assert [held.get(person.index) for person in (red, moved, late)] == [Status.RED, Status.REVOKED, Status.YELLOW]


def test_without_a_list_key_in_the_trust_list_nothing_is_published(office: Office, town: Town, clock: Clock) -> None:
    town.publish([entry(key, use) for use, key in town.keys.items() if use is not Use.LIST])
    with pytest.raises(ListError, match="names no list key"):
        publisher(office, town, clock).step()


def answers(office: Office, town: Town, clock: Clock) -> Answers:
    trust = TrustFiles(town.folder / "keys", load_roots(office.config.roots))
    return Answers(office.store, lambda: town.keys[Use.TIME], lambda: trust.current, clock, fetch_mbit=1e9)


def answered(ask: Answers, unit: str, request: SyncRequest) -> list[Publication]:
    """What the unit is told at once, or when its turn comes."""
    return ask.ask(unit, encode(request)) or ask.due(0.0)


def test_ranges_chunks_and_the_time_are_answered(office: Office, town: Town, clock: Clock) -> None:
    source = publisher(office, town, clock)
    source.step()
    for _ in range(4):
        clock.at += 1
        add(office.registry, colour=Colour.YELLOW, reason=HandReason.CLOSE_CONTACT)
        source.step()
    ask = answers(office, town, clock)
    found = answered(ask, "north", RangeRequest(uri=URI, epoch=1, from_version=1, to_version=3))
    assert {item.topic for item in found} == {topics.down("north", "sync")}
    held = [read(unpack(item.payload, DeltaAnswer, 10**6).body, Delta, town.ring(), clock()) for item in found]
    assert [(item.message.start, item.message.to) for item in held if isinstance(item, Signed)] == [(1, 2), (2, 3)]

    (chunk,) = answered(ask, "north", ChunkRequest(uri=URI, epoch=1, version=0, offset=10))
    piece = unpack(chunk.payload, ChunkAnswer, 10**6)
    assert (piece.offset, len(piece.body)) == (10, piece.total - 10)

    (trust,) = answered(ask, "north", ChunkRequest(uri="", epoch=0, version=town.version, offset=0))
    assert unpack(trust.payload, ChunkAnswer, 10**6).body == (town.folder / "keys" / "trust.cbor").read_bytes()

    nonce = hashlib.sha256(b"x").hexdigest()[:32]
    (told,) = answered(ask, "north", TimeRequest(nonce=nonce))
    answer = read(unpack(told.payload, TimeAnswerEnvelope, 10**6).body, TimeAnswer, town.ring(), clock())
    assert isinstance(answer, Signed)
    assert answer.message == TimeAnswer(unit="north", nonce=nonce, at_ms=round(clock() * 1000))

    for missing in (
        ChunkRequest(uri=URI, epoch=9, version=0, offset=0),
        ChunkRequest(uri=URI, epoch=1, version=0, offset=10**6),
        ChunkRequest(uri="", epoch=0, version=99, offset=0),
        RangeRequest(uri="x", epoch=1, from_version=0, to_version=9),
    ):
        assert answered(ask, "north", missing) == []


def test_a_foreign_list_is_checked_kept_and_passed_on(office: Office, town: Town, clock: Clock) -> None:
    stranger = SoftwareKey.generate()
    foreign = StatusList.empty(FOREIGN_URI, 1, 1024)
    assert foreign.apply(foreign.make_delta({5: Status.RED}, int(clock()))) is None
    head, snapshot = make_pair(foreign, stranger, int(clock()))

    def take(head: bytes = head, snapshot: bytes = snapshot, uri: str = FOREIGN_URI) -> None:
        import_foreign(office.store, uri, head, snapshot, (), town.ring(), clock())

    with pytest.raises(ListError, match="UNKNOWN_KEY"):
        take()
    town.publish([*town.entries, entry(stranger, Use.LIST, FOREIGN, FOREIGN_URI)])
    take()
    with office.store.read() as tx:
        (row,) = publication.list_heads(tx)
    assert (row.issuer, row.is_ours, row.body) == (FOREIGN, False, head)
    with pytest.raises(ListError, match="expected https://hb"):
        take(uri=URI)
    ahead, made_ahead = make_pair(foreign.copy(), stranger, int(clock()) + 3600)
    with pytest.raises(ListError, match="3600 s ahead"):
        take(ahead, made_ahead)
    take(*make_pair(foreign.copy(), stranger, int(clock()) + 30))
    clock.at += 60
    older = head
    head, fresh = make_pair(foreign, stranger, int(clock()))
    with pytest.raises(ListError, match="another snapshot"):
        take(head, snapshot)
    take(head, fresh)
    with pytest.raises(ListError, match="older"):
        take(older, snapshot)


def test_a_withdrawn_key_is_seen_when_the_file_changes(office: Office, town: Town, clock: Clock) -> None:
    parts = build(office, clock)
    assert not parts.trust.refresh()
    town.publish([entry(key, use) for use, key in town.keys.items() if use is not Use.TIME])
    assert parts.trust.refresh()
    assert parts.trust.current.ring.version == 2
    assert parts.trust.current.ring.find(town.keys[Use.TIME].kid, Use.TIME) == ()
    (town.folder / "keys" / "trust.cbor").write_bytes(b"rubbish")
    assert not parts.trust.refresh()
    assert parts.trust.current.ring.version == 2


def test_what_a_full_list_has_no_room_for_is_published_on_the_next_one(town: Town, clock: Clock) -> None:
    further = "https://hb.example/s/2"
    town.publish([entry(key, use, uri=URI) for use, key in town.keys.items()] + [entry(town.keys[Use.LIST], Use.LIST, uri=further)])
    office = open_office(town.config(f'further_uris = ["{further}"]'), clock, capacity=4)
    try:
        first, second = build(office, clock).publishers
        published = [*first.step(), *second.step()]
        people = [add(office.registry, f"resident {number}", Colour.RED, HandReason.CONFIRMED) for number in range(5)]
        clock.at += 2
        published += [*first.step(), *second.step()]
        told: dict[str, dict[int, Status]] = {URI: {}, further: {}}
        for item in published:
            kind = topics.parse(item.topic)
            assert isinstance(kind, topics.ListTopic)
            if kind.channel == "delta":
                delta = read(item.payload, Delta, town.ring(), clock())
                assert isinstance(delta, Signed)
                uri = delta.message.uri
                assert kind.mark == topics.list_mark(uri)
                held = StatusList.empty(uri, 1, 4)
                assert held.apply(delta.message) is None
                told[uri] = {index: held.get(index) for index in range(4) if held.get(index) is not Status.GREEN}
        assert told == {URI: dict.fromkeys(range(4), Status.RED), further: {people[4].index: Status.RED}}
        assert len({item.topic for item in published if item.retain}) == 2, "each list has a retained head of its own"
    finally:
        office.store.close()


def test_after_a_rotation_the_new_key_signs_and_the_snapshot_is_made_anew_though_nothing_changed(
    office: Office, town: Town, clock: Clock
) -> None:
    """Else the list would be lost, at the gates and here, on the day on which the old key counts no more."""
    signing = [town.keys[Use.LIST]]
    source = publisher(office, town, clock, signer=lambda: signing[0])
    source.step()
    held = source.copy_for_snapshot()
    assert held is None, "nothing has changed"
    with office.store.read() as tx:
        before = publication.newest_snapshot(tx, URI)
    old, fresh = signing[0], SoftwareKey.generate()
    now = int(clock())
    limits = {"sign_until": now + 100, "verify_until": now + 1000}
    others = [each for each in town.entries if each.use is not Use.LIST]
    town.publish([*others, msgspec.structs.replace(entry(old, Use.LIST), **limits), entry(fresh, Use.LIST)])
    signing[0] = fresh
    source.reload()
    clock.at += 50
    add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    gate = Follower(town, clock)
    gate.take(source.step())
    assert gate.held.version == 1, "deltas and heads of the new key, at once"
    copy = source.copy_for_snapshot()
    assert copy is not None
    source.take_snapshot(source.compact(copy))
    assert source.copy_for_snapshot() is None
    clock.at += 2000
    again = publisher(office, town, clock, signer=lambda: signing[0])
    gate.take(again.step())
    with office.store.read() as tx:
        after = publication.newest_snapshot(tx, URI)
    assert before is not None
    assert after is not None
    assert (after.epoch, after.version) == (before.epoch, 1)


def test_a_snapshot_of_the_same_version_signed_anew_takes_the_place_of_the_old(office: Office, town: Town, clock: Clock) -> None:
    signing = [town.keys[Use.LIST]]
    source = publisher(office, town, clock, signer=lambda: signing[0])
    source.step()
    signing[0] = SoftwareKey.generate()
    copy = source.copy_for_snapshot()
    assert copy is not None
    made = source.compact(copy)
    source.take_snapshot(made)
    with office.store.read() as tx:
        row = publication.newest_snapshot(tx, URI)
        assert row is not None
        assert row.sha256 == hashlib.sha256(made.body).digest()
        assert publication.snapshot_chunk(tx, URI, row.epoch, row.version, 0, row.size) == (row.size, made.body)


def test_a_unit_that_asks_over_and_over_is_sent_its_budget_and_named(
    office: Office, town: Town, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Chunks, ranges, made up or honest: within any hour no more than twice the snapshot, or a megabyte of a list so small."""
    source = publisher(office, town, clock)
    source.step()
    add(office.registry, colour=Colour.YELLOW, reason=HandReason.CLOSE_CONTACT)
    clock.at += 1
    source.step()
    ask = answers(office, town, clock)
    with office.store.write() as tx:  # a snapshot as long as a province's
        body = bytes(700_000)
        publication.insert_snapshot(tx, URI, publication.SnapshotRow(1, 1, bytes(32), len(body), 0), body)
    requests = (ChunkRequest(uri=URI, epoch=1, version=1, offset=0), RangeRequest(uri=URI, epoch=1, from_version=0, to_version=1))
    sent: list[tuple[float, int]] = []
    for number in range(1100):
        clock.at += 6.5
        for item in answered(ask, "north", requests[number % 2]):
            is_chunk = number % 2 == 0
            body = unpack(item.payload, ChunkAnswer, 10**6).body if is_chunk else unpack(item.payload, DeltaAnswer, 10**6).body
            sent.append((clock.at, len(body)))
    for end, _ in sent:
        assert sum(size for at, size in sent if end - 3600 < at <= end) <= 1_400_000
    assert sum(size for _, size in sent) > 2 * 1_300_000, "and the next hour it is sent as much again"
    lines = [record.getMessage() for record in caplog.records if "asks for more" in record.getMessage()]
    assert len(lines) == 2, "once an hour"
    assert lines[0] == f"north: asks for more of {URI} than 1400000 bytes an hour; not answered (1 so far)"
    with office.store.read() as tx:
        [(name, unit, times, _)] = events.list_alerts(tx)
    assert (name, unit, times) == ("sync_budget", "north", 2)
    assert answered(ask, "south", requests[0]), "another unit is sent what it asks for"
    assert answered(ask, "north", TimeRequest(nonce="0" * 32)), "and this one the time"
