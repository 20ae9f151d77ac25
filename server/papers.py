"""A code on paper as PDF: a card for the wallet, a sheet of A4 with two cards to cut out, and large print.

The colour is not printed: it changes, and the list at the gate decides. The name is masked here, whatever is passed in.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import segno

from server.identity import mask_name
from server.issuer import Pack
from server.qr import BORDER
from server.sentences import Language, sentences, tell_moment

FONTS = {"": "NotoSansCJK-Regular.ttc", "B": "NotoSansCJK-Bold.ttc"}
FONT_FOLDERS = (Path("/usr/share/fonts/opentype/noto"), Path("/usr/local/share/fonts"))
FACE = 2
"""Which face of the collections: Noto Sans CJK SC, with the forms of letters that mainland China writes."""
CARD_MM, A4_MM = (85.0, 54.0), (210.0, 297.0)
CARD_QR_MM, LARGE_QR_MM = 40.0, 110.0
CUT_GAP_MM, CUT_MM = 1.5, 3.0
"""Crop marks: how far from the card's corner they begin, and how long they are."""
POINT_MM = 25.4 / 72
LINE = 1.35
"""Distance of lines, in sizes of the letters."""
_AT_ONCE = threading.Semaphore(2)  # a document takes a second of one processor and 100 MB for the font's tables
# What a line may end after: a word, or a Chinese letter with what must not stand apart from it.
_PIECE = re.compile(r"[（“《]*(?:[!-~·]+|[^\s])[，。；：、！？）”》]*\s*")


class Layout(StrEnum):
    """What is printed."""

    CARD = "card"
    A4 = "a4"
    LARGE = "large"


@dataclass(frozen=True)
class NoFont:
    """There is no font with Chinese letters on this machine."""

    detail: str


@dataclass(frozen=True)
class Holder:
    """Whose code it is, and where they end it: `site` is the portal's address, empty where it has none."""

    name: str
    site: str


def make_pdf(pack: Pack, holder: Holder, layout: Layout, language: Language, zone: ZoneInfo) -> bytes | NoFont:
    """The first code of `pack` as a document that is ready to be printed at its true size. Times are told in `zone`."""
    found = _find_fonts()
    if isinstance(found, NoFont):
        return found
    with _AT_ONCE:
        sheet = _Sheet(pack, holder, language, zone, found, CARD_MM if layout is Layout.CARD else A4_MM)
        match layout:
            case Layout.CARD:
                sheet.card(0, 0)
            case Layout.A4:
                sheet.a4()
            case Layout.LARGE:
                sheet.large()
        return bytes(sheet.pdf.output())


def _find_fonts() -> dict[str, Path] | NoFont:
    for folder in FONT_FOLDERS:
        found = {style: folder / name for style, name in FONTS.items()}
        if all(path.is_file() for path in found.values()):
            return found
    return NoFont(
        f"no font for printing: expected {' and '.join(FONTS.values())} in {FONT_FOLDERS[0]}: type sudo apt-get install fonts-noto-cjk"
    )


