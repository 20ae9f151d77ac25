"""What residents may ask and know, as stories: conversion with papers, who looked, where the code was read, all of it to take away."""

from __future__ import annotations

import re

import httpx2
import pytest
from fastapi import FastAPI

from server.actors import AT_CONSOLE, Actor, Role
from server.appeals import MOST_PAPER_BYTES, Answer, Appeal
from server.deadlines import DEADLINE_S
from server.facts import Case, CaseCategory, CloseContact
from server.fleet import Fleet
from server.intake import Intake
from server.office import Office
from server.web.portal_appeal import MOST_BYTES
from tests.server.office import Clock, Town
from tests.server.reports import batch, passed
from tests.server.test_appeals import JPEG, PDF
from tests.server.test_intake import code_of
from tests.server.test_portal import MORNING
from tests.server.web import Browser, make_app, quick
from tests.server.web_people import declare, join

LI = Actor("li", Role.OFFICER)


@pytest.fixture
def clock() -> Clock:
    return Clock(MORNING)


@pytest.fixture
def app(town: Town, office: Office, clock: Clock) -> FastAPI:
    return make_app(town, quick(office, clock))


@pytest.fixture
def mother(app: FastAPI) -> Browser:
    browser = Browser(app)
    browser.register("13800138000")
    return browser


@pytest.fixture
def me(mother: Browser, office: Office, clock: Clock) -> str:
    """A contact of a case, whose code is yellow."""
    found = join(mother, "张三丰", "19800101")
    declare(mother, found)
    with office.store.write() as tx:
        office.registry.record(tx, found, CloseContact(clock.at - 3600, "centre"), clock.at, AT_CONSOLE)
    return found


def form_of(browser: Browser, who: str) -> dict[str, str]:
    page = browser.get(f"/appeal?who={who}").text
    after = re.search(r'name="after" value="(\d+)"', page)
    token = re.search(r'name="form" value="([0-9a-f]{64})"', page)
    assert after and token, page
    return {"form": token[1], "who": who, "after": after[1]}


def send(browser: Browser, form: dict[str, str], words: str, *papers: tuple[str, bytes]) -> httpx2.Response:
    return browser.http.post(
        "/appeal", data={**form, "words": words}, files=[("papers", (name, body, "application/octet-stream")) for name, body in papers]
    )


def test_a_request_with_papers_and_its_answer(mother: Browser, me: str, office: Office, clock: Clock) -> None:
    page = mother.get(f"/history?who={me}").text
    assert f'href="/appeal?who={me}"' in page
    assert "the health authorities" in page, "who decided, by role"
    before = mother.get(f"/appeal?who={me}").text
    assert "within 48 hours" in before
    assert "Up to 5, each at most 4 MB (JPEG, PNG or PDF)" in before, "limits are said before"
    answer = send(mother, form_of(mother, me), "I was not there", ("a.jpg", JPEG), ("b.pdf", PDF))
    assert answer.url.path == "/appeal"
    assert "You have an answer by 24 September 2026, 08:00" in answer.text
    assert "I was not there" in answer.text
    assert "2 attached" in answer.text
    assert 'name="words"' not in answer.text, "one request at a time"
    assert "Requests for conversion and their answers" in mother.get(f"/history?who={me}").text
    (waiting,) = office.appeals.queue(LI)  # type: ignore[misc]
    assert office.appeals.paper(LI, waiting.number, 1) == ("image/jpeg", JPEG)
    clock.at += DEADLINE_S
    assert "is late" in mother.get(f"/appeal?who={me}").text
    assert isinstance(office.appeals.decide(LI, waiting.number, Answer.CONTACT_CLEARED), Appeal)
    page = mother.get(f"/appeal?who={me}").text
    assert "Granted: the contact was none" in page
    assert "by an officer of the registry" in page
    assert "Green code" in mother.get(f"/code?who={me}").text


def test_a_form_that_comes_twice_counts_once(mother: Browser, me: str, office: Office, clock: Clock) -> None:
    form = form_of(mother, me)
    for _ in range(2):
        assert "You have an answer by" in send(mother, form, "I was not there").text
    (waiting,) = office.appeals.queue(LI)  # type: ignore[misc]
    clock.at += 60
    office.appeals.decide(LI, waiting.number, Answer.DATA_STAND)
    assert "Not granted" in send(mother, form, "I was not there").text, "also after the answer"
    assert office.appeals.queue(LI) == []
    send(mother, form_of(mother, me), "I was not there, see the ticket")
    assert len(office.appeals.queue(LI)) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "papers", "sentence", "field"),
    [
        ("", [], "Say in a few words", "words"),
        ("x" * 1001, [], "This is too long: at most 1000 characters", "words"),
        ("x", [("a.heic", b"\0\0\0\x18ftypheic")], "Paper 1 is neither", "papers"),
        ("x", [("a.jpg", JPEG), ("b.pdf", PDF + bytes(MOST_PAPER_BYTES))], "Paper 2 is too large: at most 4 MB", "papers"),
        ("x", [("a.jpg", JPEG)] * 6, "At most 5 papers", "papers"),
    ],
)
def test_what_cannot_be_taken_is_told_beside_its_field(
    mother: Browser, me: str, office: Office, words: str, papers: list[tuple[str, bytes]], sentence: str, field: str
) -> None:
    answer = send(mother, form_of(mother, me), words, *papers)
    assert answer.status_code == 422
    assert answer.text.count(sentence) == 2
    assert f'<a href="#{field}">' in answer.text
    assert f">{words}</textarea>" in answer.text, "what was written is kept"
    assert office.appeals.queue(LI) == []


