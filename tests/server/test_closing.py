"""Closing an account: what ends with it, what stays, and how somebody comes back."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from healthcode.terms import Status
from server.actors import Actor, Role
from server.audit import Action
from server.charges import ClaimWaits
from server.office import Office
from server.store import audit as log
from server.store import households, people, publication
from tests.server.office import URI, Clock, Town
from tests.server.web import PASSWORD, Browser, make_app, quick
from tests.server.web_people import declare, join, number

NAME = "13800138000"
OFFICER = Actor("li", Role.OFFICER)


@pytest.fixture
def house(office: Office, clock: Clock) -> Office:
    return quick(office, clock)


@pytest.fixture
def app(town: Town, house: Office) -> FastAPI:
    return make_app(town, house)


@pytest.fixture
def mother(app: FastAPI) -> Browser:
    browser = Browser(app)
    browser.register(NAME)
    return browser


def close(browser: Browser, password: str = PASSWORD) -> tuple[int, str, str]:
    answer = browser.post("/account/close", {"password": password})
    return answer.status_code, answer.url.path, answer.text


def test_an_account_is_closed_and_its_person_comes_back(app: FastAPI, house: Office, mother: Browser, clock: Clock) -> None:
    me = join(mother, "张三丰", "19800101")
    declare(mother, me)
    granny = join(mother, "王奶奶", "19400101", "elder", 9)
    declare(mother, granny)
    before = house.registry.find(me)
    assert before is not None and before.person.phone
    page = mother.get("/account/close").text
    assert "All codes of 张**" in page
    assert f'href="/family/hand-over?who={granny}"' in page, "the one who would have nobody"
    status, _, page = close(mother, "not the password")
    assert (status, "This is not the password." in page) == (422, True)
    assert mother.get("/family").url.path == "/family", "nothing was closed"

    clock.at += 60
    status, path, page = close(mother)
    assert (status, path) == (200, "/")
    assert "The account is closed" in page
    assert mother.get("/family").url.path == "/sign-in"
    assert mother.sign_in(NAME).status_code == 422
    assert house.accounts.list_accounts() == []
    after = house.registry.find(me)
    assert after is not None
    assert (after.colour, after.person.name, after.person.phone) == (before.colour, "张三丰", "")
    with house.store.read() as tx:
        assert people.find_by_index(tx, before.uri, before.index) is None
        assert [each.status for each in publication.waiting_changes(tx, URI, 100)] == [Status.REVOKED]
        assert households.holders(tx, me) == households.holders(tx, granny) == []
        (closed,) = log.list_newest(tx, 5, action=Action.ACCOUNT_CLOSED.value)
        assert (closed.role, closed.detail) == ("resident", '{"members":2}')

    again = Browser(app)
    assert again.register(NAME).status_code == 200, "the name is free"
    again.post("/family/add", {"relation": "self", "name": "张三丰", "paper": "citizen", "number": number("19800101")})
    (row,) = house.accounts.list_accounts()
    (claim,) = house.handovers.own_claims(row.actor)
    assert isinstance(claim, ClaimWaits)
    assert house.handovers.decide(OFFICER, claim.claim, is_granted=True, reason="papers_seen") is None
    assert [member.resident for member in house.households.members(row.actor)] == [me], "with all that was known"


def test_claims_that_wait_go_with_the_account_and_who_is_shared_stays(app: FastAPI, house: Office, mother: Browser) -> None:
    me = join(mother, "张三丰", "19800101")
    aunt = Browser(app)
    aunt.register("13900139000")
    own = join(aunt, "王大姐", "19700101", "self", 7)
    aunt.post("/family/add", {"relation": "other", "name": "张三丰", "paper": "citizen", "number": number("19800101")})
    assert "张**" in mother.get("/family").text, "the family is asked"
    assert close(aunt)[1] == "/"
    assert "张**" not in mother.get("/family").text.split("<ul class")[0]
    with house.store.read() as tx:
        assert [relation for _, relation in households.holders(tx, me)] == ["self"]
        assert households.holders(tx, own) == []


def test_staff_close_no_account_by_themselves(app: FastAPI, house: Office) -> None:
    house.accounts.add("officer.li", PASSWORD, Role.OFFICER)
    browser = Browser(app)
    browser.sign_in("officer.li")
    assert browser.get("/account/close").status_code == 403
