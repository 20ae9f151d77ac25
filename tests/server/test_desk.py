"""The officers' desk: who may do what there, by one table."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from server.actors import CARERS, Role
from server.audit import Action
from server.colours import Rule
from server.office import Office
from server.sentences import Language, sentences
from server.web.desk_pages import ROOMS
from server.web.desk_rules import RULES
from tests.server.desk_house import hire, sit_down
from tests.server.office import Clock, Town
from tests.server.web import Browser, make_app, quick


@pytest.fixture
def app(town: Town, office: Office, clock: Clock) -> FastAPI:
    quickly = quick(office, clock)
    hire(quickly)
    return make_app(town, quickly)


def routes(app: FastAPI) -> set[tuple[str, str]]:
    return {
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        if route.path and route.path.startswith("/desk")
        for method in (route.methods or set())
    }


def test_every_route_has_a_rule_and_every_rule_a_route(app: FastAPI) -> None:
    assert routes(app) == set(RULES)
    assert all(roles and Role.RESIDENT not in roles for roles in RULES.values())


@pytest.mark.parametrize("role", [*(role for role in Role if role is not Role.APP), None])
def test_each_role_may_do_what_the_table_says(app: FastAPI, role: Role | None) -> None:
    if role is None:
        browser = Browser(app)
        token = browser.token("/sign-in")
    elif role is Role.RESIDENT:
        browser = Browser(app)
        browser.register()
        token = browser.token("/password")
    else:
        browser = sit_down(app, role)
        token = browser.token("/password")
    for (method, path), roles in RULES.items():
        there = re.sub(r"\{[^}]*\}", "1", path)
        sent = {"data": {"form": token}} if method == "POST" else {}
        answer = browser.http.request(method, there, follow_redirects=False, **sent)  # type: ignore[arg-type]
        if role is None:
            assert answer.headers["location"].startswith("/sign-in"), (method, path)
        else:
            assert (answer.status_code == 403) == (role not in roles), (method, path, answer.status_code)


def test_every_entry_of_the_log_and_every_rule_has_its_words() -> None:
    for language in Language:
        known = sentences(language)
        assert [action for action in Action if f"action.{action.value}" not in known] == []
        assert [rule for rule in Rule if f"rule_name.{rule.value}" not in known] == []


def test_staff_begin_at_the_desk_and_see_their_rooms_alone(app: FastAPI) -> None:
    for role in Role:
        if role in CARERS:
            continue
        page = sit_down(app, role).get("/")
        rooms = set(re.findall(r'<li><a href="(/desk[^"]*)"', page.text))
        assert rooms == {path for path in ROOMS.values() if role in RULES.get(("GET", path), ())}


def test_nothing_at_the_desk_is_changed_without_the_forms_token(app: FastAPI) -> None:
    for role in (Role.OFFICER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR):
        browser = sit_down(app, role)
        for (method, path), roles in RULES.items():
            if method == "POST" and role in roles:
                answer = browser.http.post(re.sub(r"\{[^}]*\}", "1", path), data={"form": "0" * 64}, follow_redirects=False)
                assert answer.status_code == 403, path
                assert "nothing was saved" in answer.text
