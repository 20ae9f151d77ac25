"""The pages' common ground: forms' tokens, roles, sessions, languages, headers, sizes, errors."""

from __future__ import annotations

import re

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from server.actors import Role
from server.config import Web
from server.office import Office, open_office
from server.sentences import Language
from server.sessions import STAFF_SESSION
from server.web.guard import LEAST_LIMIT
from server.web.language import choose
from server.web.rates import Rate, Rates
from tests.server.office import CAPACITY, Clock, Town
from tests.server.web import PASSWORD, Browser, make_app, quick


@pytest.fixture
def open_house(town: Town, office: Office, clock: Clock) -> FastAPI:
    return make_app(town, quick(office, clock))


@pytest.fixture
def browser(open_house: FastAPI) -> Browser:
    return Browser(open_house)


def accounts_of(app: FastAPI) -> Office:
    office = app.state.services.office
    assert isinstance(office, Office)
    return office


def changing_routes(app: FastAPI) -> list[str]:
    return [
        re.sub(r"\{[^}]*\}", "x", route.path)
        for route in iter_route_contexts(app.routes)
        if route.path and (route.methods or set()) - {"GET", "HEAD"} and not route.path.startswith("/api/")
    ]


def test_nothing_is_changed_without_the_forms_token(open_house: FastAPI) -> None:
    paths = changing_routes(open_house)
    assert {"/sign-in", "/register", "/sign-out", "/password"} <= set(paths)
    for signed_in in (False, True):
        browser = Browser(open_house)
        if signed_in:
            browser.register()
        for path in paths:
            for given in ({}, {"form": "0" * 64}):
                answer = browser.http.post(path, data=given, follow_redirects=False)
                if path == "/fleet/enrol":  # a secret's proof stands for the token: no browser has one
                    assert answer.status_code == 400
                    continue
                if path.startswith("/desk/"):  # who has no business there is told so before their form is read
                    assert answer.status_code == (403 if signed_in else 303), path
                    continue
                assert answer.status_code == 403, path
                assert "nothing was saved" in answer.text


def test_a_token_is_good_for_its_own_visitor_alone(open_house: FastAPI) -> None:
    stranger, browser = Browser(open_house), Browser(open_house)
    before = browser.token("/sign-in")
    assert (
        browser.http.post("/register", data={"form": stranger.token("/register"), "name": "li.si", "password": PASSWORD}).status_code == 403
    )
    browser.register("zhang.san")
    assert browser.http.post("/sign-out", data={"form": before}).status_code == 403, "the session has forms of its own"
    assert browser.get("/password").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://elsewhere.example"}, {"origin": "null"}],
)
def test_a_form_from_elsewhere_is_not_looked_at(browser: Browser, headers: dict[str, str]) -> None:
    token = browser.token("/sign-in")
    answer = browser.http.post("/sign-in", data={"form": token, "name": "x", "password": "y"}, headers=headers)
    assert (answer.status_code, answer.text) == (403, "expected a form of this site\n")
    assert browser.http.post("/sign-in", data={"form": token}, headers={"origin": "http://testserver"}).status_code == 422


def test_every_answer_carries_the_headers(browser: Browser) -> None:
    for path in ("/", "/sign-in", "/nowhere", "/health", "/worker.js"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["x-content-type-options"], headers["referrer-policy"], headers["x-frame-options"]) == (
            "nosniff",
            "same-origin",
            "DENY",
        )
    assert browser.get("/sign-in").headers["cache-control"] == "no-store"


def test_no_page_has_script_or_style_in_it(browser: Browser) -> None:
    browser.register()
    for path in ("/", "/password", "/nowhere"):
        text = browser.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:", text), path


def test_static_files_are_kept_for_good_and_named_by_their_content(browser: Browser) -> None:
    paths = re.findall(r'"(/static/[^"#]+)"', browser.get("/").text)
    assert len(paths) >= 2
    for path in paths:
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert browser.get(re.sub(r"\.[0-9a-f]{12}\.", ".000000000000.", path)).status_code == 404


