"""Residents' pages in headless Chromium: what axe finds, what overflows, the code without a line, a declaration by keyboard alone."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import segno
import zxingcpp
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Route, expect

from healthcode import token
from healthcode.terms import Colour, Use
from healthcode.token import HealthCode
from server.actors import BY_RULES, Actor, Role
from server.appeals import Answer
from server.config import Codes
from server.facts import Case, CaseCategory, ContactCleared
from server.fleet import Fleet
from server.intake import Intake
from server.issuer import Issuer, Pack
from server.office import Office, open_office
from tests.server.chromium import chromium, serving
from tests.server.family import put_right
from tests.server.office import CAPACITY, ISSUER, Town
from tests.server.reports import batch, passed
from tests.server.web import PASSWORD, Browser, make_app, quick
from tests.server.web_people import WELL, declare, join, number

pytestmark = pytest.mark.slow
NAME = "13800138000"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = Axe().axe_script
AXE_OPTIONS = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
"""Violations alone: to list all that is well takes longer than to look."""
LANGUAGES = ("zh-CN", "en")
VIEWS = (("zh-CN", 1280), ("en", 320))
"""Languages and widths that every page is looked at in: longer words in the narrower window. It is half of all four."""


@dataclass
class House:
    """A family with every colour, the site that serves it, and the browser."""

    town: Town
    office: Office
    site: str
    chromium: Chromium
    who: dict[str, str] = field(default_factory=dict)

    def visit(
        self, language: str = "en", width: int = 320, *, signed_in: bool = True, scale: float = 1, forced: bool = False
    ) -> tuple[BrowserContext, Page]:
        """A page of a fresh profile; what its scripts complain of fails the test that closes it."""
        context = self.chromium.new_context(
            locale=language,
            viewport={"width": width, "height": 640 if width < 800 else 900},
            device_scale_factor=scale,
            forced_colors="active" if forced else "none",
            reduced_motion="reduce" if forced else "no-preference",
        )
        page = context.new_page()
        if signed_in:
            page.goto(f"{self.site}/sign-in")
            page.fill("#name", NAME)
            page.fill("#password", PASSWORD)
            page.click("button.button")
            page.wait_for_url("**/code")
        return context, page


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    town = Town(tmp_path_factory.mktemp("seen") / "town")
    office = open_office(town.config(), time.time, CAPACITY)
    app = make_app(town, quick(office, time.time))
    browser = Browser(app)
    browser.register(NAME)
    with serving(app) as site, chromium() as chrome:
        found = House(town, office, site, chrome)
        found.who["green"] = join(browser, "张三丰", "19800101")
        declare(browser, found.who["green"])
        found.who["yellow"] = join(browser, "张小明", "20150505", "child", 8)
        declare(browser, found.who["yellow"], symptoms="cough")
        found.who["red"] = join(browser, "王老太太", "19400101", "elder", 9)
        declare(browser, found.who["red"])
        with office.store.write() as tx:
            office.registry.record(tx, found.who["red"], Case(time.time() - 3600, CaseCategory.CONFIRMED, "clinic"), time.time(), BY_RULES)
        found.who["pending"] = join(browser, "Maria da Conceição Albuquerque", "19900101", "other", 10)
        put_right(office, found.who["green"], number("19800110"))
        look_and_ask(town, office, browser, found.who["red"])
        yield found
    office.store.close()


def look_and_ask(town: Town, office: Office, browser: Browser, resident: str) -> None:
    """An officer looks at the resident, a gate reads their code, and they ask for conversion; answered once, and once more waiting."""
    officer = Actor("li", Role.OFFICER)
    office.dossiers.open(officer, resident)
    Fleet(office.store, time.time).add("north-7", site="汉口站")
    found = office.registry.find(resident)
    assert found is not None
    pack = Issuer(office.store, town.keys[Use.TOKEN], ISSUER, Codes(), time.time).paper(resident)
    assert isinstance(pack, Pack)
    read = passed(1, time.time() + 1, pack.codes[0].text, (found.uri, found.index))
    assert Intake(office.store, office.registry, town.ring, time.time, 3).take([batch("north-7", [read])]).new == 1
    for words in ("我没有去过那里", "Discharged on 3 March, see the certificate"):
        page = browser.get(f"/appeal?who={resident}").text
        known = re.search(r'name="after" value="(\d+)"', page)
        assert known
        fields = {"form": browser.token("/password"), "who": resident, "after": known[1], "words": words}
        browser.http.post("/appeal", data=fields, files={"papers": ("a.pdf", b"%PDF-1.7", "application/pdf")})
        waiting = office.appeals.queue(officer)
        assert isinstance(waiting, list) and len(waiting) == 1
        if known[1] == "0":
            office.appeals.decide(officer, waiting[0].number, Answer.PAPERS_UNREADABLE)


OUTSIDE = ("/", "/sign-in", "/register", "/nowhere")
INSIDE = (
    *(f"/code?who={{{colour}}}" for colour in ("green", "yellow", "red", "pending")),
    "/code/lost?who={green}",
    "/code/print?who={green}",
    "/code/print?who={pending}",
    "/check-in?who={green}",
    *(f"/declare/{name}?who={{pending}}" for name in [*WELL, "isolation_since"]),
    "/check-in/symptoms?who={green}",
    "/family",
    "/family/add",
    "/family/add?relation=self",
    "/family/take",
    "/family/edit?who={yellow}",
    "/family/hand-over?who={yellow}",
    *(f"/history?who={{{colour}}}" for colour in ("green", "yellow", "red", "pending")),
    *(f"/appeal?who={{{colour}}}" for colour in ("green", "yellow", "red", "pending")),
    "/held?who={green}",
    "/held?who={red}",
    "/password",
    "/account/close",
)


def find_faults(page: Page, width: int) -> list[str]:
    """What axe finds, controls that are too small to hit, and whether anything is wider than the window."""
    page.evaluate(AXE)
    found = page.evaluate("(options) => axe.run(document, options).then((found) => found.violations)", AXE_OPTIONS)
    faults = [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"]]
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        faults.append(f"{wide} pixels wide in a window of {width}")
    return faults


@pytest.mark.parametrize(("language", "width"), VIEWS)
def test_every_page_is_accessible_and_fits(house: House, language: str, width: int) -> None:
    faults: dict[str, list[str]] = {}
    complaints: list[str] = []
    for signed_in, paths in ((False, OUTSIDE), (True, INSIDE)):
        context, page = house.visit(language, width, signed_in=signed_in)
        page.on("pageerror", lambda wrong: complaints.append(str(wrong)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
        for path in paths:
            page.goto(house.site + path.format(**house.who))
            if found := find_faults(page, width):
                faults[path] = found
            assert page.get_attribute("html", "lang") == language
        context.close()
    assert faults == {}
    assert complaints == []


def test_axe_would_say_so(house: House) -> None:
    context, page = house.visit("en", 320)
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"/x\"><input><p class=wide>wide</p>')")
    page.evaluate("document.querySelector('.wide').style.width = '400px'")
    faults = find_faults(page, 320)
    assert {fault.split(":")[0] for fault in faults} >= {"image-alt", "label"}
    assert any("pixels wide" in fault for fault in faults)
    context.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_fits_at_200_per_cent_and_with_letters_of_twice_the_size(house: House, language: str) -> None:
    """WCAG 2.2, 1.4.4 and 1.4.10: a window of 640 pixels at 200 % is one of 320; larger letters alone are what phones offer."""
    faults: list[str] = []
    for signed_in, paths in ((False, OUTSIDE), (True, INSIDE)):
        context, page = house.visit(language, 320, signed_in=signed_in, scale=2)
        larger = context.new_cdp_session(page)
        for path in paths:
            page.goto(house.site + path.format(**house.who))
            assert page.evaluate("devicePixelRatio") == 2
            faults += find_cut(page, f"{path} at 200 %")
            larger.send("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
            assert page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)") == 32
            faults += find_cut(page, f"{path} with larger letters")
            larger.send("Page.setFontSizes", {"fontSizes": {"standard": 16, "fixed": 13}})
        context.close()
    assert faults == []


def find_cut(page: Page, where: str) -> list[str]:
    """What is wider than the window, and texts that their boxes cut off. (Browsers shorten the names of files themselves.)"""
    wide = page.evaluate("document.documentElement.scrollWidth")
    cut = page.evaluate(
        "[...document.querySelectorAll('main *, nav *, header *')].filter((each) => !each.closest('.hide, svg, select, [type=file]')"
        " && getComputedStyle(each).overflow !== 'visible' && each.scrollWidth > each.clientWidth + 1)"
        ".map((each) => each.outerHTML.slice(0, 90))"
    )
    return [f"{where}: {wide} pixels wide"] * (wide > 320) + [f"{where}: cuts off {each}" for each in cut]


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_in_forced_colours_and_without_motion(house: House, language: str) -> None:
    context, page = house.visit(language, 320, forced=True)
    for path in ("/code?who={green}", "/code?who={red}", "/family", "/history?who={red}", "/appeal?who={yellow}", "/check-in?who={green}"):
        page.goto(house.site + path.format(**house.who))
        assert find_faults(page, 320) == [], path
        assert page.evaluate("document.getAnimations().length") == 0, path
    page.goto(f"{house.site}/code?who={house.who['green']}")
    until(page, "localStorage.getItem(`pack ${new URLSearchParams(location.search).get('who')}`)")
    assert isinstance(token.read(scan(page), house.town.ring(), time.time()), HealthCode), "black on white whatever the colours are"
    expect(page.locator("[data-is=word]")).to_be_visible()
    context.close()


def scan(page: Page, what: str = "[data-is=picture]") -> str:
    """What a gate's reader makes of the code on the screen."""
    picture = page.locator(what).screenshot()
    found = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
    assert len(found) == 1, "one code is on the screen"
    return found[0].text


