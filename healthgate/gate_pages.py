"""The pages of the demo's gates: a visitor holds up a code or a picture, sets how warm they are, and sees what the unit does.

The unit is the real process; what the pages set is the world around it (frames, registers, contacts), what they show comes from its pins
and from the server's database. Served on the loopback address alone, under the same guard and headers as the residents' pages.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from itertools import count
from typing import Annotated

import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from edge.drivers.camera import CameraFault
from edge.drivers.luma import ImageFault, load_luma
from edge.drivers.simulated_camera import draw
from edge.screening import estimate_body
from healthcode.terms import Form
from healthgate.gate_feed import GateFeed
from healthgate.made_up import Cast
from healthgate.stage import FEVER_SKIN_C, NORMAL_SKIN_C, OUT_OF_VIEW_S, Stage
from healthgate.town import GATES, Town
from server.issuer import Pack
from server.web.guard import HEADERS, Guard

HOST = "127.0.0.1"
COLDEST_C, WARMEST_C, STEP_C = 32.0, 39.0, 0.1
"""Skin temperatures that the slider reaches."""
VIEW = (480, 360)
"""What the camera sees, as the page shows it, in pixels."""
PICTURE_SIDE, KEPT = 1280, 8
"""Pictures are made at most so wide and high; the unit may still open those that came shortly before the newest."""
LARGEST_PICTURE = 12 * 1024 * 1024
START_LIMIT_S = 20.0
ALIVE_S = 10.0
TURN_LIMIT_S = 20.0
"""How long somebody who stands at the gate may take to leave, so that the page's visitor can come."""
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
CAMERA_POLICY = HEADERS["permissions-policy"].replace("camera=()", "camera=(self)")


class HeldUp(BaseModel):
    """Whose code is held up, and as what."""

    who: Annotated[str, Field(max_length=40)]
    form: Form


class Skin(BaseModel):
    """How warm the visitor's forehead is, degrees Celsius."""

    skin_c: Annotated[float, Field(ge=COLDEST_C, le=WARMEST_C)]


