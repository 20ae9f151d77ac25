"""Many at once on one database: one person one code, one request, one report; colours, codes and the log agree.

Each thread has an office of its own, with its own connections, as commands, pages and the server's process have. On SQLite and, where
the variable HEALTHGATE_POSTGRES says so, on PostgreSQL.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from healthcode.terms import STATUS_OF_COLOUR, ClockState, Colour, Status, Use
from server import audit, store
from server.accounts import Account
from server.actors import BY_RULES, Role
from server.appeals import Appeal, AppealFault
from server.appeals import Refused as AppealRefused
from server.audit import Sound
from server.charges import ClaimWaits, Registered
from server.checkins import ReportKind, Taken
from server.config import Codes, Lists, load
from server.facts import CloseContact, Fact, FeverAtGate, HandReason, Reviewed
from server.issuer import Issuer, Pack
from server.lists import Publisher, load_list
from server.office import Office, open_office
from server.rulings import MOST_AHEAD_S
from server.store import publication
from tests.server.family import actor, entry, number
from tests.server.office import CAPACITY, ISSUER, URI, Town, set_colour
from tests.server.test_registry import add

THREADS = 6
WELL: dict[str, str | list[str]] = {
    "symptoms": ["none"],
    "temperature": "36.8",
    "contact": "no",
    "travel": ["none"],
    "isolation": "none",
    "district": "420106",
    "phone": "13812345678",
}


@pytest.fixture
def office(town: Town) -> Office:
    town.configure()
    return another(town)


def another(town: Town) -> Office:
    """An office as a further process opens it."""
    return open_office(load(town.folder / "server.toml"), time.time, CAPACITY)


def at_once(town: Town, work: Callable[[Office, int], object], threads: int = THREADS) -> list[object]:
    """What `work` gives in so many threads that begin together, each with its own office."""
    gate = threading.Barrier(threads)
    found: list[object] = [None] * threads

    def run(place: int) -> None:
        office = another(town)
        try:
            gate.wait(60)
            found[place] = work(office, place)
        except Exception as wrong:  # noqa: BLE001  whatever it is is shown by the test
            found[place] = wrong
        finally:
            office.store.close()

    running = [threading.Thread(target=run, args=(place,)) for place in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not [wrong for wrong in found if isinstance(wrong, Exception)]
    return found


def count(office: Office, table: str) -> int:
    with office.store.read() as tx:
        return int(tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def log_holds(office: Office) -> bool:
    with office.store.read() as tx:
        return isinstance(audit.verify(tx), Sound)


def test_one_number_that_many_register_at_once_is_one_resident(town: Town, office: Office) -> None:
    accounts = [actor(office, f"138001380{place:02}") for place in range(THREADS)]
    who = number()
    found = at_once(town, lambda mine, place: mine.households.register(accounts[place], entry("self", "王芳", who)))
    assert Counter(type(each) for each in found) == {Registered: 1, ClaimWaits: THREADS - 1}
    assert (count(office, "residents"), count(office, "charges"), count(office, "claims")) == (1, 1, THREADS - 1)
    assert count(office, "assignments") == 1, "one person, one code"
    assert log_holds(office)
    office.store.close()


def test_one_report_that_comes_many_times_at_once_counts_once(town: Town, office: Office) -> None:
    who = actor(office, "13800138001")
    own = office.households.register(who, entry())
    assert isinstance(own, Registered)
    found = at_once(town, lambda mine, _: mine.checkins.submit(who, own.resident, ReportKind.DECLARATION, "report-1", WELL))
    answers = [each for each in found if isinstance(each, Taken)]
    assert sorted(each.is_again for each in answers) == [False, *[True] * (THREADS - 1)]
    assert len({each.at for each in answers}) == 1
    assert (count(office, "facts"), count(office, "submissions")) == (2, 1), "a declaration and its review"
    office.store.close()


def test_of_many_requests_of_one_person_one_waits(town: Town, office: Office) -> None:
    who = actor(office, "13800138001")
    own = office.households.register(who, entry())
    assert isinstance(own, Registered)
    with office.store.write() as tx:
        facts: list[Fact] = [Reviewed(time.time(), "rule"), CloseContact(time.time() - 60, "clinic")]
        office.registry.record_many(tx, [(own.resident, fact) for fact in facts], time.time(), BY_RULES)
    found = at_once(town, lambda mine, _: mine.appeals.ask(who, own.resident, "test", []))
    assert sum(isinstance(each, Appeal) for each in found) == 1
    assert {each.fault for each in found if isinstance(each, AppealRefused)} == {AppealFault.ONE_WAITS}
    office.store.close()


def test_one_name_that_many_take_at_once_is_one_account(town: Town, office: Office) -> None:
    found = at_once(town, lambda mine, _: mine.accounts.add("officer.li", "a long pass phrase", Role.OFFICER), threads=3)
    assert sum(isinstance(each, Account) for each in found) == 1
    office.store.close()


def test_codes_lists_and_rulings_agree_while_everybody_works(town: Town, office: Office) -> None:
    """Officers, gates, an import's contacts, lost phones and codes for three people at once, and the publisher beside them.

    Every code says a ruling that was in force for its index when it was made, and at the end the list says what the registry says.
    """
    residents = [add(office.registry).resident for _ in range(3)]
    publisher = Publisher(
        office.store,
        lambda: town.keys[Use.LIST],
        issuer=ISSUER,
        uri=URI,
        capacity=CAPACITY,
        keys=town.ring,
        settings=Lists(delta_period_s=0.01, head_period_s=0.05),
        now=time.time,
    )
    publisher.step()
    packs: list[Pack] = []

    def work(mine: Office, place: int) -> None:
        chance = random.Random(place)
        issuer = Issuer(mine.store, town.keys[Use.TOKEN], issuer=ISSUER, codes=Codes(), now=time.time)
        for turn in range(10):
            who = chance.choice(residents)
            if place == 0:
                set_colour(mine, who, *[(Colour.RED, HandReason.CONFIRMED), (Colour.GREEN, HandReason.REVIEWED)][turn % 2])
            elif place == 1:
                mine.registry.revoke(who)
            elif place == 2:
                with mine.store.write() as tx:
                    fever = FeverAtGate(time.time(), "north", 38.5, ClockState.TRUSTED)
                    mine.registry.record_many(tx, [(each, fever) for each in residents], time.time(), BY_RULES)
            elif place == 3:
                publisher.step()
            else:
                pack = issuer.live_pack(who, lasting_s=120)
                assert isinstance(pack, Pack)
                packs.append(pack)

    at_once(town, work)
    time_is = int(time.time())
    publisher.reload()
    publisher.step()
    with office.store.read() as tx:
        made = {
            (str(uri), int(idx), str(colour), int(ruled_at)): int(ruling)
            for ruling, uri, idx, colour, ruled_at in tx.execute(text("SELECT ruling, uri, idx, colour, ruled_at FROM rulings"))
        }
        times = tx.execute(text("SELECT resident, ruled_at FROM rulings WHERE colour <> 'pending' ORDER BY resident, ruling")).all()
        newest = tx.execute(text("SELECT r.ruling, (SELECT max(g.ruling) FROM rulings g WHERE g.resident = r.resident) FROM residents r"))
        assert all(held == last for held, last in newest), "the newest ruling is the one in force"
        assert not publication.has_changes(tx, URI)
    assert {(pack.uri, pack.index, pack.colour.value, pack.ruled_at) for pack in packs} <= made.keys()
    assert times == sorted(times) and max(ruled_at for _, ruled_at in times) <= time_is + MOST_AHEAD_S
    with office.store.read() as tx:
        held = load_list(tx, URI, town.ring(), time.time())
    for each in residents:
        now = office.registry.find(each)
        assert now is not None and now.colour is not None
        assert held.get(now.index) is STATUS_OF_COLOUR[now.colour]
    with office.store.read() as tx:
        for uri, idx in tx.execute(text("SELECT uri, idx FROM assignments WHERE revoked_ms IS NOT NULL")).all():
            assert uri == URI and held.get(int(idx)) is Status.REVOKED
    assert log_holds(office)
    office.store.close()


def test_who_waits_too_long_for_the_lock_is_told_so_and_may_try_again(town: Town, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUSY_MS", 50)
    other = another(town)
    with office.store.write() as tx:
        tx.execute(text("UPDATE rulebook SET revision = revision + 1"))
        with pytest.raises(OperationalError), other.store.write():
            pytest.fail("two write at once")
    with other.store.write() as tx:
        assert tx.execute(text("SELECT revision FROM rulebook")).scalar_one() > 1, "and it sees what the one before wrote"
    other.store.close()
    office.store.close()


def test_a_write_sees_what_the_one_before_it_wrote_whatever_the_database_s_default_is(town: Town, office: Office) -> None:
    """A snapshot from before the lock would be of a time when the other had not written."""
    if office.store.engine.dialect.name == "postgresql":
        with office.store.write() as tx:
            name = office.store.engine.url.database
            tx.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")

    def add_one(mine: Office, _: int) -> None:
        for _ in range(10):
            with mine.store.write() as tx:
                seen = int(tx.execute(text("SELECT revision FROM rulebook")).scalar_one())
                tx.execute(text("UPDATE rulebook SET revision = :revision"), {"revision": seen + 1})

    with office.store.read() as tx:
        before = int(tx.execute(text("SELECT revision FROM rulebook")).scalar_one())
    at_once(town, add_one)
    with office.store.read() as tx:
        assert tx.execute(text("SELECT revision FROM rulebook")).scalar_one() == before + 10 * THREADS
    office.store.close()


WORKER = """
import sys, time
from pathlib import Path
from server.actors import Actor, Role
from server.config import load
from server.office import open_office
from tests.server.family import entry
office = open_office(load(Path(sys.argv[1])), time.time, 4096)
for number in sys.argv[3:]:
    print(type(office.households.register(Actor(sys.argv[2], Role.RESIDENT), entry("other", "王芳", number))).__name__, flush=True)
office.store.close()
"""


@pytest.mark.slow
def test_processes_that_register_the_same_people_make_each_of_them_once(town: Town, office: Office) -> None:
    people = [number(sequence=place) for place in range(1, 6)]
    accounts = [actor(office, f"138001380{place:02}") for place in range(4)]
    worker = [sys.executable, "-c", WORKER, str(town.folder / "server.toml")]
    running = [subprocess.Popen([*worker, each.account, *people], stdout=subprocess.PIPE, text=True) for each in accounts]
    said = [process.communicate(timeout=120)[0].split() for process in running]
    for place in range(len(people)):
        assert sorted(words[place] for words in said).count("Registered") == 1, said
    assert (count(office, "residents"), count(office, "charges")) == (len(people), len(people))
    assert log_holds(office)
    office.store.close()