@pytest.mark.parametrize("colour", [Colour.GREEN, Colour.YELLOW, Colour.RED])
def test_the_code_on_the_screen_reads_and_fills_most_of_it(house: House, colour: Colour) -> None:
    context, page = house.visit("zh-CN", 320)
    page.goto(f"{house.site}/code?who={house.who[colour.value]}")
    until(page, "localStorage.getItem(`pack ${new URLSearchParams(location.search).get('who')}`)")
    code = token.read(scan(page), house.town.ring(), time.time())
    assert isinstance(code, HealthCode)
    assert code.colour is colour
    box = page.locator("[data-is=picture]").bounding_box()
    assert box is not None
    assert box["width"] >= 0.6 * 320
    before = page.inner_text("[data-is=clock]")
    expect(page.locator("[data-is=clock]")).not_to_have_text(before)
    context.close()


def test_another_member_is_one_tap_away(house: House) -> None:
    context, page = house.visit("en", 320)
    page.click(f"[data-who='{house.who['red']}']")
    expect(page.locator("[data-is=word]")).to_have_text("Red code · may not pass")
    expect(page.locator("[data-is=name]")).to_have_text("王***")
    expect(page.locator("#code")).to_have_class("code red")
    context.close()


def test_without_a_line_the_codes_last_until_the_pack_ends(house: House) -> None:
    context, page = house.visit("en", 320)
    until(page, "[...document.querySelectorAll('[data-who]')].every((link) => localStorage.getItem(`pack ${link.dataset.who}`))")
    until(page, "caches.open('pages').then((kept) => kept.keys()).then((keys) => keys.length >= 5)")
    until(page, "navigator.serviceWorker.controller !== null")
    context.set_offline(True)
    page.goto(f"{house.site}/code")
    expect(page.locator("[data-is=line]")).to_have_text(re.compile(r"^Offline: codes are good until \d\d:\d\d$"))
    code = token.read(scan(page), house.town.ring(), time.time())
    assert isinstance(code, HealthCode)
    assert code.colour is Colour.GREEN
    page.click(f"[data-who='{house.who['yellow']}']")
    expect(page.locator("[data-is=word]")).to_have_text("Yellow code · may not pass yet")
    assert not find_faults(page, 320)
    page.clock.install()
    page.clock.fast_forward("05:00:00")
    expect(page.locator("[data-is=line]")).to_have_text(re.compile("the codes on this phone have run out"))
    expect(page.locator("[data-is=frame]")).to_be_hidden()
    expect(page.locator("[data-is=none]")).to_be_visible()
    context.close()


