"""What units fetch from the pages: a release's signed message, and its bundle from any byte on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from server.office import Office
from server.web.releases import Download
from tests.server.office import Town
from tests.server.web import SITE, make_app

BUNDLE = bytes(range(256)) * 400
PATH = "/fleet/releases/0.2.0"


@pytest.fixture
def http(town: Town, office: Office) -> TestClient:
    folder = Path(office.config.releases) / "0.2.0"
    folder.mkdir(parents=True)
    (folder / "bundle.zip").write_bytes(BUNDLE)
    (folder / "release.cbor").write_bytes(b"\xd2\x84")
    (folder / "notes.txt").write_text("not for units")
    return TestClient(make_app(town, office), base_url=SITE)


def test_a_bundle_comes_whole_or_from_a_byte_on(http: TestClient) -> None:
    whole = http.get(f"{PATH}/bundle.zip")
    assert (whole.status_code, whole.content) == (200, BUNDLE)
    part = http.get(f"{PATH}/bundle.zip", headers={"range": "bytes=1000-"})
    assert (part.status_code, part.content) == (206, BUNDLE[1000:])
    assert part.headers["content-range"] == f"bytes 1000-{len(BUNDLE) - 1}/{len(BUNDLE)}"
    beyond = http.get(f"{PATH}/bundle.zip", headers={"range": f"bytes={len(BUNDLE)}-"})
    assert beyond.status_code == 416
    assert http.get(f"{PATH}/release.cbor").content == b"\xd2\x84"


NOT_THERE = ["0.2.0/notes.txt", "0.3.0/bundle.zip", "x/bundle.zip", "..%2f0.2.0/bundle.zip", "0.2.0/..%2f0.2.0", "0.2.0/"]


@pytest.mark.parametrize("path", NOT_THERE)
def test_nothing_else_is_there(http: TestClient, path: str) -> None:
    assert http.get(f"/fleet/releases/{path}", headers={"accept": "application/json"}).status_code == 404


def test_more_than_there_are_slots_come_again_and_nobody_holds_one_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(BUNDLE)
    scope = {"type": "http", "method": "GET", "headers": []}

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def story() -> tuple[list[int], list[int]]:
        slots, reads_on, begun = asyncio.Semaphore(1), asyncio.Event(), asyncio.Event()
        statuses: list[int] = []

        async def fetch(*, slowly: bool = False, most_s: float = 60.0) -> None:
            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])
                begun.set()
                if slowly:
                    await reads_on.wait()

            await Download(path, "bundle.zip", slots, most_s)(scope, receive, send)

        first = asyncio.create_task(fetch(slowly=True))
        await begun.wait()
        await fetch()
        reads_on.set()
        await first
        await fetch()
        held = list(statuses)
        reads_on.clear()
        await asyncio.wait_for(fetch(slowly=True, most_s=0.01), 30)
        await fetch()
        return held, statuses[len(held) :]

    assert asyncio.run(story()) == ([200, 503, 200], [200, 200])
