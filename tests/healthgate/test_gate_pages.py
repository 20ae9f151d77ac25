"""The demo as a visitor has it: its real processes, and a gate's page in headless Chromium through which somebody stands at the gate."""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import segno
from PIL import Image, ImageDraw
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from healthgate import resident
from healthgate.stage import FEVER_SKIN_C
from healthgate.witness import relay_pulses
from tests.server.chromium import chromium
from tests.server.test_portal_seen import find_faults

pytestmark = pytest.mark.slow
START_LIMIT_S = 120.0
CAMERA_FLAGS = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
"""A camera that plays a film, and nobody who has to allow it."""
VERDICT_MS = 60_000
NOTE_BARRIER = """() => {
  window.barrier = [];
  const unit = document.getElementById("unit"), shown = document.getElementById("barrier");
  const note = () => barrier.push(`${unit.dataset.barrier}: ${shown.textContent}`);
  new MutationObserver(note).observe(unit, { attributeFilter: ["data-barrier"] });
}"""
"""Keeps what the page shows of the barrier from now on: the relay's pulse is half a second, and who looks now and then can miss it."""


@dataclass
class Demo:
    """A demo that runs, what it printed at its start, and a browser."""

    folder: Path
    said: str
    chromium: Chromium

    def address(self, what: str) -> str:
        found = re.search(rf"^{what}: (http://127\.0\.0\.1:\d+\S*)$", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    def visit(self, gate: str, width: int = 1280) -> Page:
        page = self.chromium.new_page(viewport={"width": width, "height": 900})
        page.goto(self.address(f"gate {gate}"))
        expect(page.locator("#unit")).to_have_attribute("data-busy", "false", timeout=30_000)
        return page

    def journal(self, gate: str) -> list[dict[str, Any]]:
        """What the unit's simulated hardware did, as the world wrote it down."""
        lines = (self.folder / "journals" / f"{gate}.jsonl").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    place = tmp_path_factory.mktemp("demo")
    heard = ["env", "--default-signal=INT"]  # whoever started the tests in the background had Ctrl-C ignored
    command = [*heard, sys.executable, "-m", "healthgate", "demo", "--folder", str(place / "town")]
    said: list[str] = []
    ready = threading.Event()
    with (place / "err").open("w") as err, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True) as running:

        def listen() -> None:
            assert running.stdout is not None
            for line in running.stdout:
                said.append(line)
                if "a second officer" in line:
                    ready.set()
            ready.set()

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            assert ready.wait(START_LIMIT_S)
            assert running.poll() is None, (place / "err").read_text()
            film = place / "elder.mjpeg"
            film.write_bytes(picture_of(paper_code(place / "town" / "server.toml", "王秀英")))
            with chromium(*CAMERA_FLAGS, f"--use-file-for-fake-video-capture={film}") as browser:
                yield Demo(place / "town", "".join(said), browser)
        finally:
            running.send_signal(signal.SIGINT)
            try:
                running.wait(60)
            finally:
                running.kill()
                listener.join(10)
    assert running.returncode == 0, "Ctrl-C ends the demo in order: " + (place / "err").read_text()


def paper_code(config: Path, name: str) -> str:
    """A resident's code, by the command that an officer types."""

    def say(*words: str) -> str:
        told = CliRunner().invoke(resident.app, [*words, "--config", str(config)])
        assert told.exit_code == 0, told.stderr
        return told.stdout

    (known,) = [row for row in map(json.loads, say("list", "--json").splitlines()) if row["name"] == name]
    return say("code", known["id"]).strip()


def hold_up(page: Page, kind: str) -> None:
    page.get_by_label(re.compile(kind)).check()
    page.click("#hold button")


def leave(page: Page) -> None:
    with page.expect_response("**/leave"):
        page.click("#leave")


def test_a_green_code_opens_the_barrier_and_somebody_walks_through(demo: Demo) -> None:
    page = demo.visit("north")
    expect(page.locator("#unit")).to_have_attribute("data-barrier", "shut")
    page.evaluate(NOTE_BARRIER)
    hold_up(page, "Zhang Li:")
    wait_until(page, lambda: "open: open 开" in page.evaluate("window.barrier"), "the page shows the barrier open")
    page.click("#walk")  # within the three seconds of a grant
    expect(page.locator("#reason")).to_have_text(re.compile(r"^GREEN, 3\d\.\d °C$"), timeout=VERDICT_MS)
    expect(page.locator("#verdict")).to_have_attribute("data-shape", "circle")
    expect(page.locator("#unit")).to_have_attribute("data-barrier", "shut", timeout=VERDICT_MS)
    expect(page.locator("#log")).to_contain_text("walked through", timeout=VERDICT_MS)
    expect(page.locator("#heard")).to_have_text(re.compile(r"high 高音 0\.\d\d s"))
    assert relay_pulses(demo.journal("north")) >= 1
    page.close()