class _Sheet:
    """One page and what stands on it. Lengths are millimetres, sizes of letters points."""

    def __init__(
        self, pack: Pack, holder: Holder, language: Language, zone: ZoneInfo, fonts: dict[str, Path], page: tuple[float, float]
    ) -> None:
        from fpdf import FPDF  # with its fonts half a second, which a command or a server that prints nothing need not wait for

        code = pack.codes[0]
        self._texts = sentences(language)
        self._blanks = {
            "name": mask_name(holder.name),
            "until": tell_moment(language, code.expires, zone),
            "site": holder.site.removeprefix("https://"),
        }
        self._has_site = bool(holder.site)
        self._modules = [list(row) for row in segno.make(code.text, error="m", boost_error=False, micro=False).matrix]
        self.pdf = FPDF(unit="mm", format=page)
        self.pdf.set_margin(0)
        self.pdf.set_auto_page_break(False)
        self.pdf.set_title(self._texts["paper.title"])
        self.pdf.set_lang(language.value)
        self.pdf.add_page()
        for style, path in fonts.items():
            self.pdf.add_font("paper", style, path, collection_font_number=FACE)

    def card(self, x: float, y: float) -> None:
        """The card, 85 x 54 mm: the code at the left, the words beside it."""
        top = y + (CARD_MM[1] - CARD_QR_MM) / 2
        quiet = BORDER * CARD_QR_MM / len(self._modules)
        self._draw_code(x + 4.0, top, CARD_QR_MM)
        left = x + 4.0 + CARD_QR_MM + quiet
        width = x + CARD_MM[0] - 3.0 - left
        y = self._write(left, y + 4.5, width, 10, "paper.title", bold=True)
        y = self._write(left, y + 1.5, width, 17, "paper.name", bold=True)
        y = self._write(left, y + 1.0, width, 6.5, "paper.until_label")
        y = self._write(left, y, width, 8, "paper.until", bold=True)
        y = self._write(left, y + 1.2, width, 6.5, "paper.card_use")
        self._write(left, y + 1.2, width, 6.5, "paper.card_lost_site" if self._has_site else "paper.card_lost")

    def a4(self) -> None:
        """A sheet that says all there is to know, and below it two cards to cut out."""
        y = self._write(20, 18, 170, 24, "paper.title", bold=True)
        self._draw_code(20, y + 8, 70)
        left, width = 102.0, 88.0
        side = self._write(left, y + 6, width, 28, "paper.name", bold=True)
        side = self._write(left, side + 2, width, 12, "paper.until_label")
        side = self._write(left, side, width, 15, "paper.until", bold=True)
        for key in ("paper.use", "paper.colour", self._lost):
            side = self._write(left, side + 3, width, 12, key)
        y = max(y + 78 + 8, side + 6)
        for key in ("paper.care", "paper.private"):
            y = self._write(20, y + 3, 170, 13, key)
        bottom = A4_MM[1] - CARD_MM[1] - 20
        self._write(20, bottom - 14, 170, 13, "paper.cut")
        for number in range(2):
            left = A4_MM[0] / 2 - CARD_MM[0] - 5 + number * (CARD_MM[0] + 10)
            self.card(left, bottom)
            self._mark_corners(left, bottom)

    def large(self) -> None:
        """Large print for elders: no letter under 20 points."""
        y = self._write(20, 14, 170, 30, "paper.title", bold=True, centred=True)
        y = self._write(20, y + 1, 170, 44, "paper.name", bold=True, centred=True)
        self._draw_code((A4_MM[0] - LARGE_QR_MM) / 2, y + 11, LARGE_QR_MM)
        y = self._write(15, y + LARGE_QR_MM + 21, 180, 22, "paper.until_label", centred=True)
        y = self._write(15, y, 180, 30, "paper.until", bold=True, centred=True)
        for key in ("paper.large_use", "paper.large_lost"):
            y = self._write(15, y + 3, 180, 20, key, centred=True)

    @property
    def _lost(self) -> str:
        return "paper.lost_site" if self._has_site else "paper.lost"

    def _write(self, x: float, y: float, width: float, size: float, key: str, *, bold: bool = False, centred: bool = False) -> float:
        """The text of `key` from (x, y) downwards in lines of at most `width`; where it ends. Long names and addresses shrink."""
        text = self._texts[key].format_map(self._blanks)
        self.pdf.set_font("paper", "B" if bold else "", size)
        lines = self._lines(text, width)
        while len(lines) > (2 if bold else 8) or max(map(self.pdf.get_string_width, lines)) > width:
            size *= 0.9
            self.pdf.set_font_size(size)
            lines = self._lines(text, width)
        step = size * POINT_MM * LINE
        for line in lines:
            start = x + (width - self.pdf.get_string_width(line)) / 2 if centred else x
            self.pdf.text(start, y + step * 0.75, line)
            y += step
        return y

    def _lines(self, text: str, width: float) -> list[str]:
        lines: list[str] = []
        line = ""
        for piece in _PIECE.findall(text):
            if line and self.pdf.get_string_width((line + piece).rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
        return [*lines, line.rstrip()]

    def _draw_code(self, x: float, y: float, side: float) -> None:
        """The code as one shape, `side` wide without its quiet zone: runs of dark modules, with no seam between them."""
        module = side / len(self._modules)
        with self.pdf.new_path() as path:
            path.style.fill_color = "#000000"
            path.style.stroke_color = None
            for row, modules in enumerate(self._modules):
                for begin, length in _runs(modules):
                    path.rectangle(x + begin * module, y + row * module, length * module, module)

    def _mark_corners(self, x: float, y: float) -> None:
        self.pdf.set_line_width(0.1)
        for across, outward in ((x, -1), (x + CARD_MM[0], 1)):
            for down, downward in ((y, -1), (y + CARD_MM[1], 1)):
                near, far = CUT_GAP_MM, CUT_GAP_MM + CUT_MM
                self.pdf.line(across + outward * near, down, across + outward * far, down)
                self.pdf.line(across, down + downward * near, across, down + downward * far)


def _runs(modules: Sequence[int]) -> list[tuple[int, int]]:
    """Where dark modules begin in a row, and how many stand together."""
    runs, begin = [], 0
    while begin < len(modules):
        end = begin
        while end < len(modules) and modules[end]:
            end += 1
        if end > begin:
            runs.append((begin, end - begin))
        begin = end + 1
    return runs