@dataclass
class _Visit:
    """The visitor at one gate. The lock keeps one request after another."""

    skin_c: float = NORMAL_SKIN_C
    is_there: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class GatePages:
    """Serves the gates' pages from a thread until `close`."""

    def __init__(self, town: Town, cast: Cast) -> None:
        self.feeds = {unit: GateFeed(town, unit) for unit in GATES}
        self._town = town
        self._cast = cast
        self._stage = Stage(town)
        self._visits = {unit: _Visit() for unit in GATES}
        self._numbers = count(1)
        self._pictures = town.folder / "pictures"
        self._pictures.mkdir(exist_ok=True)
        self._files = {name: (resources.files("healthgate") / "gate_page" / name).read_bytes() for name in ("gate.css", "gate.js")}
        self._paths = {name: f"/static/{hashlib.sha256(content).hexdigest()[:12]}/{name}" for name, content in self._files.items()}
        self._templates = Environment(
            loader=PackageLoader("healthgate", "gate_page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._listener = socket.create_server((HOST, 0))
        self.address = f"http://{HOST}:{self._listener.getsockname()[1]}"
        settings = uvicorn.Config(
            self._make_app(), log_level="error", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, name="gate pages", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the feeds and the server."""
        for feed in self.feeds.values():
            feed.close()
        self._server.should_exit = True
        self._thread.join(START_LIMIT_S)
        self._listener.close()

    def _make_app(self) -> FastAPI:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        router = APIRouter()
        for path, function, method in (
            ("/", self._index, "GET"),
            ("/static/{mark}/{name}", self._static, "GET"),
            ("/gates/{unit}", self._page, "GET"),
            ("/gates/{unit}/live", self._live, "GET"),
            ("/gates/{unit}/view", self._view, "GET"),
            ("/gates/{unit}/code", self._hold_up, "POST"),
            ("/gates/{unit}/picture", self._hold_up_picture, "POST"),
            ("/gates/{unit}/skin", self._warm, "POST"),
            ("/gates/{unit}/walk", self._walk, "POST"),
            ("/gates/{unit}/leave", self._leave, "POST"),
        ):
            router.add_api_route(path, function, methods=[method], response_model=None)
        app.include_router(router)
        app.add_middleware(Guard, origin=self.address, limits={"/gates/": LARGEST_PICTURE}, strangers=[], too_large=_tell_too_large)
        return app

    def _index(self) -> Response:
        return self._show("index.html", gates=GATES, pages=self._town.pages)

    def _static(self, mark: str, name: str, request: Request) -> Response:
        if self._paths.get(name) != f"/static/{mark}/{name}":
            raise HTTPException(404)
        headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
        kind, content = TYPES[name.rpartition(".")[2]], self._files[name]
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(gzip.compress(content, mtime=0), media_type=kind, headers={**headers, "content-encoding": "gzip"})
        return Response(content, media_type=kind, headers=headers)

    def _page(self, unit: str) -> Response:
        visit, ambient_c = self._visit(unit), self._town.world.scene(unit).ambient_c
        steps = round((WARMEST_C - COLDEST_C) / STEP_C)
        skins = [round(COLDEST_C + number * STEP_C, 1) for number in range(steps + 1)]
        return self._show(
            "gate.html",
            unit=unit,
            gates=GATES,
            people=self._cast.people,
            pages=self._town.pages,
            coldest=COLDEST_C,
            warmest=WARMEST_C,
            step=STEP_C,
            skin_c=visit.skin_c,
            normal=NORMAL_SKIN_C,
            fever=FEVER_SKIN_C,
            bodies=json.dumps({f"{skin:.1f}": round(estimate_body(skin, ambient_c), 1) for skin in skins}),
        )

    async def _live(self, unit: str) -> Response:
        self._visit(unit)
        return StreamingResponse(self._events(unit), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _events(self, unit: str) -> AsyncIterator[str]:
        """Server-sent events: one message each, and a line of comment now and then by which a page that has gone is noticed."""
        with self.feeds[unit].reading() as reader:
            try:
                while True:
                    try:
                        message = await asyncio.wait_for(reader.queue.get(), ALIVE_S)
                    except TimeoutError:
                        yield ": alive\n\n"
                        continue
                    if message is None:
                        return
                    yield f"data: {json.dumps(message, ensure_ascii=False)}\n\n"
            finally:
                asyncio.get_running_loop().run_in_executor(None, self._forsake, unit)

    def _view(self, unit: str) -> Response:
        """What the unit's camera has in front of it."""
        self._visit(unit)
        try:
            pixels = draw(self._town.world.scene(unit), *VIEW)
        except CameraFault:
            raise HTTPException(404) from None
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        return Response(out.getvalue(), media_type="image/png")

    def _hold_up(self, unit: str, held: HeldUp) -> Response:
        visit = self._visit(unit)
        if all(known.resident != held.who for known in self._cast.people):
            raise HTTPException(404)
        issuer = self._town.issuer
        pack = issuer.paper(held.who) if held.form is Form.PAPER else issuer.live_pack(held.who, lasting_s=1)
        if not isinstance(pack, Pack):
            return JSONResponse({"fault": "no code before the declaration was reviewed", "fault_zh": "申报审核之前没有健康码"}, 409)
        with visit.lock:
            self._come(unit, visit, is_new=True)
            self._town.world.set(unit, picture="", skin_c=visit.skin_c)
            self._town.world.show(unit, pack.codes[0].text)
        return JSONResponse({"colour": pack.colour.value})

    async def _hold_up_picture(self, unit: str, request: Request) -> Response:
        self._visit(unit)
        content = await request.body()
        return await asyncio.to_thread(self._take_picture, unit, content)

    def _take_picture(self, unit: str, content: bytes) -> Response:
        visit = self._visit(unit)
        number = next(self._numbers)
        given, path = (self._pictures / f"{unit}-{number}{ending}" for ending in (".given", ".png"))
        given.write_bytes(content)
        found = load_luma(given)
        given.unlink()
        if isinstance(found, ImageFault):
            return JSONResponse({"fault": found.detail, "fault_zh": "无法识别的图片"}, 400)
        picture = Image.fromarray(found)
        picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
        picture.save(path, compress_level=1)
        with visit.lock:
            self._come(unit, visit, is_new=False)
            self._town.world.set(unit, shown=(), picture=str(path), skin_c=visit.skin_c)
            for old in self._pictures.glob(f"{unit}-*.png"):
                if int(old.stem.rpartition("-")[2]) < number - KEPT:
                    old.unlink()
        return JSONResponse({})

    def _warm(self, unit: str, skin: Skin) -> Response:
        visit = self._visit(unit)
        with visit.lock:
            visit.skin_c = skin.skin_c
            if visit.is_there:
                self._town.world.set(unit, skin_c=skin.skin_c)
        return JSONResponse({})

    def _walk(self, unit: str) -> Response:
        visit = self._visit(unit)
        with visit.lock:
            if visit.is_there:
                self._stage.walk_through(unit)
                self._go(unit, visit)
        return JSONResponse({})

    def _leave(self, unit: str) -> Response:
        visit = self._visit(unit)
        with visit.lock:
            self._go(unit, visit)
        return JSONResponse({})

    def _come(self, unit: str, visit: _Visit, *, is_new: bool) -> None:
        """The visitor steps up; one who shows something new takes away first what they showed, for as long as that counts as one look."""
        if not visit.is_there:
            if not self.feeds[unit].turn.acquire(timeout=TURN_LIMIT_S):
                raise HTTPException(503)
            visit.is_there = True
        elif is_new:
            self._town.world.set(unit, shown=(), picture="")
            threading.Event().wait(OUT_OF_VIEW_S)

    def _go(self, unit: str, visit: _Visit) -> None:
        if visit.is_there:
            self._town.world.set(unit, shown=(), picture="", skin_c=None, beam=False)
            visit.is_there = False
            self.feeds[unit].turn.release()

    def _forsake(self, unit: str) -> None:
        """Nobody stays at a gate whose page nobody has open."""
        if not self.feeds[unit].is_watched:
            self._leave(unit)

    def _visit(self, unit: str) -> _Visit:
        found = self._visits.get(unit)
        if found is None:
            raise HTTPException(404)
        return found

    def _show(self, template: str, **context: object) -> Response:
        static: Mapping[str, str] = self._paths
        text = self._templates.get_template(template).render(static=static, **context)
        return HTMLResponse(text, headers={"permissions-policy": CAMERA_POLICY})


async def _tell_too_large(_: Request) -> Response:
    most = LARGEST_PICTURE // 1024 // 1024
    told = {"fault": f"the picture is too large: at most {most} MB", "fault_zh": f"图片太大，最多 {most} MB"}
    return JSONResponse(told, 413, {"connection": "close"})
