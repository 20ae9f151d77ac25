"""The operators' pages in headless Chromium: what axe finds, what overflows, rows that change by themselves, five hundred gates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, expect

from healthcode.messages import Alert, stamp
from server.actors import Role
from server.intake import Intake
from server.office import Office, open_office
from tests.server.chromium import chromium, serving
from tests.server.desk_house import STAFF, hire
from tests.server.gates import lane, open_gates, say, status
from tests.server.office import CAPACITY, Town
from tests.server.test_desk_seen import PICTURES
from tests.server.test_portal_seen import VIEWS, find_faults, tab_to
from tests.server.web import PASSWORD, make_app, quick

pytestmark = pytest.mark.slow
MANY = 500
PATHS = (
    "/desk",
    "/desk/fleet?find=th",
    "/desk/fleet?presence=silent&alert=clock",
    "/desk/fleet/units/north",
    "/desk/fleet/units/south",
    "/desk/fleet/hours",
    "/desk/fleet/hours?hours=336&unit=north",
)


@dataclass
class Console:
    """An office with gates, what reports to it, and the site that serves its pages."""

    office: Office
    intake: Intake
    site: str
    chromium: Chromium

    def visit(self, path: str, language: str = "en", width: int = 1280) -> tuple[BrowserContext, Page]:
        """A page of a fresh profile, signed in as operator."""
        context = self.chromium.new_context(locale=language, viewport={"width": width, "height": 900})
        page = context.new_page()
        page.goto(f"{self.site}/sign-in")
        page.fill("#name", STAFF[Role.OPERATOR])
        page.fill("#password", PASSWORD)
        page.click("button.button")
        page.wait_for_url("**/desk")
        page.goto(self.site + path)
        return context, page


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    town = Town(tmp_path_factory.mktemp("console") / "town")
    office = quick(open_office(town.config(), time.time, CAPACITY), time.time)
    hire(office)
    intake = Intake(office.store, office.registry, town.ring, time.time, 3)
    open_gates(office, intake, time.time(), MANY)
    with serving(make_app(town, office)) as site, chromium() as chrome:
        yield Console(office, intake, site, chrome)
    office.store.close()


@pytest.mark.parametrize(("language", "width"), VIEWS)
def test_every_page_is_accessible_and_fits(console: Console, language: str, width: int) -> None:
    faults: dict[str, list[str]] = {}
    complaints: list[str] = []
    context, page = console.visit("/desk", language, width)
    page.on("pageerror", lambda wrong: complaints.append(str(wrong)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    for number, path in enumerate(PATHS):
        answer = page.goto(console.site + path)
        assert answer is not None
        assert answer.status == 200, path
        if found := find_faults(page, width):
            faults[path] = found
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"fleet_{number:02}_{language}_{width}.png", full_page=True)
    context.close()
    assert faults == {}
    assert complaints == []


def test_a_row_changes_while_it_is_looked_at_and_keeps_the_focus(console: Console) -> None:
    context, page = console.visit("/desk/fleet?find=g00")
    expect(page.locator("tbody tr")).to_have_count(10)
    row = page.locator("#unit-g007")
    tab_to(page, "#unit-g007 a")
    console.intake.take([say("g007", "status", status(654321)), say("g007", "lane", lane(time.time(), stage="passing", signal="pass"))])
    expect(row).to_contain_text("654,321")
    expect(row).to_contain_text("somebody passes")
    assert page.evaluate("document.activeElement.textContent") == "g007"
    console.intake.take([say("g007", "state", b"offline"), say("north", "status", status(99))])
    expect(row).to_contain_text("offline")
    expect(page.locator("tbody tr").first).to_have_id("unit-g007")
    assert page.evaluate("document.activeElement.textContent") == "g007", "it comes to the top with the focus that it has"
    expect(page.locator("tbody tr")).to_have_count(10)
    context.close()


def test_a_row_goes_when_it_fits_no_more_and_comes_when_it_does(console: Console) -> None:
    context, page = console.visit("/desk/fleet?find=g01&alert=any")
    expect(page.locator("tbody tr")).to_have_count(0)
    expect(page.locator("[data-line]")).to_have_text("")
    alert = Alert(name="sensor", since=stamp(time.time()), detail="no answer")
    console.intake.take([say("g011", "alert", alert, "sensor")])
    expect(page.locator("#unit-g011 .alert")).to_contain_text("Thermometer")
    console.intake.take([say("g011", "alert", b"", "sensor")])
    expect(page.locator("tbody tr")).to_have_count(0)
    context.close()


def test_all_five_hundred_change_and_the_page_answers(console: Console) -> None:
    context, page = console.visit("/desk/fleet?order=name")
    expect(page.locator("tbody tr")).to_have_count(MANY + 4)
    console.intake.take([say(f"g{number:03}", "status", status(70_000 + number)) for number in range(MANY)])
    expect(page.locator("#unit-g499")).to_contain_text("70,499")
    expect(page.locator("#unit-g000")).to_contain_text("70,000")
    page.fill("#find", "g499")
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk/fleet?find=g499*")
    expect(page.locator("tbody tr")).to_have_count(1)
    context.close()


def test_a_gate_s_page_follows_its_lane(console: Console) -> None:
    context, page = console.visit("/desk/fleet/units/west")
    expect(page.locator(".lamp")).to_have_class("lamp dark")
    console.intake.take([say("west", "lane", lane(time.time(), stage="granted", signal="pass"))])
    expect(page.locator(".lamp")).to_have_class("lamp green")
    expect(page.locator("dl.facts")).to_contain_text("open for one")
    context.close()


def test_who_is_signed_out_is_told(console: Console) -> None:
    context, page = console.visit("/desk/fleet?find=north")
    expect(page.locator("#unit-north")).to_be_visible()
    other = context.new_page()
    other.goto(f"{console.site}/desk")
    other.click("form[action='/sign-out'] button")
    other.wait_for_url(f"{console.site}/")
    expect(page.locator("[data-line]")).to_contain_text("You have been signed out", timeout=60_000)
    context.close()
