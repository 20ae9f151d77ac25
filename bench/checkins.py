"""Check-ins over HTTP in an open loop: the web's process as it is started for real, 200 people who are signed in, a real disk.

Requests are due at times drawn beforehand (Poisson), whatever the server does; what one takes counts from when it was due, so that a
server that falls behind is not spared. The portal's way is the form of the page, answered by the next page; the API's is JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlencode, urlsplit

from bench import registry_town as made
from bench.procfs import cpu_s, descendants
from server.accounts import Accounts
from server.apps import Credentials, Scope, Token
from server.config import load
from server.enrolment import Relation
from server.office import Office, open_office
from server.passwords import Cost, Passwords
from server.sessions import Sessions, SignedIn
from server.store import apps as app_rows
from server.store import households, to_ms

WAYS = ("bare", "portal", "api")
"""`bare` asks the same process for something that needs neither database nor session: what the machine and the loop itself take."""
START_S = 60.0
GIVE_UP_S = 10.0
"""An answer that takes longer is counted as this long, and as a failure."""
IDLE_S = 10.0
_WELL = {"symptoms": "none", "contact": "no", "isolation": "none"}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plan:
    """Residents in the registry, people who check in, requests a second and for how many seconds: at most 20 reports a person."""

    residents: int = 10_000
    people: int = 200
    per_s: float = 100.0
    seconds: float = 15.0
    seed: int = 1


@dataclass(frozen=True)
class Person:
    """What somebody's requests need: the session's cookie and its forms' token, or the app's bearer token and account."""

    resident: str
    cookie: str
    account: str
    bearer: str


class ServerFailed(Exception):
    """The web's process did not start; the text is its last line."""


def measure(folder: Path, plan: Plan, progress: Progress) -> dict[str, object]:
    """Both ways' figures, in a new folder."""
    config = _init(folder)
    office = open_office(load(config))
    try:
        town = made.Town(office.store, office.seal, office.registry)
        made.fill(town, plan.residents, time.time, lambda done: progress("residents", done, plan.residents))
        people = _sign_in(office, plan.people, progress)
    finally:
        office.store.close()
    found: dict[str, object] = {"residents": plan.residents, "people": plan.people, "per_s": plan.per_s}
    with _serving(config) as (url, pid):
        for way in WAYS:
            before, begun = _cpu(pid), time.monotonic()
            times, failed = asyncio.run(_load(url, way, people, plan, progress))
            busy = (_cpu(pid) - before) / (time.monotonic() - begun)
            found[way] = {
                "requests": len(times),
                "failed": failed,
                "p50_ms": _percentile(times, 50),
                "p90_ms": _percentile(times, 90),
                "p99_ms": _percentile(times, 99),
                "most_ms": _percentile(times, 100),
                "server_cores": round(busy, 2),
            }
    return found


