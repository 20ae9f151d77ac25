"""Accounts: names, passwords, sessions that end, and guessing that gets slow."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.accounts import AccountFault, Accounts, Refused
from server.actors import Role
from server.names import normal_name
from server.office import Office
from server.passwords import Cost, Passwords
from server.sessions import RESIDENTS_SESSION, STAFF_SESSION, Sessions, SignedIn
from server.store import audit as log
from server.throttle import Limits, wait_after
from tests.server.office import Clock

GOOD = "three blue herons"
NEW = "seven grey herons"
HOME, CAFE = "198.51.100.7", "203.0.113.9"


@pytest.fixture
def accounts(office: Office, clock: Clock) -> Accounts:
    return Accounts(office.store, office.seal, clock, Passwords(Cost(1, 64, 1)))


@pytest.fixture
def sessions(office: Office, accounts: Accounts, clock: Clock) -> Sessions:
    return Sessions(office.store, accounts, office.seal, clock)


def signed_in(outcome: SignedIn | Refused) -> SignedIn:
    assert isinstance(outcome, SignedIn), outcome
    return outcome


def refused(outcome: object) -> Refused:
    assert isinstance(outcome, Refused), outcome
    return outcome


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("138 0013 8000", "13800138000"),
        ("+86 138-0013-8000", "13800138000"),
        ("１３８００１３８０００", "13800138000"),
        ("+49 30 1234567", "+49301234567"),
        ("Officer.Li", "officer.li"),
        ("王小明-2", "王小明-2"),
        ("li@example.org", "li@example.org"),
        ("12", None),
        ("12345678", None),
        ("11010519491231002X", None),
        ("two words", None),
        ("a" * 65, None),
        ("", None),
    ],
)
def test_names(typed: str, kept: str | None) -> None:
    assert normal_name(typed) == kept


@given(st.text(max_size=80))
def test_a_name_that_is_kept_stays_what_it_is(typed: str) -> None:
    kept = normal_name(typed)
    assert kept is None or normal_name(kept) == kept


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("short", AccountFault.PASSWORD_SHORT),
        ("x" * 129, AccountFault.PASSWORD_LONG),
        ("12345678", AccountFault.PASSWORD_COMMON),
        ("password1", AccountFault.PASSWORD_COMMON),
        ("aaaaaaaa", AccountFault.PASSWORD_COMMON),
        ("wang.fang1", AccountFault.PASSWORD_COMMON),
    ],
)
def test_passwords_that_are_guessed_first(accounts: Accounts, password: str, fault: AccountFault) -> None:
    assert refused(accounts.add("wang.fang", password, Role.RESIDENT)).fault is fault


def test_staff_need_a_longer_one(accounts: Accounts) -> None:
    assert refused(accounts.add("officer.li", "grey herons", Role.OFFICER)).fault is AccountFault.PASSWORD_SHORT
    assert not isinstance(accounts.add("officer.li", "grey herons", Role.RESIDENT), Refused)


def test_one_name_one_account(sessions: Sessions) -> None:
    signed_in(sessions.register("138 0013 8000", GOOD, HOME))
    assert refused(sessions.register("+8613800138000", GOOD, HOME)).fault is AccountFault.NAME_TAKEN


@pytest.mark.sqlite
def test_neither_name_nor_token_lies_in_the_database(sessions: Sessions, office: Office) -> None:
    session = signed_in(sessions.register("13800138000", GOOD, HOME))
    office.store.close()
    files = list(Path(office.config.data).glob("registry.sqlite*"))
    content = b"".join(path.read_bytes() for path in files)
    assert b"resident" in content, "this is the database"
    for secret in ("13800138000", GOOD, session.token, HOME):
        assert secret.encode() not in content


@pytest.mark.sqlite
def test_hashes_are_argon2id_with_the_parameters_of_rfc_9106(office: Office) -> None:
    assert not isinstance(office.accounts.add("officer.li", GOOD, Role.OFFICER), Refused)
    with sqlite3.connect(Path(office.config.data) / "registry.sqlite") as database:
        ((held,),) = database.execute("SELECT password FROM accounts").fetchall()
    assert held.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_an_account_that_there_is_not_takes_as_long_to_refuse() -> None:
    passwords = Passwords(Cost(3, 16_384, 1))
    held = passwords.make(GOOD)

    def work(whose: str | None) -> float:
        began = time.thread_time()
        assert passwords.check(whose, NEW) is False
        return time.thread_time() - began

    assert passwords.check(held, GOOD)
    known, unknown = (min(work(whose) for _ in range(5)) for whose in (held, None))
    assert 0.5 < unknown / known < 2


@pytest.mark.sqlite
def test_a_hash_of_older_parameters_is_made_anew_at_sign_in(office: Office, clock: Clock, accounts: Accounts) -> None:
    accounts.add("officer.li", GOOD, Role.OFFICER)
    stronger = Accounts(office.store, office.seal, clock, Passwords(Cost(2, 64, 1)))
    later = Sessions(office.store, stronger, office.seal, clock)
    signed_in(later.sign_in("officer.li", GOOD, HOME))
    with sqlite3.connect(Path(office.config.data) / "registry.sqlite") as database:
        ((held,),) = database.execute("SELECT password FROM accounts").fetchall()
    assert "t=2" in held
    signed_in(later.sign_in("officer.li", GOOD, HOME))


@pytest.mark.parametrize(("role", "lifetime"), [(Role.RESIDENT, RESIDENTS_SESSION), (Role.OFFICER, STAFF_SESSION)])
def test_a_session_ends_after_a_rest_and_after_its_longest_life(
    accounts: Accounts, sessions: Sessions, clock: Clock, role: Role, lifetime: object
) -> None:
    accounts.add("officer.li", GOOD, role)
    idle_s, most_s = (STAFF_SESSION if role is Role.OFFICER else RESIDENTS_SESSION).idle_s, lifetime.most_s  # type: ignore[attr-defined]
    rested = signed_in(sessions.sign_in("officer.li", GOOD, HOME))
    clock.at += idle_s - 1
    assert sessions.session(rested.token) is not None
    clock.at += idle_s
    assert sessions.session(rested.token) is None, "a rest ends it"
    busy = signed_in(sessions.sign_in("officer.li", GOOD, HOME))
    began = clock.at
    while clock.at + idle_s / 2 < began + most_s:
        clock.at += idle_s / 2
        assert sessions.session(busy.token) is not None
    clock.at = began + most_s
    assert sessions.session(busy.token) is None, "and nothing keeps it for ever"


def test_sign_out_and_disabling_end_sessions(accounts: Accounts, sessions: Sessions) -> None:
    accounts.add("officer.li", GOOD, Role.OFFICER)
    one, other = (signed_in(sessions.sign_in("officer.li", GOOD, HOME)) for _ in range(2))
    sessions.sign_out(one.token)
    assert sessions.session(one.token) is None
    assert sessions.session(other.token) is not None
    accounts.set_enabled("officer.li", False)
    assert sessions.session(other.token) is None
    assert refused(sessions.sign_in("officer.li", GOOD, HOME)).fault is AccountFault.WRONG
    accounts.set_enabled("officer.li", True)
    signed_in(sessions.sign_in("officer.li", GOOD, HOME))


def test_a_new_password_ends_every_session_but_the_new_one(sessions: Sessions) -> None:
    before = [signed_in(sessions.register("13800138000", GOOD, HOME)), signed_in(sessions.sign_in("13800138000", GOOD, CAFE))]
    assert refused(sessions.change_password(before[0].session.actor, "not the old one", NEW)).fault is AccountFault.WRONG
    after = signed_in(sessions.change_password(before[0].session.actor, GOOD, NEW))
    assert [sessions.session(each.token) for each in before] == [None, None]
    assert sessions.session(after.token) == after.session
    assert refused(sessions.sign_in("13800138000", GOOD, HOME)).fault is AccountFault.WRONG
    signed_in(sessions.sign_in("13800138000", NEW, HOME))


def test_guessing_gets_slow_and_never_final(sessions: Sessions, clock: Clock) -> None:
    sessions.register("13800138000", GOOD, HOME)
    waits = []
    for _ in range(20):
        outcome = refused(sessions.sign_in("13800138000", "a wrong guess", CAFE))
        if outcome.fault is AccountFault.WAIT:
            waits.append(outcome.wait_s)
            assert refused(sessions.sign_in("13800138000", GOOD, CAFE)).fault is AccountFault.WAIT, "nor is the right one looked at"
            clock.at += outcome.wait_s
    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(2)
    clock.at += 900
    signed_in(sessions.sign_in("13800138000", GOOD, CAFE))


def test_who_was_here_before_is_not_kept_out_by_others_guesses(sessions: Sessions) -> None:
    mine = signed_in(sessions.register("13800138000", GOOD, HOME))
    while refused(sessions.sign_in("13800138000", "a wrong guess", CAFE)).fault is not AccountFault.WAIT:
        pass
    signed_in(sessions.sign_in("13800138000", GOOD, HOME, mine.browser))
    sessions.register("13900139000", GOOD, HOME)
    assert refused(sessions.sign_in("13800138000", GOOD, HOME, "ab.cd")).fault is AccountFault.WAIT, "a mark that we did not make"


def test_a_marked_browser_guesses_no_faster(sessions: Sessions) -> None:
    mark = signed_in(sessions.register("13800138000", GOOD, HOME)).browser
    faults = [refused(sessions.sign_in("13800138000", "a wrong guess", HOME, mark)).fault for _ in range(6)]
    assert faults == [AccountFault.WRONG] * 5 + [AccountFault.WAIT]


def test_an_address_that_tries_many_accounts_waits_and_others_do_not(sessions: Sessions) -> None:
    sessions.register("13800138000", GOOD, HOME)
    faults = {refused(sessions.sign_in(f"nobody-{n}", "a wrong guess", CAFE)).fault for n in range(51)}
    assert faults == {AccountFault.WRONG, AccountFault.WAIT}
    assert refused(sessions.sign_in("13800138000", GOOD, CAFE)).fault is AccountFault.WAIT
    signed_in(sessions.sign_in("13800138000", GOOD, HOME))


def test_the_addresses_of_one_subscriber_count_together(sessions: Sessions) -> None:
    for n in range(50):
        sessions.sign_in(f"nobody-{n}", "a wrong guess", f"2001:db8:0:7::{n:x}")
    assert refused(sessions.sign_in("nobody-x", "a wrong guess", "2001:db8:0:7:ffff::1")).fault is AccountFault.WAIT
    assert refused(sessions.sign_in("nobody-x", "a wrong guess", "2001:db8:0:8::1")).fault is AccountFault.WRONG


def test_many_attempts_at_once_count_as_many(sessions: Sessions) -> None:
    sessions.register("13800138000", GOOD, HOME)
    with ThreadPoolExecutor(8) as pool:
        faults = [refused(each).fault for each in pool.map(lambda _: sessions.sign_in("13800138000", "a wrong guess", CAFE), range(24))]
    assert faults.count(AccountFault.WRONG) == 5
    assert faults.count(AccountFault.WAIT) == 19


def entries(office: Office) -> list[tuple[str, str, str, str]]:
    """(action, role, "own" where the account itself did it, detail) of what the log says of accounts, oldest first."""
    with office.store.read() as tx:
        found = [each for each in log.list_newest(tx, 100)[::-1] if each.subject.startswith("account/")]
    return [(each.action, each.role, "own" if each.subject == f"account/{each.account}" else each.account, each.detail) for each in found]


def test_staffs_coming_and_going_is_in_the_log(accounts: Accounts, sessions: Sessions, office: Office) -> None:
    accounts.add("officer.li", GOOD, Role.OFFICER)
    first = signed_in(sessions.sign_in("officer.li", GOOD, HOME))
    refused(sessions.sign_in("officer.li", "a wrong guess", CAFE))
    sessions.sign_out(first.token)
    sessions.sign_out(first.token)
    refused(sessions.change_password(first.session.actor, "a wrong guess", NEW))
    signed_in(sessions.change_password(first.session.actor, GOOD, NEW))
    accounts.set_enabled("officer.li", False)
    refused(sessions.sign_in("officer.li", NEW, HOME))
    accounts.set_enabled("officer.li", True)
    assert entries(office) == [
        ("account.added", "console", "", '{"role":"officer"}'),
        ("account.signed_in", "officer", "own", "{}"),
        ("account.sign_in_refused", "stranger", "", '{"reason":"wrong_password"}'),
        ("account.signed_out", "officer", "own", "{}"),
        ("account.sign_in_refused", "officer", "own", '{"reason":"wrong_old_password"}'),
        ("account.password", "officer", "own", "{}"),
        ("account.disabled", "console", "", "{}"),
        ("account.sign_in_refused", "stranger", "", '{"reason":"disabled"}'),
        ("account.enabled", "console", "", "{}"),
    ]


def test_a_flood_of_guesses_does_not_flood_the_log(accounts: Accounts, sessions: Sessions, office: Office) -> None:
    accounts.add("officer.li", GOOD, Role.OFFICER)
    for _ in range(40):
        refused(sessions.sign_in("officer.li", "a wrong guess", CAFE))
    assert [action for action, *_ in entries(office)] == ["account.added"] + ["account.sign_in_refused"] * 5


def test_when_residents_look_at_their_codes_is_not_kept(sessions: Sessions, office: Office) -> None:
    mine = signed_in(sessions.register("13800138000", GOOD, HOME))
    refused(sessions.sign_in("13800138000", "a wrong guess", CAFE))
    refused(sessions.sign_in("nobody-1", GOOD, CAFE))
    sessions.sign_out(mine.token)
    signed_in(sessions.sign_in("13800138000", GOOD, HOME))
    assert [action for action, *_ in entries(office)] == ["account.added"]


@pytest.mark.sqlite
def test_what_is_over_is_forgotten(sessions: Sessions, clock: Clock, office: Office) -> None:
    sessions.register("13800138000", GOOD, HOME)
    sessions.sign_in("13800138000", "a wrong guess", CAFE)
    clock.at += RESIDENTS_SESSION.most_s
    sessions.tidy()
    with sqlite3.connect(Path(office.config.data) / "registry.sqlite") as database:
        assert database.execute("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM throttles)").fetchall() == [(0, 0)]


@given(st.integers(0, 10_000))
def test_waits_grow_to_the_ceiling(attempts: int) -> None:
    limits = Limits(5, 2.0, 900.0, 86_400.0)
    assert 0 <= wait_after(attempts, limits) <= wait_after(attempts + 1, limits) <= 900.0