@pytest.mark.parametrize("given", ["/", "/password", "//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "x"])
def test_nobody_is_sent_elsewhere(open_house: FastAPI, given: str) -> None:
    browser = Browser(open_house)
    browser.register()
    for path in (f"/sign-in?next={given}", f"/language?to=en&back={given}"):
        answer = browser.http.get(path, follow_redirects=False)
        assert answer.headers["location"] in ("/", given if given in ("/", "/password") else "/")


def test_a_page_for_somebody_asks_who_it_is_and_comes_back(browser: Browser) -> None:
    browser.register("zhang.san")
    browser.post("/sign-out", page="/password")
    answer = browser.get("/password")
    assert answer.url.path == "/sign-in"
    assert 'name="next" value="/password"' in answer.text
    answer = browser.http.post(
        "/sign-in", data={"form": browser.token("/sign-in"), "name": "zhang.san", "password": PASSWORD, "next": "/password"}
    )
    assert answer.url.path == "/password"


def test_the_session_cookie_cannot_be_read_by_scripts_and_staffs_ends_with_the_browser(open_house: FastAPI, clock: Clock) -> None:
    accounts_of(open_house).accounts.add("officer.li", PASSWORD, Role.OFFICER)
    staff = Browser(open_house)
    answer = staff.http.post(
        "/sign-in", data={"form": staff.token("/sign-in"), "name": "officer.li", "password": PASSWORD}, follow_redirects=False
    )
    (cookie,) = [line for line in answer.headers.get_list("set-cookie") if line.startswith("hg-session=")]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age" not in cookie
    assert staff.get("/password").url.path == "/password"
    clock.at += STAFF_SESSION.idle_s
    assert staff.get("/password").url.path == "/sign-in"


def test_over_tls_cookies_are_secure_and_for_this_host_alone(town: Town, clock: Clock) -> None:
    config = msgspec.structs.replace(town.config(), web=Web(origin="https://code.example.org"))
    office = open_office(config, clock, CAPACITY)
    try:
        browser = Browser(make_app(town, quick(office, clock)))
        browser.http.base_url = "https://code.example.org"
        answer = browser.get("/sign-in")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert re.match(r"__Host-form=[^;]+; HttpOnly; Path=/; SameSite=lax; Secure", answer.headers["set-cookie"])
        assert browser.http.get("https://elsewhere.example/").status_code == 421
        assert browser.http.get("https://10.0.0.7/health").status_code == 200, "whoever watches the process knows its number"
    finally:
        office.store.close()


def test_sign_out_ends_it_and_empties_the_browser(browser: Browser) -> None:
    browser.register()
    answer = browser.http.post("/sign-out", data={"form": browser.token("/password")}, follow_redirects=False)
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert browser.get("/password").url.path == "/sign-in"


def test_guessing_is_told_to_wait(browser: Browser) -> None:
    browser.register()
    browser.post("/sign-out", page="/password")
    browser.http.cookies.clear()
    answers = [browser.sign_in("13800138000", "a wrong guess") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert "The name or the password is wrong" in answers[0].text
    assert "Try again in 2 seconds" in answers[-1].text


def test_faults_stand_beside_the_field_and_on_top(browser: Browser) -> None:
    answer = browser.post("/register", {"name": "12", "password": PASSWORD})
    assert answer.status_code == 422
    assert '<a href="#name">Enter a phone number' in answer.text
    assert re.search(r'<input id="name"[^>]*aria-describedby="name-hint name-fault" aria-invalid="true"', answer.text)
    assert PASSWORD not in answer.text


def test_too_much_is_refused_whether_its_length_is_told_or_not(browser: Browser) -> None:
    token = browser.token("/sign-in")
    body = f"form={token}&name={'x' * LEAST_LIMIT}".encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for sent in (body, iter([body[:1000], body[1000:]])):
        answer = browser.http.post("/sign-in", content=sent, headers={**headers, "accept-language": "zh-CN"})
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"
        assert '<html lang="zh-CN">' in answer.text, "a page like any other, in the visitor's language"
        assert "没有保存" in answer.text


def test_error_pages_speak_the_visitors_language(open_house: FastAPI) -> None:
    assert "There is no such page" in Browser(open_house).get("/nowhere").text
    chinese = Browser(open_house, "zh-CN,zh;q=0.9,en;q=0.8").get("/nowhere")
    assert chinese.status_code == 404
    assert "没有这一页" in chinese.text
    assert '<html lang="zh-CN">' in chinese.text


def test_the_language_is_remembered(open_house: FastAPI) -> None:
    browser = Browser(open_house, "zh-CN")
    assert '<html lang="zh-CN">' in browser.get("/").text
    answer = browser.get("/language?to=en&back=/sign-in")
    assert (answer.url.path, '<html lang="en">' in answer.text) == ("/sign-in", True)
    assert '<html lang="en">' in browser.get("/").text


@pytest.mark.parametrize(
    ("remembered", "accepted", "language"),
    [
        (None, "", Language.CHINESE),
        (None, "de-DE,de", Language.CHINESE),
        (None, "en-GB,en;q=0.9,zh;q=0.5", Language.ENGLISH),
        (None, "de, zh;q=0.3, en;q=0.7", Language.ENGLISH),
        (None, "en;q=0, zh", Language.CHINESE),
        (None, "en;q=nonsense", Language.CHINESE),
        ("en", "zh-CN", Language.ENGLISH),
        ("xx", "zh-CN", Language.CHINESE),
    ],
)
def test_which_language(remembered: str | None, accepted: str, language: Language) -> None:
    assert choose(remembered, accepted) is language


def test_health_says_whether_the_database_answers(open_house: FastAPI, browser: Browser) -> None:
    assert browser.get("/health").json() == {"status": "pass", "database": "pass"}
    with accounts_of(open_house).store.write() as tx:
        tx.exec_driver_sql("ALTER TABLE schema_version RENAME TO elsewhere")
    answer = browser.get("/health")
    assert (answer.status_code, answer.json()["database"]) == (503, "fail")


def test_what_is_dear_is_made_so_often_and_no_more() -> None:
    rates = Rates(Rate(burst=3, a_minute=6))
    assert [rates.take("a", 100.0) for _ in range(3)] == [0, 0, 0]
    assert rates.take("a", 100.0) == pytest.approx(10)
    assert rates.take("b", 100.0) == 0, "each for themselves"
    assert rates.take("a", 109.0) == pytest.approx(1)
    assert rates.take("a", 110.1) == 0
    assert rates.take("a", 110.1) > 0
    assert [rates.take("a", 10_000.0) for _ in range(4)].count(0) == 3, "a long rest fills it, and no further"