@pytest.mark.parametrize(("kind", "reason"), [("Li Qiang", "YELLOW"), ("Wang Fang", "RED")])
def test_a_code_that_is_not_green_does_not_open_it(demo: Demo, kind: str, reason: str) -> None:
    page = demo.visit("south")
    before = relay_pulses(demo.journal("south"))
    hold_up(page, kind)
    expect(page.locator("#reason")).to_have_text(reason, timeout=VERDICT_MS)
    expect(page.locator("#verdict")).to_have_attribute("data-shape", "square")
    assert relay_pulses(demo.journal("south")) == before
    leave(page)
    page.close()


def test_whoever_is_pending_has_no_code_to_hold_up(demo: Demo) -> None:
    page = demo.visit("south")
    hold_up(page, "Zhao Lei")
    expect(page.locator("#fault")).to_have_text(re.compile("no code before the declaration was reviewed"))
    page.close()


def test_a_fever_is_measured_twice_and_refused_and_turns_the_code_yellow(demo: Demo) -> None:
    page = demo.visit("south")
    before = relay_pulses(demo.journal("south"))
    page.evaluate(f"skin.value = {FEVER_SKIN_C}; skin.dispatchEvent(new Event('input'))")
    expect(page.locator("#body")).to_contain_text("38.")
    with page.expect_response("**/skin"):
        page.evaluate("skin.dispatchEvent(new Event('input'))")
    hold_up(page, "Zhang Xiaoming")
    expect(page.locator("#reason")).to_have_text(re.compile("^FEVER_SUSPECTED, 38"), timeout=VERDICT_MS)
    expect(page.locator("#heard")).to_have_text(re.compile("low.*medium.*high"), timeout=VERDICT_MS)
    expect(page.locator("#reason")).to_have_text(re.compile("^FEBRILE, 38"), timeout=VERDICT_MS)
    assert relay_pulses(demo.journal("south")) == before
    leave(page)
    page.close()
    north = demo.visit("north")
    hold_up(north, "Zhang Xiaoming")
    expect(north.locator("#reason")).to_have_text("YELLOW", timeout=VERDICT_MS)
    leave(north)
    north.close()


def picture_of(text: str | None, *, smeared: bool = False) -> bytes:
    """A photograph: a grey scene, with a code in it where there is a text; `smeared`: its middle is, the corners can be seen."""
    photograph = Image.linear_gradient("L").resize((800, 600)).convert("RGB")
    ImageDraw.Draw(photograph).ellipse((300, 150, 500, 400), fill=(200, 170, 150))
    if text is not None:
        out = io.BytesIO()
        segno.make(text, error="m", boost_error=False, micro=False).save(out, kind="png", scale=6, border=4)
        photograph.paste(Image.open(out), (100, 60))
    if smeared:
        ImageDraw.Draw(photograph).rectangle((210, 190, 420, 380), fill=(128, 128, 128))
    out = io.BytesIO()
    photograph.save(out, "JPEG", quality=90)
    return out.getvalue()