def test_a_colour_that_changes_shows_on_a_phone_that_lies_open(house: House) -> None:
    browser = Browser(make_app(house.town, quick(house.office, time.time)))
    browser.sign_in(NAME)
    context, page = house.visit("en", 320)
    page.goto(f"{house.site}/code?who={house.who['green']}")
    expect(page.locator("[data-is=word]")).to_have_text("Green code · may pass")
    until(page, "localStorage.getItem(`pack ${new URLSearchParams(location.search).get('who')}`)")
    declare(browser, house.who["green"], contact="yes")
    try:
        page.evaluate("dispatchEvent(new Event('online'))")  # what else happens every 20 seconds
        expect(page.locator("[data-is=word]")).to_have_text("Yellow code · may not pass yet")
    finally:
        with house.office.store.write() as tx:
            house.office.registry.record(tx, house.who["green"], ContactCleared(time.time(), "centre"), time.time(), BY_RULES)
    context.close()


def test_signing_out_takes_the_codes_along(house: House) -> None:
    context, page = house.visit("en", 320)
    until(page, "Object.keys(localStorage).some((key) => key.startsWith('pack '))")
    page.click("form[action='/sign-out'] button")
    page.wait_for_url(f"{house.site}/")
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert page.evaluate("caches.keys()") == []
    context.close()


