"""The API for apps as stories: tokens, people and their agreement, reports, standing, codes, keys, quotas, problems."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import date
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from healthcode import token as codes
from healthcode.terms import Colour
from healthcode.token import HealthCode
from server.actors import BY_RULES, Role
from server.app_people import State
from server.apps import Credentials, Scope
from server.charges import Registered
from server.facts import CloseContact
from server.handovers import Purpose
from server.office import Office
from server.web.api.application import describe_api
from tests.server.apps import ROOT, WELL, AppClient, paper, problem
from tests.server.family import actor, entry, number
from tests.server.office import Clock, Town
from tests.server.web import Browser, make_app, quick
from tests.server.web_people import join

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture
def site(town: Town, office: Office, clock: Clock) -> FastAPI:
    return make_app(town, quick(office, clock))


@pytest.fixture
def phone(site: FastAPI, office: Office) -> AppClient:
    return AppClient(site, office)


def test_a_day_of_a_person(phone: AppClient, town: Town, clock: Clock) -> None:
    person, resident = phone.join()
    before = phone.standing(person, resident)
    assert (before["colour"], before["needs_declaration"], before["ruled_at"]) == ("pending", True, None)
    assert problem(phone.post(f"/people/{person}/members/{resident}/code-packs", {})) == (409, "pending")
    assert phone.declare(person, resident).status_code == 201
    standing = phone.standing(person, resident)
    assert standing["colour"] == "green" and not standing["needs_declaration"]
    assert standing["why"]["text"].keys() == {"zh-CN", "en"} and standing["changes"]
    clock.at += 86_400
    phone.token = phone.fetch_token().json()["access_token"]
    assert phone.check_in(person, resident).status_code == 201
    pack = phone.post(f"/people/{person}/members/{resident}/code-packs", {"lasting_s": 600}).json()
    read = codes.read(pack["codes"][0]["text"], town.ring(), clock() + 1)
    assert isinstance(read, HealthCode) and read.colour is Colour.GREEN and len(pack["codes"]) == 5


def test_a_family(phone: AppClient) -> None:
    person, own = phone.join()
    child = {**paper("居民乙", date(2014, 6, 1), 2), "relation": "child"}
    added = phone.post(f"/people/{person}/members", child).json()
    assert added["state"] == "ready"
    members = phone.get(f"/people/{person}/members").json()["members"]
    assert {(each["resident"], each["relation"], each["name"]) for each in members} == {
        (own, "other", "居**"),
        (added["resident"], "child", "居**"),
    }
    one = f"/people/{person}/members/{added['resident']}"
    assert phone.patch(one, {"phone": "138 0013 8000", "district": "420106"}).status_code == 204
    assert problem(phone.patch(one, {"phone": "123"})) == (422, "invalid")
    assert phone.declare(person, added["resident"]).status_code == 201
    assert phone.delete(one).status_code == 204
    assert problem(phone.get(f"{one}/standing")) == (404, "not_found")
    assert problem(phone.post(f"/people/{person}/members", {**child, "relation": "self"})) == (422, "invalid")


def test_faults_name_their_fields_in_words_for_people(phone: AppClient) -> None:
    answer = phone.post("/people", {"name": "居民甲", "paper": "citizen", "number": "42010619800501001"})
    assert problem(answer) == (422, "invalid")
    (fault,) = answer.json()["faults"]
    assert (fault["field"], fault["key"], fault["values"]) == ("number", "identity.length", {"found": 17, "expected": 18})
    assert fault["text"]["en"].startswith("An ID number has 18 characters; you entered 17.")
    person, resident = phone.join()
    said = phone.declare(person, resident, temperature="63", contact="maybe").json()["faults"]
    assert [each["field"] for each in said] == ["temperature", "contact"]


def test_the_same_person_is_identified_again(phone: AppClient) -> None:
    first = phone.post("/people", paper())
    again = phone.post("/people", paper())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert phone.get("/people").json() == {"people": [first.json()], "next": None}


def test_people_come_in_pages(phone: AppClient) -> None:
    made = {phone.join(name="居民甲", sequence=each)[0] for each in range(1, 6)}
    seen: list[str] = []
    after = ""
    while after is not None:
        page = phone.get(f"/people?limit=2&after={after}").json()
        seen += [each["person"] for each in page["people"]]
        after = page["next"]
    assert len(seen) == 5 and set(seen) == made


def test_a_number_that_is_known_waits_until_the_family_agrees(phone: AppClient, office: Office) -> None:
    mother = actor(office, "13800138000")
    own = office.households.register(mother, entry())
    assert isinstance(own, Registered)
    answer = phone.post("/people", paper("别的名字"))
    assert answer.json()["state"] == "waiting" and answer.json()["resident"] is None
    assert own.resident not in answer.text
    person = answer.json()["person"]
    assert problem(phone.get(f"/people/{person}/members/{own.resident}/standing")) == (404, "not_found")
    assert phone.get(f"/people/{person}/members").json() == {"members": []}
    (notice,) = office.handovers.claims_on(mother)
    assert notice.app == "City Mobile"
    assert office.handovers.confirm(mother, notice.claim, is_theirs=True) is None
    assert phone.get(f"/people/{person}").json()["state"] == "ready"
    assert phone.standing(person, own.resident)["colour"] == "pending"
    assert [member.resident for member in office.households.members(mother)] == [own.resident]  # she keeps her own account


def test_a_claim_that_was_refused_is_not_made_again(phone: AppClient, office: Office) -> None:
    mother, officer = actor(office, "13800138000"), actor(office, "officer.li", Role.OFFICER)
    assert isinstance(office.households.register(mother, entry()), Registered)
    person = phone.post("/people", paper()).json()["person"]
    (notice,) = office.handovers.claims_on(mother)
    office.handovers.confirm(mother, notice.claim, is_theirs=False)
    assert office.handovers.decide(officer, notice.claim, is_granted=False) is None
    again = phone.post("/people", paper()).json()
    assert (again["person"], again["state"]) == (person, "refused")
    assert office.handovers.claims_on(mother) == []


def test_with_a_one_time_code_the_app_acts_at_once(phone: AppClient, office: Office) -> None:
    mother = actor(office, "13800138000")
    own = office.households.register(mother, entry())
    assert isinstance(own, Registered)
    code = office.handovers.offer(mother, own.resident, Purpose.SHARE)
    assert isinstance(code, str)
    wrong = phone.post("/people", paper(code="aaaaa-aaaaa"))
    unknown = phone.post("/people", paper(sequence=9, code="aaaaa-aaaaa"))
    assert problem(wrong) == problem(unknown) == (409, "refused")
    assert wrong.json() == unknown.json()  # whether a number is known shows in nothing
    assert phone.get("/people").json()["people"] == []
    right = phone.post("/people", paper(code=code)).json()
    assert (right["state"], right["resident"]) == ("ready", own.resident)


def test_codes_are_not_guessed(phone: AppClient) -> None:
    answers = [phone.post("/people", paper(code=f"aaaaa-aaaa{each}")) for each in range(2, 9)]
    assert problem(answers[-1]) == (429, "too_many") and int(answers[-1].headers["retry-after"]) >= 10


def test_an_app_that_may_only_link_learns_of_no_number(site: FastAPI, office: Office) -> None:
    narrow = AppClient(site, office, "Clinic", [Scope.LINK, Scope.STANDING])
    assert isinstance(office.households.register(actor(office, "13800138000"), entry()), Registered)
    known, unknown = narrow.post("/people", paper()), narrow.post("/people", paper(sequence=9))
    assert problem(known) == problem(unknown) == (403, "scope_missing")
    assert known.json() == unknown.json()


def test_an_app_does_not_try_numbers(town: Town, clock: Clock) -> None:
    office = town.open(clock)
    try:
        site = make_app(town, office)
        phone = AppClient(site, office)
        holder = AppClient(site, office, "Other")
        for each in range(1, 22):
            holder.join(sequence=each)
        states = [phone.post("/people", paper(sequence=each)) for each in range(1, 22)]
        assert [answer.status_code for answer in states] == [201] * 20 + [429]
        fresh = phone.post("/people", paper(sequence=99))
        assert (fresh.status_code, fresh.json()) == (429, states[-1].json())  # nor is a number that nobody has
    finally:
        office.store.close()


def test_nobody_acts_for_anothers_people(site: FastAPI, office: Office, phone: AppClient) -> None:
    other = AppClient(site, office, "Other")
    person, resident = phone.join()
    theirs, stranger = other.join(sequence=2)
    for path in (f"/people/{person}", f"/people/{person}/members", f"/people/{theirs}/members/{resident}/standing"):
        assert problem(other.get(path)) == (404, "not_found")
    assert problem(other.check_in(person, resident)) == (404, "not_found")
    assert problem(phone.check_in(person, stranger)) == (404, "not_found")
    assert problem(phone.post(f"/people/{person}/members/{stranger}/codes/end")) == (404, "not_found")


def test_who_looks_after_somebody_ends_what_an_app_does(phone: AppClient, office: Office) -> None:
    mother = actor(office, "13800138000")
    own = office.households.register(mother, entry())
    assert isinstance(own, Registered)
    code = office.handovers.offer(mother, own.resident, Purpose.SHARE)
    person = phone.post("/people", paper(code=str(code))).json()["person"]
    (link,) = office.app_people.links(mother)
    assert (link.app, link.resident, link.person) == ("City Mobile", own.resident, person)
    assert not office.app_people.end_link(actor(office, "13800138001"), own.resident, person)
    assert office.app_people.end_link(mother, own.resident, person)
    assert phone.get(f"/people/{person}").json()["state"] == "refused"
    assert problem(phone.check_in(person, own.resident)) == (404, "not_found")


def test_an_app_lets_go_of_a_person(phone: AppClient, office: Office) -> None:
    person, resident = phone.join()
    assert phone.delete(f"/people/{person}").status_code == 204
    assert problem(phone.get(f"/people/{person}")) == (404, "not_found")
    assert office.registry.find(resident) is not None
    assert phone.post("/people", paper()).json()["state"] == "waiting"  # known now, and nobody's


def test_the_same_request_has_the_same_answer_for_a_day(phone: AppClient, office: Office, clock: Clock) -> None:
    person, resident = phone.join()
    member = {**paper("居民乙", date(2014, 6, 1), 2), "relation": "child"}
    first = phone.post(f"/people/{person}/members", member, key="the-same-key")
    again = phone.post(f"/people/{person}/members", member, key='"the-same-key"')
    assert (again.status_code, again.json()) == (201, first.json()) and again.headers["idempotency-replayed"] == "true"
    other = phone.post(f"/people/{person}/members", {**member, "name": "居民丙"}, key="the-same-key")
    assert problem(other) == (422, "key_reused")
    clock.at += 86_401
    office.replays.tidy()
    phone.token = phone.fetch_token().json()["access_token"]
    assert problem(phone.post(f"/people/{person}/members", member, key="the-same-key")) == (409, "refused")  # it is in the family
    with office.store.read() as tx:
        held = tx.execute(text("SELECT sealed FROM app_answers")).scalars().all()
    assert resident not in repr(held)


def test_a_report_counts_once(phone: AppClient, office: Office) -> None:
    person, resident = phone.join()
    first, again = (phone.declare(person, resident, key="report-0001") for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert "idempotency-replayed" in again.headers and "idempotency-replayed" not in first.headers
    assert problem(phone.declare(person, resident, key="report-0001", contact="yes")) == (422, "key_reused")
    with office.store.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM facts WHERE kind = 'declared'")).scalar_one() == 1


def test_ending_codes_twice_with_one_key_ends_them_once(phone: AppClient, office: Office) -> None:
    person, resident = phone.join()
    phone.declare(person, resident)
    for _ in range(2):
        assert phone.post(f"/people/{person}/members/{resident}/codes/end", key="lost-phone").status_code == 200
    with office.store.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM assignments WHERE revoked_ms IS NOT NULL")).scalar_one() == 1


def test_a_key_of_a_refused_request_is_free_again(phone: AppClient) -> None:
    assert problem(phone.post("/people", paper() | {"number": "1"}, key="first-try")) == (422, "invalid")
    assert phone.post("/people", paper(), key="first-try").status_code == 201


@pytest.mark.parametrize("key", ["", "short", "a" * 65, "with blank"])
def test_a_key_must_be_there_and_be_one(phone: AppClient, key: str) -> None:
    assert problem(phone.post("/people", paper(), key=key)) == (400, "malformed")


def test_reports_that_are_not_taken(phone: AppClient, clock: Clock) -> None:
    person, resident = phone.join()
    early = phone.check_in(person, resident)
    assert problem(early) == (409, "refused") and early.json()["reason"]["key"] == "report.not_declared"
    for _ in range(20):
        phone.declare(person, resident)
    late = phone.declare(person, resident)
    assert problem(late) == (429, "too_many") and 0 < int(late.headers["retry-after"]) <= 86_400


def test_a_correction(phone: AppClient) -> None:
    person, resident = phone.join()
    phone.declare(person, resident, symptoms=["cough"])
    assert phone.standing(person, resident)["colour"] == "yellow"
    path = f"/people/{person}/members/{resident}/corrections"
    assert phone.post(path, WELL).status_code == 201
    assert problem(phone.post(path, WELL)) == (409, "refused")


def test_a_standing_that_has_not_changed_is_not_sent_again(phone: AppClient, office: Office, clock: Clock) -> None:
    person, resident = phone.join()
    phone.declare(person, resident)
    path = f"/people/{person}/members/{resident}/standing"
    tag = phone.get(path).headers["etag"]
    same = phone.get(path, {"if-none-match": f'"other", W/{tag}'})
    assert (same.status_code, same.text, same.headers["etag"]) == (304, "", tag)
    with office.store.write() as tx:
        office.registry.record(tx, resident, CloseContact(clock() - 3600, "clinic"), clock(), BY_RULES)
    fresh = phone.get(path, {"if-none-match": tag})
    assert (fresh.status_code, fresh.json()["colour"], fresh.json()["rule"]) == (200, "yellow", "close_contact")


def test_tokens_end(phone: AppClient, clock: Clock) -> None:
    clock.at += 899
    assert phone.get("/people").status_code == 200
    clock.at += 1
    ended = phone.get("/people")
    assert problem(ended) == (401, "token_invalid") and 'error="invalid_token"' in ended.headers["www-authenticate"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer " + "x" * 300, "bearer é"])
def test_without_a_token_nothing_is_told(phone: AppClient, header: str) -> None:
    assert problem(phone.http.get(f"{ROOT}/people", headers=[(b"authorization", header.encode())])) == (401, "token_invalid")


def test_a_token_is_good_for_what_was_asked(phone: AppClient) -> None:
    made = phone.fetch_token(scope="standing link").json()
    assert (made["scope"], made["token_type"], made["expires_in"]) == ("link standing", "Bearer", 900)
    person, resident = phone.join()
    phone.token = made["access_token"]
    refused = phone.declare(person, resident)
    assert problem(refused) == (403, "scope_missing") and 'scope="report"' in refused.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        ({}, True, 400, "invalid_request"),
        ({"grant_type": "password"}, True, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "everything"}, True, 400, "invalid_scope"),
        ({"grant_type": "client_credentials"}, False, 400, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, False, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "y"}, True, 400, "invalid_request"),
    ],
)
def test_no_token(phone: AppClient, form: dict[str, str], auth: bool, status: int, error: str) -> None:
    basic = {"authorization": "Basic " + b64encode(f"{phone.id}:{phone.secret}".encode()).decode()}
    answer = phone.http.post(f"{ROOT}/token", data=form, headers=basic if auth else {})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_id_and_secret_may_be_in_the_form(phone: AppClient) -> None:
    form = {"grant_type": "client_credentials", "client_id": phone.id, "client_secret": phone.secret}
    answer = phone.http.post(f"{ROOT}/token", data=form)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"


def test_secrets_change_and_apps_are_stopped(phone: AppClient, office: Office, clock: Clock) -> None:
    fresh = office.apps.rotate(phone.id)
    assert isinstance(fresh, Credentials)
    assert phone.fetch_token(fresh.secret).status_code == phone.fetch_token().status_code == 200
    clock.at += 86_400
    assert (phone.fetch_token(fresh.secret).status_code, phone.fetch_token().status_code) == (200, 401)
    phone.token = phone.fetch_token(fresh.secret).json()["access_token"]
    lost = office.apps.rotate(phone.id, 0)
    assert isinstance(lost, Credentials)
    assert phone.fetch_token(fresh.secret).status_code == 401
    assert problem(phone.get("/people")) == (401, "token_invalid")
    phone.token = phone.fetch_token(lost.secret).json()["access_token"]
    office.apps.set_enabled(phone.id, False)
    assert problem(phone.get("/people")) == (401, "token_invalid") and phone.fetch_token(lost.secret).status_code == 401
    office.apps.set_enabled(phone.id, True)
    assert phone.fetch_token(lost.secret).status_code == 200


def test_neither_secret_nor_token_is_in_the_database(phone: AppClient, office: Office) -> None:
    with office.store.read() as tx:
        held = repr(tx.execute(text("SELECT * FROM apps")).all()) + repr(tx.execute(text("SELECT * FROM app_tokens")).all())
    assert phone.secret not in held and phone.token not in held


def test_who_asks_too_often_is_told_how_long_to_wait(phone: AppClient) -> None:
    person, _ = phone.join()
    answers = [phone.get(f"/people/{person}") for _ in range(32)]
    assert [answer.status_code for answer in answers].count(200) in (30, 31)
    assert problem(answers[-1]) == (429, "too_many") and 1 <= int(answers[-1].headers["retry-after"]) <= 2


def test_nobody_signs_in_to_an_apps_account(phone: AppClient, office: Office) -> None:
    person, _ = phone.join()
    assert [each.account for each in office.accounts.list_accounts()] == []
    with office.store.read() as tx:
        password, disabled = tx.execute(text("SELECT password, disabled_ms FROM accounts WHERE account = :a"), {"a": person}).one()
    assert password == "" and disabled is not None


def test_problems_of_the_wire(phone: AppClient) -> None:
    http = phone.http
    bearer = {"authorization": f"Bearer {phone.token}", "idempotency-key": "some-key-1"}
    long = http.post(f"{ROOT}/people", content=b"{" + b" " * 20_000 + b"}", headers={**bearer, "content-type": "application/json"})
    parts = http.post(f"{ROOT}/people", content=(b" " * 1000 for _ in range(20)), headers={**bearer, "content-type": "application/json"})
    broken = http.post(f"{ROOT}/people", content=b"{", headers={**bearer, "content-type": "application/json"})
    extra = phone.post("/people", {**paper(), "more": "x"})
    assert problem(long) == problem(parts) == (413, "too_large")
    assert problem(broken) == problem(extra) == (400, "malformed")
    assert problem(phone.get("/nothing")) == (404, "not_found")
    assert problem(phone.http.put(f"{ROOT}/people")) == (405, "method")
    assert "居民" not in extra.text  # what was sent is not told again


def test_browsers_of_other_sites_get_nothing(phone: AppClient) -> None:
    asked = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    preflight = phone.http.options(f"{ROOT}/people", headers=asked)
    assert preflight.status_code == 405
    for answer in (preflight, phone.get("/people", {"origin": "https://elsewhere.example"})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_every_type_of_problem_is_explained_at_its_address(phone: AppClient) -> None:
    kind = phone.get("/people/nobody").json()["type"]
    meaning = phone.http.get(kind).json()
    assert (meaning["type"], meaning["status"]) == (kind, 404)


def test_questions_and_districts(phone: AppClient) -> None:
    asked = phone.http.get(f"{ROOT}/questions")
    body = asked.json()
    assert [each["field"] for each in body["check_in"]] == ["symptoms", "temperature", "contact", "isolation", "isolation_since"]
    assert phone.http.get(f"{ROOT}/questions", headers={"if-none-match": asked.headers["etag"]}).status_code == 304
    assert any(each["code"] == "420106" for each in phone.http.get(f"{ROOT}/districts").json()["districts"])


def test_the_description_on_paper_is_the_one_that_is_served(phone: AppClient) -> None:
    served = phone.http.get(f"{ROOT}/openapi.json").json()
    assert DOCUMENT.read_text(encoding="utf-8") == describe_api(), "write it anew: healthgate app openapi --out docs/openapi.json"
    assert served["paths"] == json.loads(describe_api())["paths"]


def test_an_unknown_number_in_a_claim_says_nothing_of_its_holder(phone: AppClient, site: FastAPI, office: Office) -> None:
    """The answer for a number that another app holds is word for word the one for a number that a family holds."""
    AppClient(site, office, "Other").join(sequence=5)
    office.households.register(actor(office, "13800138000"), entry(typed=number(sequence=6)))
    said = [re.sub(r'"person":"[0-9a-z]+"', "", phone.post("/people", paper(sequence=each)).text) for each in (5, 6)]
    assert said[0] == said[1] and State.WAITING.value in said[0]


def test_the_family_reads_which_app_asks_and_ends_it(site: FastAPI, phone: AppClient) -> None:
    mother = Browser(site)
    mother.register()
    join(mother, "居民甲", "19800501", sequence=1)
    person = phone.post("/people", paper()).json()["person"]
    page = mother.get("/family").text
    assert "the app “City Mobile” asked to act for 居**" in page
    claim = re.search(r'name="claim" value="(\d+)"', page)
    assert claim
    page = mother.post("/family/claim", {"claim": claim[1], "right": "yes"}, page="/family").text
    assert phone.get(f"/people/{person}").json()["state"] == "ready"
    who = re.search(r'name="who" value="([0-9a-z]+)"', page)
    assert who and "“City Mobile” acts for 居**" in page
    assert "City Mobile" not in mother.post("/family/app", {"who": who[1], "app": person}, page="/family").text
    assert phone.get(f"/people/{person}").json()["state"] == "refused"
    assert mother.post("/family/app", {"who": who[1], "app": person}, page="/family").status_code == 404