def wait_until(page: Page, condition: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, what
        page.wait_for_timeout(20)


def test_a_strangers_photograph_opens_nothing_and_one_of_a_code_does(demo: Demo) -> None:
    page = demo.visit("north")
    number = len(demo.journal("north"))
    page.set_input_files("#photo", {"name": "somebody.jpg", "mimeType": "image/jpeg", "buffer": picture_of(None)})
    wait_until(page, lambda: any(entry.get("picture") for entry in demo.journal("north")[number:]), "the camera sees the photograph")
    number = len(demo.journal("north"))
    wait_until(page, lambda: sum("register" in entry for entry in demo.journal("north")[number:]) > 30, "the unit goes on")
    assert relay_pulses(demo.journal("north")[number:]) == 0
    blurred = picture_of("HB1:" + "ABC " * 40, smeared=True)
    page.set_input_files("#photo", {"name": "blurred.jpg", "mimeType": "image/jpeg", "buffer": blurred})
    expect(page.locator("#reason")).to_contain_text("hold still", timeout=VERDICT_MS)
    page.set_input_files("#photo", {"name": "forged.jpg", "mimeType": "image/jpeg", "buffer": picture_of("HB1:" + "ABC " * 40)})
    expect(page.locator("#verdict")).to_have_attribute("data-shape", "square", timeout=VERDICT_MS)
    assert relay_pulses(demo.journal("north")[number:]) == 0
    leave(page)
    expect(page.locator("#reason")).to_have_text("No verdict yet")
    page.set_input_files("#photo", {"name": "text.jpg", "mimeType": "image/jpeg", "buffer": b"hello"})
    expect(page.locator("#fault")).to_contain_text("not an image that can be read")
    page.close()


def test_the_browsers_camera_shows_a_paper_code_to_the_gate(demo: Demo) -> None:
    page = demo.visit("north")
    number = len(demo.journal("north"))
    page.evaluate(NOTE_BARRIER)
    page.click("#camera")
    expect(page.locator("#camera")).to_have_text("Stop the camera 关闭摄像头")
    wait_until(page, lambda: "open: open 开" in page.evaluate("window.barrier"), "the page shows the barrier open")
    expect(page.locator("#log")).to_contain_text("ADMIT GREEN", timeout=VERDICT_MS)
    page.click("#camera")
    expect(page.locator("#camera")).to_have_text("Use this browser's camera 使用摄像头")
    assert relay_pulses(demo.journal("north")[number:]) == 1
    assert len(list((demo.folder / "pictures").iterdir())) <= 12, "pictures that nobody looks at any more are removed"
    page.close()


def test_sound_is_played_where_it_is_turned_on(demo: Demo) -> None:
    page = demo.visit("south")
    page.evaluate(
        "(() => { window.tones = []; const set = AudioParam.prototype.setTargetAtTime;"
        " AudioParam.prototype.setTargetAtTime = function (value, ...rest)"
        " { window.tones.push(value); return set.call(this, value, ...rest); }; })()"
    )
    page.click("#mute")
    expect(page.locator("#mute")).to_have_text("Sound is on: turn it off 关闭声音")
    hold_up(page, "Wang Fang")
    expect(page.locator("#heard")).to_have_text(re.compile("low 低音"), timeout=VERDICT_MS)
    wait_until(page, lambda: page.evaluate("window.tones").count(0.15) >= 3, "three notes of a refusal are played")
    page.click("#mute")
    expect(page.locator("#mute")).to_have_text("Sound is off: turn it on 打开声音")
    leave(page)
    page.close()


@pytest.mark.parametrize("width", [320, 1280])
def test_the_pages_fit_and_are_accessible_under_a_strict_policy(demo: Demo, width: int) -> None:
    complaints: list[str] = []
    page = demo.chromium.new_page(viewport={"width": width, "height": 700})
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda wrong: complaints.append(str(wrong)))
    gate = demo.address("gate north")
    for address in (gate.split("/gates")[0], gate):
        answer = page.goto(address)
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert find_faults(page, width) == []
    assert complaints == []
    page.close()


def test_another_site_can_do_nothing_at_the_gate(demo: Demo) -> None:
    page = demo.visit("north")
    gate = demo.address("gate north")
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert page.request.post(f"{gate}/skin", data={"skin_c": 36.0}, headers=headers).status == 403
    assert page.request.post(f"{gate}/skin", data={"skin_c": 99.0}).status == 422
    assert page.request.get(gate, headers={"host": "evil.example"}).status == 421
    page.close()
    where = urlsplit(gate)
    line = http.client.HTTPConnection(where.hostname or "", where.port)
    line.putrequest("POST", f"{where.path}/picture")
    line.putheader("content-length", str(13 * 1024 * 1024))
    line.endheaders()
    assert line.getresponse().status == 413
    line.close()


def test_the_accounts_that_were_printed_sign_in(demo: Demo) -> None:
    accounts = re.findall(r"sign in as (\S+)\s+password (\S+)", demo.said)
    assert [name for name, _ in accounts] == ["zhangli", "liqiang", "wangfang", "zhaolei", "officer", "approver", "operator", "auditor"]
    site = demo.address("residents' pages")
    words = {"zhangli": "Green code", "liqiang": "Yellow code", "wangfang": "Red code", "zhaolei": "Pending"}
    for name, password in accounts:
        context = demo.chromium.new_context(locale="en")
        page = context.new_page()
        page.goto(f"{site}/sign-in")
        page.fill("#name", name)
        page.fill("#password", password)
        page.click("button.button")
        page.wait_for_url(lambda address: "sign-in" not in address)
        if name in words:
            expect(page.locator("[data-is=word]")).to_contain_text(words[name])
        context.close()
