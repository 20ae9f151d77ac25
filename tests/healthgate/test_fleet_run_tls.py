"""An operator with an account and a key of her own, enrolled units, a broker with TLS and access rules: the whole way of a command."""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from edge import config as edge_config
from edge.cache import Cache, TrustTaken
from edge.clock import Clock, FloorFile
from edge.dialogue import Dialogue
from edge.identity import open_identity
from edge.link import Link, LinkNews
from edge.linkwords import Ordered
from edge.oncefile import OnceFile
from edge.outbox import Outbox
from healthcode.messages import Info, Response, TimeAnswer, stamp
from healthgate import fleet, keys
from server.authority import Authority, key_pem, make_key, pem
from server.keys import TRUST_FILE, load_roots
from tests.fleet_house import LIMIT_S, FleetHouse, Peer

pytestmark = pytest.mark.slow


class Gate:
    """An enrolled unit without devices, which does what counts and notes it in `done`."""

    def __init__(self, folder: Path, trust: bytes) -> None:
        config = edge_config.load(folder / "etc" / "gate.toml")
        boot_id, data = secrets.token_hex(16), Path(config.data)
        self.done: list[tuple[str, str, str]] = []
        self.cache, self.outbox = Cache(data / "cache", load_roots(config.roots)), Outbox(data / "outbox.sqlite", boot_id)
        assert isinstance(self.cache.accept_trust(trust, time.time()), TrustTaken)
        clock = Clock(
            FloorFile(data / "floor"),
            monotonic=time.monotonic,
            system=time.time,
            draw=lambda: secrets.token_hex(16),
            synchronised=lambda: True,
        )
        question = clock.question()
        assert question is not None
        clock.answer(TimeAnswer(unit=config.unit, nonce=question.nonce, at_ms=round(time.time() * 1000)))
        dialogue = Dialogue(
            Info(unit=config.unit, boot_id=boot_id, software="0", hardware="simulated", started_at=stamp(0)),
            cache=self.cache,
            outbox=self.outbox,
            clock=clock,
            random=Random(0),
            at=time.monotonic(),
            identity=open_identity(config),
            once=OnceFile(data / "commands"),
        )
        self._news: queue.SimpleQueue[LinkNews | None] = queue.SimpleQueue()
        self._link = Link(config.unit, config.link, dialogue, post=self._news.put, random=Random(0))
        self._thread = threading.Thread(target=self._obey)

    def __enter__(self) -> Gate:
        self._thread.start()
        self._link.start()
        until = time.monotonic() + LIMIT_S
        while not self._link.is_connected:
            assert time.monotonic() < until
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._news.put(None)
        self._thread.join(LIMIT_S)
        self._link.stop()
        self.outbox.close()
        self.cache.close()

    def _obey(self) -> None:
        while (news := self._news.get()) is not None:
            if isinstance(news, Ordered):
                name = news.command.name.value
                self.done.append((name, news.by, news.command.why))
                self._link.respond(name, Response(status="ok", transaction=news.command.transaction))


def test_an_operator_s_account_and_key_reach_the_units_that_she_means_and_do_what_her_role_may(tmp_path: Path) -> None:
    house = FleetHouse(tmp_path / "office")
    office = house.folder / "keys"
    with house.open():
        folders = {unit: house.enrol(unit) for unit in ("hall-1", "hall-2", "yard")}
        assert house.fleet("operator", "chen", "--folder", str(tmp_path)).exit_code == 0
        assert CliRunner().invoke(keys.app, ["operator", "make", str(tmp_path / "chen.pem")]).exit_code == 0
        added = ("operator", "add", str(office), "chen", str(tmp_path / "chen.pem.pub"), "--role", "attendant")
        assert CliRunner().invoke(keys.app, added).exit_code == 0
        trust = (office / TRUST_FILE).read_bytes()
        who = {
            "HEALTHGATE_BROKER": f"localhost:{house.port}",
            "HEALTHGATE_ACCOUNT": str(tmp_path / "op.chen.pem"),
            "HEALTHGATE_OPERATOR_KEY": str(tmp_path / "chen.pem"),
        }

        def run(*arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
            done = CliRunner().invoke(fleet.app, ["run", *arguments, "--yes", "--json"], env=who)
            found = [json.loads(line) for line in done.stdout.splitlines()]
            assert found, done.stderr
            return done.exit_code, {each["unit"]: (each["status"], each["error"]) for each in found}

        with Gate(folders["hall-1"], trust) as first, Gate(folders["hall-2"], trust) as second:
            assert run("hall-*", "open", "--reason", "a pram") == (0, {"hall-1": ("ok", ""), "hall-2": ("ok", "")})
            assert first.done == second.done == [("open", "chen", "a pram")]
            status, found = run("hall-*", "restart", "--reason", "x", "--canary", "1")
            assert status == 1
            assert found["hall-1"] == ("error", "ROLE: the role of chen is attendant, expected technician or manager")
            assert found["hall-2"] == ("silent", "not asked: the first did not do it")
            assert len(first.done) == len(second.done) == 1
            bridge = Peer(house, house.context("bridge"))
            config = ("--config", str(house.folder / "server.toml"))
            assert run("hall-2", "open", "--reason", "from the server", *config) == (0, {"hall-2": ("ok", "")})
            assert bridge.lost.empty(), "a command on the server's folder takes the bridge's session"
            bridge.close()
        ended = CliRunner().invoke(fleet.app, ["run", "hall-1", "open", "--reason", "x", "--yes", "--json"], env=who)
        assert json.loads(ended.stdout)["error"] == "it is off line, and was not asked"
        strangers, key = Authority.create(tmp_path / "strangers", time.time()), make_key()
        (tmp_path / "op.chen.pem").write_bytes(key_pem(key))
        (tmp_path / "op.chen.crt").write_text(pem(strangers.client(key.public_key(), "op.chen.1", time.time(), 30)))
        refused = CliRunner().invoke(fleet.app, ["run", "hall-1", "identify"], env=who)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
        assert "does not let this account in" in refused.stderr
