"""Paper codes: true to size, read back from the rendered page by the gate's own reader, and telling nobody who it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pypdfium2
import pytest
import zxingcpp
from fastapi import FastAPI
from numpy.typing import NDArray

from edge.drivers.camera import Frame
from edge.scan import Reader, Sighting
from healthcode import token
from healthcode.terms import Colour, Form, Use
from healthcode.token import HealthCode
from server import papers
from server.audit import Action
from server.issuer import Issuer, Pack
from server.office import Office
from server.papers import CARD_QR_MM, LARGE_QR_MM, Holder, Layout, NoFont, make_pdf
from server.persons import Person
from server.registry import Resident
from server.sentences import Language
from server.store.audit import list_after
from tests.server.office import ISSUER, Clock, Town
from tests.server.web import Browser, make_app, quick
from tests.server.web_people import declare, join

CHINA = ZoneInfo("Asia/Shanghai")
POINTS_PER_MM = 72 / 25.4
READER = Reader(("zxing_local", "zxing_global"))
SIZES = {Layout.CARD: (85.0, 54.0), Layout.A4: (210.0, 297.0), Layout.LARGE: (210.0, 297.0)}
DPI = 300


@pytest.fixture
def pack(town: Town, office: Office, clock: Clock) -> Pack:
    resident = office.registry.add(Person("欧阳锋", "420106198001010074", "13800138000"))
    assert isinstance(resident, Resident)
    made = Issuer(office.store, town.keys[Use.TOKEN], ISSUER, office.config.codes, clock).paper(resident.resident)
    assert isinstance(made, Pack)
    return made


@contextmanager
def opened(content: bytes) -> Iterator[pypdfium2.PdfDocument]:
    document = pypdfium2.PdfDocument(content)
    try:
        yield document
    finally:
        document.close()


def picture(document: pypdfium2.PdfDocument) -> NDArray[np.uint8]:
    """The page as a printer lays it down, in levels of grey."""
    found: NDArray[np.uint8] = np.asarray(document[0].render(scale=DPI / 72).to_pil().convert("L")).copy()
    return found


def text_of(content: bytes) -> str:
    with opened(content) as document:
        return str(document[0].get_textpage().get_text_bounded())


def make(pack: Pack, layout: Layout, language: Language = Language.CHINESE, name: str = "欧阳锋", site: str = "") -> bytes:
    made = make_pdf(pack, Holder(name, site), layout, language, CHINA)
    assert isinstance(made, bytes), made
    return made


@pytest.mark.slow
@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("layout", list(Layout))
def test_a_print_is_true_to_size_and_reads_back(town: Town, clock: Clock, pack: Pack, layout: Layout, language: Language) -> None:
    with opened(make(pack, layout, language)) as document:
        assert len(document) == 1
        assert np.array(document[0].get_size()) / POINTS_PER_MM == pytest.approx(SIZES[layout], abs=0.1)
        seen = READER.sight(Frame(picture(document), 0.0))
    assert isinstance(seen, Sighting)
    code = token.read(seen.text, town.ring(), clock() + 20 * 86_400)
    assert isinstance(code, HealthCode)
    assert (code.index, code.form) == (pack.index, Form.PAPER)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "expected"), [(Layout.CARD, CARD_QR_MM), (Layout.LARGE, LARGE_QR_MM)])
def test_the_code_is_as_wide_as_it_should_be_on_white(pack: Pack, layout: Layout, expected: float) -> None:
    with opened(make(pack, layout)) as document:
        shot = picture(document)
    (found,) = zxingcpp.read_barcodes(shot)
    place = found.position
    corners = np.array([(at.x, at.y) for at in (place.top_left, place.top_right, place.bottom_left, place.bottom_right)], dtype=float)
    assert np.ptp(corners, axis=0) / DPI * 25.4 == pytest.approx([expected, expected], abs=0.5)
    left, top = corners.min(axis=0).astype(int)
    right, bottom = corners.max(axis=0).astype(int)
    quiet = int(4 * (right - left) / 61) - 4  # the standard's four modules, of the largest code that we write
    ring = shot[max(0, top - quiet) : bottom + quiet, max(0, left - quiet) : right + quiet].copy()
    ring[quiet - 4 : -quiet + 4, quiet - 4 : -quiet + 4] = 255
    assert ring.min() == 255, "something is printed within the quiet zone"


@pytest.mark.slow
@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("layout", list(Layout))
def test_the_words_say_whose_until_when_and_how_to_end_it_and_no_more(pack: Pack, layout: Layout, language: Language) -> None:
    content = make(pack, layout, language, site="https://code.example.org")
    text = text_of(content)
    assert "欧阳*" in text
    assert {Language.CHINESE: "2023年12月13日 06:13", Language.ENGLISH: "13 December 2023, 06:13"}[language] in text
    assert {Language.CHINESE: ("社区",), Language.ENGLISH: ("community",)}[language][0] in text
    if layout is not Layout.LARGE:
        assert "code.example.org" in text
    for secret in ("欧阳锋", "锋", "420106198001010074", "13800138000", pack.resident):
        assert secret not in text
        assert secret.encode() not in content
    for colour in ("绿", "黄", "红", "reen", "ellow"):
        assert colour not in text, "a printed colour would be a promise"


@pytest.mark.slow
def test_a_long_name_leaves_room_for_the_rest(pack: Pack) -> None:
    with opened(make(pack, Layout.CARD, Language.ENGLISH, name="Ana " * 40, site="https://" + "a" * 60 + ".example")) as document:
        page = document[0].get_textpage()
        boxes = [page.get_rect(each) for each in range(page.count_rects())]
        assert min(bottom for _, bottom, _, _ in boxes) > 0
        assert max(right for _, _, right, _ in boxes) < 85 * POINTS_PER_MM
        assert isinstance(READER.sight(Frame(picture(document), 0.0)), Sighting)


@pytest.mark.slow
def test_a_sheet_has_marks_around_two_cards(pack: Pack) -> None:
    """Darkness on the lines that go on from the cards' edges, outside the cards and nowhere on them."""
    with opened(make(pack, Layout.A4)) as document:
        shot = picture(document)
    per_mm = DPI / 25.4
    left, top = 15.0, 297 - 54 - 20.0
    for x in (left, left + 85, left + 95, left + 180):
        column = shot[:, int(x * per_mm) - 2 : int(x * per_mm) + 3].min(axis=1)
        assert column[int((top - 4) * per_mm) : int((top - 2) * per_mm)].max() < 200
        assert column[int(top * per_mm) : int((top + 54) * per_mm)].min() == 255
    for y in (top, top + 54):
        row = shot[int(y * per_mm) - 2 : int(y * per_mm) + 3].min(axis=0)
        assert row[int((left - 4) * per_mm) : int((left - 2) * per_mm)].max() < 200
        assert row[int(left * per_mm) : int((left + 85) * per_mm)].min() == 255