def test_a_code_that_arrives_while_somebody_signs_out_is_not_kept(house: House) -> None:
    context, page = house.visit("en", 320)
    until(page, "Object.keys(localStorage).some((key) => key.startsWith('pack '))")
    held: list[Route] = []
    page.route("**/code/pack?*", lambda route: held.insert(0, route))
    page.evaluate("document.querySelector('form[action=\"/sign-out\"]').addEventListener('submit', (event) => event.preventDefault())")
    with page.expect_request("**/code/pack?*"):
        page.evaluate("localStorage.clear(); dispatchEvent(new Event('online')); 0")
    page.click("form[action='/sign-out'] button")
    with page.expect_response("**/code/pack?*") as arrived:
        held[0].continue_()
    arrived.value.finished()
    page.evaluate("fetch('/health').then((answer) => answer.text())")  # later than what the page makes of the codes
    assert page.evaluate("Object.keys(localStorage)") == []
    context.close()


def test_a_declaration_by_keyboard_alone(house: House) -> None:
    context, page = house.visit("en", 320)
    page.goto(f"{house.site}/family/add")
    tab_to(page, "#relation")
    for key in ("ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    assert page.is_checked("#relation-other")
    tab_to(page, "#name")
    page.keyboard.type("李雷")
    tab_to(page, "#number")
    page.keyboard.type(number("19920202", 21))
    page.keyboard.press("Enter")
    page.wait_for_url("**/declare/symptoms?*")
    began = time.monotonic()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to(page, "#symptoms")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/declare/temperature?*")
    tab_to(page, "#temperature")
    page.keyboard.type("36,6")
    page.keyboard.press("Enter")
    page.wait_for_url("**/declare/contact?*")
    tab_to(page, "#contact")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/declare/travel?*")
    tab_to(page, "#travel")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/declare/isolation?*")
    tab_to(page, "button.button")
    page.keyboard.press("Enter")
    expect(page.locator(".faults")).to_be_focused()
    tab_to(page, ".faults a")
    page.keyboard.press("Enter")
    expect(page.locator("#isolation")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/declare/district?*")
    tab_to(page, "#district")
    page.keyboard.type("Wuchang")
    tab_to(page, "button.button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/declare/phone?*")
    tab_to(page, "#phone")
    page.keyboard.type("13800138000")
    page.keyboard.press("Enter")
    page.wait_for_url("**/declare/check?*")
    tab_to(page, "button.button")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Received")
    assert time.monotonic() - began < 120
    context.close()


def test_check_in_and_another_member_by_keyboard_alone(house: House) -> None:
    context, page = house.visit("en", 320)
    page.goto(f"{house.site}/code?who={house.who['green']}")
    tab_to(page, f"nav.people [data-who='{house.who['yellow']}']")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "where the focus is can be seen"
    page.keyboard.press("Enter")
    expect(page.locator("[data-is=word]")).to_have_text("Yellow code · may not pass yet")
    assert page.get_attribute(f"nav.people [data-who='{house.who['yellow']}']", "aria-current") == "page"
    tab_to(page, "nav.rooms a[href^='/check-in']")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/check-in?who={house.who['yellow']}")
    tab_to(page, f"nav.people a[href$='{house.who['green']}']")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/check-in?who={house.who['green']}")
    tab_to(page, "#temperature")
    page.keyboard.type("36.6")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Received")
    context.close()


def test_a_request_with_a_photo_by_keyboard_and_a_large_photo_gets_small(house: House, tmp_path: Path) -> None:
    context, page = house.visit("en", 320)
    photo = tmp_path / "certificate.png"
    exif = Image.Exif()
    exif[0x010F] = "PhoneMaker"
    Image.effect_noise((3000, 2000), 90).convert("RGB").save(photo, exif=exif)
    assert photo.stat().st_size > 4 * 1024 * 1024
    page.goto(f"{house.site}/history?who={house.who['yellow']}")
    tab_to(page, "a.button[href^='/appeal']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/appeal?*")
    tab_to(page, "#words")
    page.keyboard.type("The cough is gone")
    tab_to(page, "#papers")
    page.set_input_files("#papers", photo)
    until(page, "document.querySelector('#papers').files[0].name === 'certificate.jpg'")
    tab_to(page, "button.button")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("Waiting for an officer")
    officer = Actor("li", Role.OFFICER)
    waiting = house.office.appeals.queue(officer)
    assert isinstance(waiting, list)
    (mine,) = [each for each in waiting if each.resident == house.who["yellow"]]
    found = house.office.appeals.paper(officer, mine.number, 1)
    assert isinstance(found, tuple)
    assert found[0] == "image/jpeg"
    assert Image.open(io.BytesIO(found[1])).size == (2400, 1600)
    assert b"PhoneMaker" not in found[1], "what the camera noted stays on the phone"
    context.close()


def test_an_answer_waits_for_the_line(house: House) -> None:
    context, page = house.visit("en", 320)
    page.goto(f"{house.site}/declare/temperature?who={house.who['pending']}")
    page.fill("#temperature", "36.7")
    context.set_offline(True)
    page.click("button.button")
    expect(page.locator("#line")).to_have_text(re.compile("The line is down"))
    context.set_offline(False)
    page.wait_for_url(re.compile("/declare/(?!temperature)"), timeout=20_000)
    page.goto(f"{house.site}/declare/temperature?who={house.who['pending']}")
    assert page.input_value("#temperature") == "36.7"
    context.close()


def test_an_answer_outlives_a_page_that_was_closed(house: House) -> None:
    context, page = house.visit("en", 320)
    page.goto(f"{house.site}/family/add")
    page.fill("#name", "韩梅梅")
    page.goto(f"{house.site}/code")
    page.goto(f"{house.site}/family/add")
    assert page.input_value("#name") == "韩梅梅"
    context.close()


def test_without_scripts_the_code_shows_too(house: House) -> None:
    context = house.chromium.new_context(locale="en", viewport={"width": 320, "height": 640}, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{house.site}/sign-in")
    page.fill("#name", NAME)
    page.fill("#password", PASSWORD)
    page.click("button.button")
    code = token.read(scan(page, "img.qr"), house.town.ring(), time.time())
    assert isinstance(code, HealthCode)
    page.goto(f"{house.site}/check-in?who={house.who['red']}")
    page.click("button.button:not(.second)")
    expect(page.locator("h1")).to_have_text("Received")
    context.close()


def test_the_phones_own_pictures_are_the_standards(house: House) -> None:
    """Codes of every length and in every mask are as large as another maker's, and a gate's reader reads them."""
    texts = ["HB1:" + ("A7Z*+/ $%-." * 40)[:length] for length in range(20, 340, 23)]
    context, page = house.visit("en", 320)
    for text in texts:
        for mask in range(8):
            rows = page.evaluate("([text, mask]) => qr.matrix(text, mask)", [text, mask])
            made = segno.make(text, error="m", boost_error=False, micro=False, mask=mask)
            assert len(rows) == len(made.matrix)
            picture = Image.new("L", (len(rows) + 8,) * 2, 255)
            for y, row in enumerate(rows):
                for x, dark in enumerate(row):
                    if dark:
                        picture.putpixel((x + 4, y + 4), 0)
            (found,) = zxingcpp.read_barcodes(picture.resize((picture.width * 4,) * 2, Image.Resampling.NEAREST))
            assert found.text == text
    context.close()


def until(page: Page, condition: str, most_s: float = 20.0) -> None:
    """Waits until a script's `condition` holds. (The pages' policy forbids what Playwright's own waiting does.)"""
    ends = time.monotonic() + most_s
    while not page.evaluate(condition):
        assert time.monotonic() < ends, condition
        page.wait_for_timeout(50)


def tab_to(page: Page, selector: str, most: int = 60) -> None:
    """Presses Tab until the focus is on `selector`, as who has no pointer does."""
    for _ in range(most):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(
        f"{selector} is not reached in {most} steps; the focus is on {page.evaluate('document.activeElement.outerHTML')[:200]}"
    )