def _init(folder: Path) -> Path:
    for words in (("server", "init", str(folder)), ("keys", "init", str(folder / "keys"), "--issuer", "CN-HB", "--list-uri", made.URI)):
        subprocess.run([sys.executable, "-m", "healthgate", *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    config = folder / "server.toml"
    before_web, _, _ = config.read_text(encoding="utf-8").partition("[web]")  # whose certificate is for a host of another name
    config.write_text(before_web + "[web]\nport = 0\n", encoding="utf-8")
    return config


def _sign_in(office: Office, count: int, progress: Progress) -> list[Person]:
    """Accounts and sessions for the first residents, and an app that acts for them; passwords cost nothing here, for none is checked."""
    accounts = Accounts(office.store, office.seal, time.time, Passwords(Cost(1, 64, 1)))
    sessions = Sessions(office.store, accounts, office.seal, time.time)
    app = office.apps.add("Benchmark", list(Scope))
    assert isinstance(app, Credentials)
    token = office.apps.token(app.app.app, app.secret)
    assert isinstance(token, Token)
    people = []
    for place in range(count):
        signed_in = sessions.register(f"person.{place}", secrets.token_urlsafe(12), f"10.0.{place // 250}.{place % 250}")
        assert isinstance(signed_in, SignedIn), signed_in
        resident, account, at = made.resident_of(place), f"app{place:05}", to_ms(time.time())
        identity = made.number_of(place)
        with office.store.write() as tx:
            households.insert_charge(tx, signed_in.session.actor.account, resident, Relation.SELF.value, at)
            app_rows.insert_person(tx, account, app.app.app, identity.encode(), account.encode(), b"", at)
            households.insert_charge(tx, account, resident, Relation.OTHER.value, at)
        people.append(Person(resident, f"hg-session={signed_in.token}", account, token.token))
        progress("people", place, count)
    return people


@contextmanager
def _serving(config: Path) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "healthgate", "server", "web", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                found = re.search(r"pages at (\S+)", line)
                if found:
                    break
            else:
                raise ServerFailed((lines or ["it said nothing"])[-1].strip())
            threading.Thread(target=_tell, args=(process.stderr,), daemon=True).start()
            yield found[1], process.pid
        finally:
            process.send_signal(signal.SIGTERM)


def _tell(log: IO[str]) -> None:
    """Shows what the server says; a pipe that nobody reads fills, and then the server waits for it."""
    for line in log:
        sys.stderr.write(line)


async def _load(url: str, way: str, people: list[Person], plan: Plan, progress: Progress) -> tuple[list[float], int]:
    """What each request took from when it was due, in milliseconds, and how many failed."""
    draw = random.Random(plan.seed)
    site = urlsplit(url)
    host, port = site.hostname or "", site.port or 80
    callers = [_Caller(host, port, person, way) for person in people]
    for caller in callers:  # sessions are written for the last time in a minute, templates are compiled
        await caller.prepare()
    due, order = 0.0, []
    turns: list[_Caller] = []
    while due < plan.seconds:
        if not turns:  # in turn, each time in another order: a report too many is refused
            turns = draw.sample(callers, len(callers))
        order.append((due, turns.pop()))
        due += draw.expovariate(plan.per_s)
    begun = time.perf_counter()
    tasks = []
    for place, (at, caller) in enumerate(order):
        wait = begun + at - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(caller.check_in(begun + at)))
        if place % 50 == 0:
            progress(way, place, len(order))
    done = await asyncio.gather(*tasks)
    for caller in callers:
        caller.close()
    return sorted(took for took, _ in done), sum(not good for _, good in done)


class _Caller:
    """One person's connection, which is kept; a second request of theirs waits for the first."""

    def __init__(self, host: str, port: int, person: Person, way: str) -> None:
        self._host, self._port, self._person, self._way = host, port, person, way
        self._turn = asyncio.Lock()
        self._form = ""
        self._ways = {"bare": self._bare, "portal": self._by_form, "api": self._by_api}
        self._used = 0.0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def prepare(self) -> None:
        """Opens the page whose form is sent."""
        if self._way == "portal":
            status, body = await self._ask("GET", f"/check-in?who={self._person.resident}", {"cookie": self._person.cookie}, b"")
            found = re.search(rb'name="form" value="([0-9a-f]{64})"', body)
            assert status == 200 and found, body[:500]
            self._form = found[1].decode()
        await self.check_in(time.perf_counter())

    async def check_in(self, due: float) -> tuple[float, bool]:
        """Checks in; milliseconds since it was due, and whether it was taken."""
        try:
            async with asyncio.timeout(GIVE_UP_S), self._turn:
                good = await self._ways[self._way]()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            self.close()
            return GIVE_UP_S * 1000, False
        return (time.perf_counter() - due) * 1000, good

    def close(self) -> None:
        """Closes the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _bare(self) -> bool:
        return (await self._ask("GET", "/api/v1/problems/pending", {}, b""))[0] == 200

    async def _by_form(self) -> bool:
        body = urlencode({"form": self._form, "submission": secrets.token_urlsafe(16), "temperature": "36.6"}).encode()
        headers = {"cookie": self._person.cookie, "content-type": "application/x-www-form-urlencoded"}
        status, page = await self._ask("POST", f"/check-in/well?who={self._person.resident}", headers, body)
        return status == 200 and b'name="submission"' not in page

    async def _by_api(self) -> bool:
        headers = {
            "authorization": f"Bearer {self._person.bearer}",
            "content-type": "application/json",
            "idempotency-key": secrets.token_urlsafe(16),
        }
        path = f"/api/v1/people/{self._person.account}/members/{self._person.resident}/check-ins"
        status, _ = await self._ask("POST", path, headers, json.dumps({**_WELL, "temperature": "36.6"}).encode())
        return status == 201

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if time.monotonic() - self._used > IDLE_S:  # the server closes connections that rest
            self.close()
        self._used = time.monotonic()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = {"host": f"{self._host}:{self._port}", "content-length": str(len(body)), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"\r\ncontent-length: (\d+)", answer, re.IGNORECASE)
        content = await reader.readexactly(int(length[1])) if length else b""
        if re.search(r"\r\nconnection: close", answer, re.IGNORECASE):
            self.close()
        return int(answer.split(" ", 2)[1]), content


def _cpu(pid: int) -> float:
    return sum(cpu_s(each) for each in (pid, *descendants(pid)))


def _percentile(times: list[float], part: float) -> float:
    """The smallest time that `part` percent of `times`, in order, do not go beyond."""
    return round(times[max(0, -int(-part * len(times) // 100) - 1)], 1)