def test_what_is_far_too_large_is_not_read(mother: Browser, me: str) -> None:
    answer = send(mother, form_of(mother, me), "x", ("a.jpg", JPEG + bytes(MOST_BYTES)))
    assert answer.status_code == 413
    answer = mother.http.post("/check-in/well", data={"x": "y" * 100_000})
    assert answer.status_code == 413, "other rooms take no more than before"


def test_who_is_not_signed_in_sends_no_files(app: FastAPI) -> None:
    stranger = Browser(app)
    answer = stranger.http.post("/appeal", data={"form": stranger.token("/sign-in")}, files=[("papers", ("a.jpg", JPEG, "image/jpeg"))])
    assert answer.status_code == 403
    assert stranger.get("/appeal").url.path == "/sign-in"
    assert stranger.get("/held").url.path == "/sign-in"


def test_for_a_member_of_the_family_and_for_nobody_elses(app: FastAPI, mother: Browser, me: str, office: Office, clock: Clock) -> None:
    child = join(mother, "张小明", "20150505", "child", 8)
    declare(mother, child)
    assert "nothing to convert" in mother.get(f"/appeal?who={child}").text
    assert f"/appeal?who={child}" not in re.sub(r"<nav.*?</nav>", "", mother.get(f"/history?who={child}").text, flags=re.S)
    with office.store.write() as tx:
        office.registry.record(tx, child, Case(clock.at, CaseCategory.SUSPECTED, "clinic"), clock.at, AT_CONSOLE)
    assert "You have an answer by" in send(mother, form_of(mother, child), "ruled out", ("a.pdf", PDF)).text
    assert 'name="words"' in mother.get(f"/appeal?who={me}").text, "each their own"
    stranger = Browser(app)
    stranger.register("13900139000")
    join(stranger, "李四", "19850505", "self", 11)
    for path in ("/appeal", "/held"):
        assert stranger.get(f"{path}?who={me}").status_code == 404
        assert stranger.post(path, {"who": me, "after": "0", "words": "x"}, page="/password").status_code == 404


def test_who_looked_and_where_the_code_was_read(mother: Browser, me: str, office: Office, town: Town, clock: Clock) -> None:
    page = mother.get(f"/held?who={me}").text
    assert "Nobody has looked so far" in page
    assert "At no gate within this time" in page
    Fleet(office.store, clock).add("north-7", site="Hankou station")
    found = office.registry.find(me)
    assert found is not None
    clock.at += 60
    read = passed(1, clock.at, code_of(office, town, clock, found), (found.uri, found.index))
    invented = passed(2, clock.at, None, (found.uri, found.index))
    Intake(office.store, office.registry, town.ring, clock, 3).take([batch("north-7", [read, invented])])
    office.dossiers.open(LI, me)
    page = mother.get(f"/held?who={me}").text
    assert re.search(r"<b>an officer of the registry</b><br>Times: 1, last on 22 September 2026, 08:01", page)
    assert page.count("Hankou station") == 1, "what a unit says without the code is not told"
    clock.at += 14 * 86_400
    mother.sign_in("13800138000")
    assert "At no gate within this time" in mother.get(f"/held?who={me}").text


def test_all_that_is_held_is_a_file(mother: Browser, me: str, office: Office) -> None:
    answer = mother.post("/held", {"who": me}, page=f"/held?who={me}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="health-code-data.json"'
    held = answer.json()
    assert held["person"]["name"] == "张三丰"
    assert [each["colour"] for each in held["rulings"]] == ["pending", "pending", "green", "yellow"]
    assert "张三丰" in answer.text, "Chinese is readable in the file"
    assert "the person&#39;s own account" in mother.get(f"/held?who={me}").text, "the export is a look as well"
    for _ in range(9):
        answer = mother.post("/held", {"who": me}, page=f"/held?who={me}")
    assert mother.post("/held", {"who": me}, page=f"/held?who={me}").status_code == 429