def test_without_the_font_one_line_says_what_to_install(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers, "FONT_FOLDERS", (tmp_path,))
    made = make_pdf(pack, Holder("欧阳锋", ""), Layout.CARD, Language.CHINESE, CHINA)
    assert isinstance(made, NoFont)
    assert "apt-get install fonts-noto-cjk" in made.detail
    assert "\n" not in made.detail


@pytest.fixture
def app(town: Town, office: Office, clock: Clock) -> FastAPI:
    return make_app(town, quick(office, clock))


@pytest.mark.slow
def test_a_lost_card_is_ended_and_printed_anew(app: FastAPI, town: Town, office: Office, clock: Clock) -> None:
    daughter = Browser(app)
    daughter.register()
    who = join(daughter, "王老太太", "19400101", "elder")
    assert "print it" not in daughter.get(f"/code/print?who={who}").text
    assert "There is no code yet" in daughter.get(f"/code/print?who={who}").text
    declare(daughter, who)
    assert f"/code/print?who={who}" in daughter.get(f"/code?who={who}").text
    page = f"/code/print?who={who}"
    first = daughter.post("/code/print", {"who": who, "layout": "large", "language": "zh-CN"}, page=page)
    assert first.headers["content-type"] == "application/pdf"
    assert first.headers["content-disposition"] == 'attachment; filename="health-code-large.pdf"'
    assert "王***" in text_of(first.content)
    lost = code_on(first.content, town, clock)
    asked = daughter.get(f"/code/lost?who={who}")
    assert "All codes of 王***, on paper and on every phone, end now" in asked.text
    daughter.post("/code/lost", {"who": who}, page=f"/code/lost?who={who}")
    second = code_on(daughter.post("/code/print", {"who": who, "layout": "card", "language": "en"}, page=page).content, town, clock)
    assert second.index != lost.index
    with office.store.read() as tx:
        assert office.registry.resident_at(tx, lost.uri, lost.index) is None
        assert office.registry.resident_at(tx, second.uri, second.index) == who
        ended = [entry for entry in list_after(tx, 0, 1000) if entry.action == Action.CODES_REVOKED]
    assert [(entry.role, entry.subject) for entry in ended] == [("resident", f"resident/{who}")], "who ended them is written down"


def code_on(content: bytes, town: Town, clock: Clock) -> HealthCode:
    with opened(content) as document:
        seen = READER.sight(Frame(picture(document), 0.0))
    assert isinstance(seen, Sighting)
    code = token.read(seen.text, town.ring(), clock())
    assert isinstance(code, HealthCode)
    assert code.colour is Colour.GREEN
    return code


@pytest.mark.slow
def test_nobody_prints_somebody_elses_code(app: FastAPI) -> None:
    owner, stranger = Browser(app), Browser(app, address="203.0.113.9")
    owner.register("13800138000")
    who = join(owner, "张三丰", "19800101")
    declare(owner, who)
    stranger.register("13900139000")
    mine = join(stranger, "李四", "19700101", sequence=9)
    declare(stranger, mine)
    page = f"/code/print?who={mine}"
    assert stranger.get(f"/code/print?who={who}").status_code == 404
    assert stranger.post("/code/print", {"who": who, "layout": "card", "language": "en"}, page=page).status_code == 404
    assert stranger.post("/code/print", {"who": mine, "layout": "poster", "language": "en"}, page=page).status_code == 400
    assert stranger.http.post("/code/print", data={"who": mine, "layout": "card", "language": "en"}).status_code == 403
    assert "/sign-in" in str(Browser(app).get(f"/code/print?who={who}").url)


def test_printing_without_end_has_to_wait(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers, "FONT_FOLDERS", (tmp_path,))
    browser = Browser(app)
    browser.register()
    who = join(browser, "张三丰", "19800101")
    declare(browser, who)
    page = f"/code/print?who={who}"
    answers = [browser.post("/code/print", {"who": who, "layout": "card", "language": "en"}, page=page) for _ in range(32)]
    assert [answer.status_code for answer in answers] == [503] * 30 + [429] * 2
    assert "out of order" in answers[0].text
    assert "Try again in 1 minutes" in answers[-1].text
