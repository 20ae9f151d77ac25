"""The officers' pages in headless Chromium: what axe finds, what overflows, a decision by keyboard, progress."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, expect

from healthcode.terms import ClockState
from server.actors import BY_GATE, BY_RULES, Role
from server.appeals import Appeal
from server.facts import Case, CaseCategory, CloseContact, FeverAtGate
from server.office import Office, open_office
from server.store import counts, events, reviews, to_ms
from server.store.counts import CountedRow
from tests.server.chromium import chromium, serving
from tests.server.desk_house import STAFF, hire, sit_down, wait_for
from tests.server.office import CAPACITY, Town
from tests.server.test_portal_seen import VIEWS, find_faults, tab_to
from tests.server.web import PASSWORD, Browser, make_app, quick
from tests.server.web_people import declare, join, number

pytestmark = pytest.mark.slow
PICTURES = os.environ.get("HEALTHGATE_PICTURES", "")
"""Where pictures of every page are put, for a person to look at."""


@dataclass
class Desk:
    """A desk with work on it, and the site that serves it."""

    office: Office
    site: str
    chromium: Chromium
    paths: dict[Role, list[str]] = field(default_factory=dict)

    def visit(self, role: Role, language: str = "en", width: int = 1280) -> tuple[BrowserContext, Page]:
        """A page of a fresh profile, signed in."""
        context = self.chromium.new_context(locale=language, viewport={"width": width, "height": 900})
        page = context.new_page()
        page.goto(f"{self.site}/sign-in")
        page.fill("#name", STAFF[role])
        page.fill("#password", PASSWORD)
        page.click("button.button")
        page.wait_for_url("**/desk")
        return context, page


def fill_days(office: Office, days: int = 45) -> None:
    """Counts of earlier days, as the server would have kept them."""
    at = time.time()
    office.counts.refresh()
    newest = office.counts.newest()
    assert newest is not None
    places = {"420106": 410_000, "420102": 260_000, "420506": 88_000, "421002": 70_000, "outside": 3_000, "": 1200}
    with office.store.write() as tx:
        for ago in range(days):
            if 20 <= ago < 23:
                continue
            day = newest.day.fromordinal(newest.day.toordinal() - ago).isoformat()
            people = {}
            for place, many in places.items():
                share = 1 + (days - ago) / 20
                people[(place, "yellow")] = int(many * 0.004 * share) + ago
                people[(place, "red")] = int(many * 0.0004 * share)
                people[(place, "pending")] = int(many * 0.002)
                people[(place, "green")] = many - sum(people[(place, colour)] for colour in ("yellow", "red", "pending"))
            counts.put_day(tx, CountedRow(day, to_ms(at - 86_400 * ago), 2**40), people)


def set_the_desk(office: Office, browser: Browser) -> dict[str, str]:
    """People with everything that a page can show."""
    browser.register("13800138000")
    who = {"green": join(browser, "张三丰", "19800101")}
    declare(browser, who["green"])
    browser.http.get(f"/code/pack?who={who['green']}", headers={"accept": "application/json"})
    who["yellow"] = join(browser, "张小明", "20150505", "child", 8)
    declare(browser, who["yellow"], symptoms="cough", travel="420506")
    who["red"] = join(browser, "王老太太", "19400101", "elder", 9)
    declare(browser, who["red"])
    who["pending"] = join(browser, "Maria da Conceição Albuquerque", "19900101", "other", 10)
    at = time.time()
    with office.store.write() as tx:
        office.registry.record(tx, who["red"], Case(at - 3600, CaseCategory.CONFIRMED, "武汉市第一医院"), at, BY_RULES)
        office.registry.record(tx, who["yellow"], FeverAtGate(at - 60, "gate-1", 38.4, ClockState.HOLDOVER), at, BY_GATE)
        office.registry.record(tx, who["pending"], CloseContact(at - 86_400, "centre"), at, BY_RULES)
        events.insert_review(tx, "fevers_over_limit", "gate-1", "00" * 16, 1, who["green"], to_ms(at - 7200), to_ms(at - 7200))
        reviews.open_review(tx, "copied", "seen_twice", who["green"], to_ms(at - 60 * 3600), unit="gate-2")
        for place in range(60):
            why = "contact_denied" if place % 2 else "isolation_denied isolation_earlier"
            events_at = to_ms(at - 3600 * place)
            tx.exec_driver_sql(
                "INSERT INTO reviews (kind, why, unit, boot_id, seq, resident, at_ms, received_ms)"
                f" VALUES ('contradiction', '{why}', '', '', 0, '{who['red']}', {events_at}, {events_at})"
            )
    declare(browser, who["pending"])
    return who


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    town = Town(tmp_path_factory.mktemp("desk") / "town")
    office = quick(open_office(town.config(), time.time, CAPACITY), time.time)
    hire(office)
    app = make_app(town, office)
    resident = Browser(app)
    who = set_the_desk(office, resident)
    other = Browser(app)
    other.register("13900139000")
    other.post("/family/add", {"relation": "self", "name": "张小明", "paper": "citizen", "number": number("20150505", 8)})
    other.post("/family/add", {"relation": "other", "name": "张三", "paper": "citizen", "number": number("19800101")})
    (parent, *_) = [each.actor for each in office.accounts.list_accounts(Role.RESIDENT)]
    asked = office.appeals.ask(parent, who["red"], "核酸检测两次阴性，已出院。", [b"%PDF-1.4", b"\xff\xd8\xff"])
    assert isinstance(asked, Appeal), asked
    fill_days(office)
    officer, operator, auditor = (sit_down(app, role) for role in (Role.OFFICER, Role.OPERATOR, Role.AUDITOR))
    approver = sit_down(app, Role.APPROVER)
    proposals = []
    for browser, people, wanted in (
        (officer, [who["green"]], "red.confirmed"),
        (approver, [who["yellow"]], "green.correction"),
        (officer, [who["green"], who["yellow"], who["red"]], "yellow.close_contact"),
    ):
        path = f"/desk/people/{people[0]}/propose" if len(people) == 1 else "/desk/approvals/new"
        made = browser.post(path, {"wanted": wanted, "residents": " ".join(people), "confirmed": "yes"})
        proposals.append(made.url.path)
    approver.post(proposals[2], {"do": "approve"})
    right: dict[str, str | list[str]] = {"paper": "citizen", "number": number("20051205", 8), "reason": "mistyped", "confirmed": "yes"}
    renumbered = officer.post(f"/desk/people/{who['yellow']}/number", right)
    rows = {row.kind: row.review for row in _rows(office)}
    with serving(app) as site, chromium() as chrome:
        found = Desk(office, site, chrome)
        jobs = {}
        for name, text in (
            ("good", f"number,at,note\n{number('19800101')},2026-09-20,x\n{number('19900102')},2026-09-20,y\n"),
            ("bad", "number,at\n123,2026-09-20\n42010619800101007X,someday\n"),
        ):
            fields = {"form": operator.token("/desk/imports"), "kind": "close_contact", "source": "疾控中心", "encoding": "utf-8"}
            answer = operator.http.post("/desk/imports", data=fields, files={"file": (f"{name}.csv", text.encode())})
            wait_for(operator, answer.url.path)
            jobs[name] = answer.url.path
        again = operator.http.post(
            "/desk/imports",
            data={"form": operator.token("/desk/imports"), "kind": "case", "source": "clinic"},
            files={"file": ("cases.csv", f"number,category,at\n{number('19400101', 9)},confirmed,2026-09-20\n".encode())},
        )
        wait_for(operator, again.url.path)
        forced = operator.post(again.url.path, {"do": "force"})
        imported = int(forced.url.path.rsplit("/", 1)[1])
        with office.store.write() as tx:
            why = {who[each]: "contact_denied" for each in ("green", "yellow", "pending")}
            reviews.open_many(tx, "contradiction", why, to_ms(time.time() - 50 * 3600), imported)
        group = f"/desk/queue/imports/{imported}?why=contact_denied"
        tried = operator.post(
            "/desk/policy", {"policy": "version = 2\nname = 'contacts 21 days'\n[contact]\ndays = 21\n[hand]\nyellow_days = 7"}
        )
        wait_for(operator, tried.url.path)
        proposed = operator.post(tried.url.path, {"reason": "course", "from": ""})
        verified = auditor.post("/desk/audit")
        wait_for(auditor, verified.url.path)
        found.paths = {
            Role.OFFICER: [
                "/desk",
                "/desk/queue",
                "/desk/queue?kind=claim&place=4201",
                *(f"/desk/queue/{rows[kind]}" for kind in ("fever", "contradiction", "copied", "declaration", "claim")),
                group,
                f"{group}&turned=yes",
                "/desk/people",
                *(f"/desk/people/{each}" for each in who.values()),
                f"/desk/people/{who['green']}/reissue",
                f"/desk/people/{who['green']}/propose",
                f"/desk/people/{who['green']}/number",
                "/desk/approvals/new",
                "/desk/appeals",
                f"/desk/appeals/{asked.number}",
            ],
            Role.APPROVER: ["/desk", "/desk/approvals?state=all", *proposals, renumbered.url.path, proposed.url.path],
            Role.OPERATOR: [
                "/desk/imports",
                jobs["good"],
                jobs["bad"],
                forced.url.path,
                "/desk/policy",
                tried.url.path,
                proposed.url.path,
                f"/desk/policy/jobs/{'x' * 12}",
                "/desk/numbers",
                "/desk/numbers?place=4201&days=90",
            ],
            Role.AUDITOR: [
                "/desk/audit",
                f"/desk/audit?subject={who['green']}",
                f"/desk/audit?subject={who['red']}",
                verified.url.path,
                "/desk/approvals?state=all",
            ],
        }
        yield found
    office.store.close()


def _rows(office: Office) -> list[reviews.ReviewRow]:
    with office.store.read() as tx:
        return reviews.list_open(tx, 1000)


@pytest.mark.parametrize(("language", "width"), VIEWS)
def test_every_page_is_accessible_and_fits(desk: Desk, language: str, width: int) -> None:
    faults: dict[str, list[str]] = {}
    complaints: list[str] = []
    for role, paths in desk.paths.items():
        context, page = desk.visit(role, language, width)
        page.on("pageerror", lambda wrong: complaints.append(str(wrong)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
        for number_, path in enumerate(paths):
            answer = page.goto(desk.site + path)
            assert answer is not None
            assert answer.status == (410 if path.endswith("x" * 12) else 200), path
            if found := find_faults(page, width):
                faults[path] = found
            assert page.get_attribute("html", "lang") == language
            if PICTURES:
                page.screenshot(path=Path(PICTURES) / f"{role.value}_{number_:02}_{language}_{width}.png", full_page=True)
        context.close()
    assert faults == {}
    assert complaints == []


def test_a_review_is_decided_by_keyboard_alone(desk: Desk) -> None:
    context, page = desk.visit(Role.OFFICER)
    page.goto(f"{desk.site}/desk/queue?kind=contradiction")
    rows = page.locator("tbody tr:not(:has(a[href*='/imports/']))")
    before = rows.first.inner_text()
    tab_to(page, "tbody th a:not([href*='/imports/'])")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/desk/queue/\d+"))
    tab_to(page, "#decision")
    page.keyboard.press("Space")
    tab_to(page, "#reason")
    page.keyboard.type("The person was")
    tab_to(page, "form .actions button")
    page.keyboard.press("Enter")
    expect(page.locator("[role=status]")).to_have_text(re.compile("is decided"))
    assert rows.first.inner_text() != before
    context.close()


def test_progress_moves_by_itself_and_outlives_a_reload(desk: Desk) -> None:
    context, page = desk.visit(Role.OPERATOR)
    page.goto(f"{desk.site}/desk/imports")
    for name in ("kind", "source", "encoding"):
        assert page.locator(f"#{name}").count() == 1
    text = "number,at\n" + "".join(f"{number('19700101', sequence)},2026-09-20\n" for sequence in range(1, 999)) * 20
    page.set_input_files("#file", {"name": "many.csv", "mimeType": "text/csv", "buffer": text.encode()})
    page.select_option("#kind", "close_contact")
    page.fill("#source", "centre")
    page.click("main form button.button")
    page.wait_for_url("**/desk/imports/jobs/*")
    page.reload()
    expect(page.locator("h1")).to_have_text("Ready, not in force", timeout=60_000)
    assert "998" in page.inner_text("dl.facts")
    page.goto(f"{desk.site}/desk/imports")
    expect(page.get_by_role("link", name=re.compile("many.csv"))).to_be_visible()
    context.close()
