"""Residents' pages as stories: register, declare, see the code, look after a family, hand it over; and what is not theirs."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI

from healthcode import token
from healthcode.terms import Colour
from healthcode.token import HealthCode
from server.actors import BY_RULES, Role
from server.facts import Case, CaseCategory
from server.office import Office
from tests.server.office import URI, Clock, Town
from tests.server.web import Browser, make_app, quick
from tests.server.web_people import WELL, declare, join, number, report

JSON = {"accept": "application/json"}
MORNING = 1_790_035_200.0
"""Eight in the morning in China, so that a day of the stories does not end in their middle."""


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


def pack_of(browser: Browser, who: str) -> dict[str, object]:
    answer = browser.http.get(f"/code/pack?who={who}", headers=JSON)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


def test_from_registration_to_a_green_code(mother: Browser, town: Town, clock: Clock) -> None:
    assert mother.get("/code").url.path == "/family", "nobody is registered yet"
    me = join(mother, "张三丰", "19800101")
    page = mother.get(f"/code?who={me}")
    assert "Pending" in page.text
    assert pack_of(mother, me)["codes"] == []
    assert "The code is green" in declare(mother, me)
    page = mother.get("/code")
    assert "Green code · may pass" in page.text
    assert "张**" in page.text
    assert "三丰" not in page.text, "a code is shown to others: the name on it is masked"
    pack = pack_of(mother, me)
    codes = pack["codes"]
    assert isinstance(codes, list)
    assert len(codes) == 120
    assert codes[-1][2] - clock.at >= 4 * 3600
    for text, not_before, expires in codes:
        code = token.read(text, town.ring(), (not_before + expires) / 2)
        assert isinstance(code, HealthCode), code
        assert code.colour is Colour.GREEN
        assert code.ruled_at == pack["ruled_at"], "one for all of a pack"


def test_each_question_says_what_is_wrong_with_its_answer(mother: Browser) -> None:
    me = join(mother, "张三丰", "19800101")
    wrong: dict[str, tuple[str | list[str], str]] = {
        "symptoms": (["none", "fever"], "Keep one or the other"),
        "temperature": ("366", "is it 36.6?"),
        "contact": ("", "Choose “No” or “Yes”"),
        "district": ("999999", "Choose a district from the list"),
        "phone": ("1380013800", "A mobile number has 11 digits; you entered 10"),
    }
    for field, (said, sentence) in wrong.items():
        page = mother.post(f"/declare/{field}?who={me}", {field: said})
        assert page.status_code == 422
        assert page.text.count(sentence) == 2, "beside the field, and on top"
        assert re.search(rf'<a href="#{field}">', page.text)
        assert f'id="{field}"' in page.text, "the link on top goes somewhere"


def test_a_draft_outlives_the_line_and_the_phone(app: FastAPI, mother: Browser) -> None:
    me = join(mother, "张三丰", "19800101")
    mother.post(f"/declare/symptoms?who={me}", {"symptoms": "cough"})
    mother.post(f"/declare/temperature?who={me}", {"temperature": "36.9"})
    other_phone = Browser(app)
    other_phone.sign_in("13800138000")
    assert other_phone.get(f"/declare?who={me}").url.path == "/declare/contact"
    assert re.search(r'value="cough" checked', other_phone.get(f"/declare/symptoms?who={me}").text)
    assert 'value="36.9"' in other_phone.get(f"/declare/temperature?who={me}").text


def test_isolation_is_asked_for_its_beginning_only_where_there_is_one(mother: Browser) -> None:
    me = join(mother, "张三丰", "19800101")
    page = mother.post(f"/declare/isolation?who={me}", {"isolation": "home"})
    mother.post(f"/declare/isolation_since?who={me}", {"isolation_since": "昨天"})
    for field in ("symptoms", "temperature", "contact", "travel", "district", "phone"):
        page = mother.post(f"/declare/{field}?who={me}", {field: WELL[field]})
    assert page.url.path == "/declare/check"
    assert "21 September 2026" in page.text
    page = mother.post(f"/declare/isolation?who={me}", {"isolation": "none"})
    assert page.url.path == "/declare/check"
    assert "When did the isolation begin" not in page.text


def test_a_report_that_is_sent_twice_counts_once(mother: Browser, office: Office) -> None:
    me = join(mother, "张三丰", "19800101")
    declare(mother, me)
    page = mother.get(f"/check-in?who={me}").text
    submission = re.search(r'name="submission" value="([^"]+)"', page)
    assert submission
    for _ in range(2):
        answer = mother.post(f"/check-in/well?who={me}", {"submission": submission[1], "temperature": "36.5"}, page=f"/check-in?who={me}")
        assert "Received" in answer.text
    with office.store.read() as tx:
        assert len(office.registry.rulings.facts(tx, me)) == 3, "declaration, review, check-in"


def test_a_green_code_lapses_and_a_check_in_brings_it_back(mother: Browser, office: Office, clock: Clock) -> None:
    me = join(mother, "张三丰", "19800101")
    declare(mother, me)
    clock.at += 3 * 86_400 + 60
    office.registry.rule_due(10)
    page = mother.get("/code")
    assert "Yellow code" in page.text
    assert "No health record for 3 days" in page.text
    submission = re.search(r'name="submission" value="([^"]+)"', mother.get("/check-in").text)
    assert submission
    assert "The code is green" in mother.post("/check-in/well", {"submission": submission[1]}, page="/check-in").text
    assert "Checked in today at" in mother.get("/code").text


def test_reasons_are_told_with_times_and_what_changes_them(mother: Browser, office: Office, clock: Clock) -> None:
    me = join(mother, "张三丰", "19800101")
    declare(mother, me)
    with office.store.write() as tx:
        office.registry.record(tx, me, Case(clock.at - 3600, CaseCategory.CONFIRMED, "clinic"), clock.at, BY_RULES)
    page = mother.get("/history").text
    assert "A clinic reported a confirmed case on 22 September 2026, 07:00" in page
    assert "cured and discharged" in page
    assert page.index("Red code") < page.rindex("Green code"), "the newest first"
    chinese = Browser(mother.http.app, "zh-CN")  # type: ignore[arg-type]
    chinese.sign_in("13800138000")
    assert "2026年9月22日 07:00" in chinese.get("/history").text


def test_a_correction_asks_what_the_report_asked(mother: Browser, clock: Clock) -> None:
    me = join(mother, "张三丰", "19800101")
    assert "The code is yellow" in declare(mother, me, contact="yes")
    assert f"/correct?who={me}" in mother.get("/history").text
    clock.at += 60
    assert "The code is green" in report(mother, "correct", me, WELL)
    assert "was corrected today already" in report(mother, "correct", me, WELL)


def test_a_family(mother: Browser) -> None:
    me = join(mother, "张三丰", "19800101")
    child = join(mother, "张小明", "20150505", "child", 8)
    declare(mother, me)
    assert f"/check-in?who={child}" in declare(mother, me), "who is next"
    page = mother.get("/family").text
    assert "张小明" in page
    answer = mother.post(
        "/family/edit", {"who": child, "name": "张晓明", "phone": "027-87654321", "district": "420111"}, f"/family/edit?who={child}"
    )
    assert answer.url.path == "/family"
    assert "张晓明" in answer.text
    answer = mother.post("/family/edit", {"who": child, "name": "张晓明1", "phone": "x", "district": "420111"}, f"/family/edit?who={child}")
    assert answer.status_code == 422
    answer = mother.post("/family/leave", {"who": child}, f"/family/edit?who={child}")
    assert "张晓明" not in answer.text


def test_a_number_with_a_slip_is_told_which_part(mother: Browser) -> None:
    good = number("19800101")
    wrong = good[:5] + str((int(good[5]) + 1) % 10) + good[6:]
    answer = mother.post("/family/add", {"relation": "self", "name": "张三丰", "paper": "citizen", "number": wrong})
    assert answer.status_code == 422
    assert "the last character does not fit the others" in answer.text
    answer = mother.post(
        "/family/add", {"relation": "self", "name": "张三丰", "paper": "citizen", "number": good[:6] + "19800231" + good[14:]}
    )
    assert "Characters 7 to 14 are the date of birth" in answer.text


def test_a_grown_child_takes_the_history_along(app: FastAPI, mother: Browser) -> None:
    child = join(mother, "张小明", "20080101", "other", 8)
    declare(mother, child)
    answer = mother.post("/family/hand-over", {"who": child, "purpose": "self"}, f"/family/hand-over?who={child}")
    code = re.search(r'class="onetime">([^<]+)<', answer.text)
    assert code
    grown = Browser(app)
    grown.register("13900139000")
    given = {"relation": "self", "name": "张小明", "paper": "citizen", "number": number("20080101", 8)}
    assert grown.post("/family/take", {**given, "code": "22222-22222"}).status_code == 422
    answer = grown.post("/family/take", {**given, "code": code[1]})
    assert (answer.url.path, answer.url.params["who"]) == ("/code", child)
    assert "Green code" in answer.text
    assert mother.get(f"/code?who={child}").url.path == "/family", "she looks after nobody any more"


def test_a_number_that_is_known_is_claimed_and_the_family_says_yes(app: FastAPI, mother: Browser) -> None:
    elder = join(mother, "王老太太", "19400101", "elder", 9)
    other = Browser(app)
    other.register("13900139000")
    answer = other.post("/family/add", {"relation": "elder", "name": "王老太太", "paper": "citizen", "number": number("19400101", 9)})
    assert "has to be checked by a person" in answer.text
    page = mother.get("/family").text
    claim = re.search(r'name="claim" value="(\d+)"', page)
    assert claim
    assert "13900139000" not in page
    mother.post("/family/claim", {"claim": claim[1], "right": "yes"}, page="/family")
    assert elder in other.get("/family").text


def test_a_yes_that_cannot_be_granted_yet_stays_and_can_be_tried_again(app: FastAPI, mother: Browser, office: Office) -> None:
    elder = join(mother, "王老太太", "19400101", "elder", 9)
    other = Browser(app)
    other.register("13900139000")
    given: dict[str, str | list[str]] = {"relation": "elder", "name": "王老太太", "paper": "citizen", "number": number("19400101", 9)}
    other.post("/family/add", given)
    family = [join(other, "李大爷", "19410101", "elder", 20 + each) for each in range(8)]
    claim = re.search(r'name="claim" value="(\d+)"', mother.get("/family").text)
    assert claim
    answer = mother.post("/family/claim", {"claim": claim[1], "right": "yes"}, page="/family")
    assert (answer.status_code, answer.url.path) == (200, "/family")
    assert "the other account has no room yet" in answer.text
    assert elder not in other.get("/family").text
    other.post("/family/leave", {"who": family[0]}, page=f"/family/edit?who={family[0]}")
    answer = mother.post("/family/claim", {"claim": claim[1], "right": "yes"}, page="/family")
    assert "Try again" not in answer.text
    assert elder in other.get("/family").text


def test_lost_phone_one_button(mother: Browser, town: Town, office: Office) -> None:
    me = join(mother, "张三丰", "19800101")
    declare(mother, me)
    before = pack_of(mother, me)["codes"]
    answer = mother.post("/code/lost", {"who": me}, page=f"/code/lost?who={me}")
    assert answer.url.path == "/code"
    after = pack_of(mother, me)["codes"]
    assert isinstance(before, list) and isinstance(after, list)
    old, new = (token.read(codes[0][0], town.ring(), codes[0][1] + 1) for codes in (before, after))
    assert isinstance(old, HealthCode) and isinstance(new, HealthCode)
    assert old.index != new.index
    with office.store.read() as tx:
        assert office.registry.resident_at(tx, URI, old.index) is None


def test_nobody_sees_or_touches_anothers(app: FastAPI, mother: Browser) -> None:
    me = join(mother, "张三丰", "19800101")
    declare(mother, me)
    stranger = Browser(app)
    stranger.register("13900139000")
    join(stranger, "李四", "19850505", "self", 11)
    for path in (
        "/code",
        "/code/pack",
        "/code/standing",
        "/code/lost",
        "/history",
        "/family/edit",
        "/family/hand-over",
        "/declare",
        "/check-in",
        "/declare/phone",
    ):
        assert stranger.get(f"{path}?who={me}").status_code == 404, path
    for path, fields in {
        "/code/lost": {"who": me},
        "/family/edit": {"who": me, "name": "X"},
        "/family/leave": {"who": me},
        "/family/hand-over": {"who": me, "purpose": "share"},
        f"/check-in/well?who={me}": {"submission": "x" * 10},
        f"/declare/phone?who={me}": {"phone": "13800138000"},
        f"/declare/send?who={me}": {"submission": "x" * 10},
    }.items():
        assert stranger.post(path, dict(fields), page="/password").status_code == 404, path


def test_pages_of_residents_are_for_residents_alone(app: FastAPI, office: Office, clock: Clock) -> None:
    for role in (Role.OFFICER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR):
        name = f"{role.value}.li"
        quick(office, clock).accounts.add(name, "three blue herons", role)
        staff = Browser(app)
        staff.sign_in(name)
        assert staff.get("/code").status_code == 403
        assert staff.get("/family").status_code == 403
    nobody = Browser(app)
    assert nobody.get("/code?who=x").url.path == "/sign-in"
    assert nobody.http.get("/code/pack", headers=JSON).status_code == 401


def test_a_page_is_under_60_kb_with_its_style_and_scripts(mother: Browser) -> None:
    me = join(mother, "张三丰", "19800101")
    declare(mother, me)
    for path in ("/code", "/family", "/history", "/check-in", f"/declare/travel?who={me}", "/family/add", f"/family/edit?who={me}"):
        text = mother.get(path).text
        parts = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', text))
        size = len(text.encode()) + sum(int(mother.http.get(part).headers["content-length"]) for part in parts)
        assert size < 60_000, (path, size)


def test_who_asks_for_packs_without_end_has_to_wait(mother: Browser) -> None:
    me = join(mother, "张三丰", "19800101")
    declare(mother, me)
    answers = [mother.http.get(f"/code/pack?who={me}", headers=JSON) for _ in range(61)]
    assert [answer.status_code for answer in answers] == [200] * 60 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 2
