"""A fleet on one broker: how soon all are back after it was started anew, what the server takes of them, and a configuration to all.

The server's process, mosquitto with TLS and the access rules of all units are real; the units are links (`bench.fleet_links`) in this
process. So broker, server and all units share this machine's processors, which they do nowhere else.
"""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.fleet_links import Links
from bench.procfs import cpu_s, memory_mb
from healthcode import topics
from healthcode.messages import Desired, UnitStatus, encode
from healthcode.signed import Signed, read
from healthgate.broker import find_program, free_port
from server import mosquitto
from server.admissions import Admissions
from server.authority import UNIT_DAYS, Authority, der, ends, key_pem, make_key, pem, spki, unit_account
from server.config import Config, load
from server.desired import Desires, Wish
from server.keys import load_roots, read_trust
from server.office import Office, open_office
from server.store import admissions, events, fleet, to_ms
from server.store.admissions import CertificateRow

LIMIT_S = 60.0
"""How long any step may take."""
URI = "https://hb.example/s/1"
NUMBERS = 5
"""How often each unit says its numbers when it is measured how fast the server takes them."""

Tell = Callable[[str, int, int], None]


class NotMeasured(Exception):
    """Something did not start or did not end in time; the text is one line."""


@dataclass
class House:
    """The server's folder, what units show, and the two processes."""

    folder: Path
    config: Config
    members: Sequence[tuple[str, ssl.SSLContext]]
    broker: subprocess.Popen[bytes] | None = None
    server: subprocess.Popen[bytes] | None = None

    def start_broker(self) -> float:
        """Starts it; when it listened, monotonic seconds."""
        command = [find_program("mosquitto"), "-c", str(Path(self.config.broker.files) / mosquitto.CONF_FILE)]
        with (self.folder / "broker.log").open("ab") as log:
            self.broker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        return time.monotonic()

    def start_server(self) -> None:
        """Starts the bridge's process."""
        command = [sys.executable, "-m", "healthgate", "server", "run", "--config", str(self.folder / "server.toml")]
        with (self.folder / "server.log").open("ab") as log:
            self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603


def measure(units: int, seed: int, tell: Tell) -> dict[str, object]:
    """The figures: seconds, messages a second, milliseconds, MB of 2^20 bytes."""
    with tempfile.TemporaryDirectory(prefix="healthgate-") as made, _house(Path(made), units, tell) as house:
        heard: dict[str, tuple[float, bytes]] = {}

        def note(unit: str, topic: str, payload: bytes, at: float) -> None:
            if topic == topics.down(unit, "desired"):
                heard[unit] = (at, payload)

        links = Links("127.0.0.1", house.config.broker.port, Random(seed), note)
        try:
            return _measure(house, links, units, heard, tell)
        finally:
            links.close()


def _measure(house: House, links: Links, units: int, heard: dict[str, tuple[float, bytes]], tell: Tell) -> dict[str, object]:
    house.start_broker()
    house.start_server()
    links.start(house.members)
    _wait(links, lambda: links.up == units, "connecting", lambda: links.up, units, tell)
    office = open_office(house.config)
    try:
        _wait(links, lambda: _online(office) == units, "known to the server", lambda: _online(office), units, tell)
        back = _reconnect(house, links, units, tell)
        _wait(links, lambda: _online(office) == units, "known again", lambda: _online(office), units, tell)
        taken = _take_numbers(house, office, links, units, tell)
        configured = _configure(house, office, links, units, heard, tell)
        assert house.server is not None
        memory = memory_mb(house.server.pid)
    finally:
        office.store.close()
    return {"units": units, **back, **taken, **configured, "server_rss_mb": round(memory.resident, 1)}


def _reconnect(house: House, links: Links, units: int, tell: Tell) -> dict[str, object]:
    """The broker ends in order and starts again two seconds later; from when it listens until all are subscribed."""
    assert house.broker is not None
    begun = time.monotonic()
    links.attempts.clear()
    house.broker.send_signal(signal.SIGTERM)
    if not links.run(lambda: house.broker is not None and house.broker.poll() is not None and links.up == 0, LIMIT_S):
        raise NotMeasured("the broker did not end")
    pause = time.monotonic() + 2.0
    links.run(lambda: time.monotonic() >= pause, LIMIT_S)
    up_at = house.start_broker()
    _wait(links, lambda: links.up == units, "coming back", lambda: links.up, units, tell)
    times = sorted(link.up_at - up_at for link in links.links if link.up_at is not None)
    seconds = Counter(int(at - begun) for at in links.attempts)
    return {
        "reconnect_all_s": round(times[-1], 2),
        "reconnect_half_s": round(times[len(times) // 2], 2),
        "attempts": len(links.attempts),
        "attempts_most_in_a_second": max(seconds.values()),
    }


def _take_numbers(house: House, office: Office, links: Links, units: int, tell: Tell) -> dict[str, object]:
    """Each unit says its numbers a few times at once; until the database has the last of every unit."""
    assert house.server is not None
    cpu, begun = cpu_s(house.server.pid), time.monotonic()
    for turn in range(1, NUMBERS + 1):
        status = encode(UnitStatus(uptime_s=1e6 + turn, outbox_pending=0, lists_held=1, list_age_s=1.0))
        for place in range(units):
            links.publish(place, "status", status)
    looked = [0.0, 0]

    def known() -> int:
        at = time.monotonic()
        if at - looked[0] > 0.05:
            with office.store.read() as tx:
                states = fleet.list_states(tx)
            looked[:] = [at, sum(state.status is not None and state.status.uptime_s == 1e6 + NUMBERS for state in states)]
        return int(looked[1])

    _wait(links, lambda: known() == units, "numbers", known, units, tell)
    took = time.monotonic() - begun
    return {
        "status_messages_per_s": round(NUMBERS * units / took),
        "server_cpu_ms_per_message": round(1000 * (cpu_s(house.server.pid) - cpu) / (NUMBERS * units), 3),
    }


def _configure(
    house: House, office: Office, links: Links, units: int, heard: dict[str, tuple[float, bytes]], tell: Tell
) -> dict[str, object]:
    """A setting for all, from before it is written down until each has it, signed; every signature is checked afterwards."""
    desires = Desires(office.store, time.time)
    wishes = [Wish(unit, "[sound]\nvolume = 0.5\n", 0) for unit, _ in house.members]
    heard.clear()
    begun = time.monotonic()
    desires.set(wishes, "bench", "measured")
    _wait(links, lambda: len(heard) == units, "configured", lambda: len(heard), units, tell)
    ring = read_trust(Path(house.config.keys), load_roots(house.config.roots)).ring
    for unit, (_, payload) in heard.items():
        found = read(payload, Desired, ring, time.time())
        if not isinstance(found, Signed) or found.message.unit != unit:
            raise NotMeasured(f"{unit} was sent something else: {found}")
    times = sorted(1000 * (at - begun) for at, _ in heard.values())
    return {"config_to_all_p50_ms": round(times[len(times) // 2]), "config_to_all_p99_ms": round(times[len(times) * 99 // 100])}


def _online(office: Office) -> int:
    with office.store.read() as tx:
        return sum(state.word == "online" for state in fleet.list_states(tx))


def _wait(links: Links, is_done: Callable[[], bool], what: str, done: Callable[[], int], total: int, tell: Tell) -> None:
    told = [0.0]

    def look() -> bool:
        at = time.monotonic()
        if at - told[0] > 0.2:
            told[0] = at
            tell(what, done(), total)
        return is_done()

    if not links.run(look, LIMIT_S):
        raise NotMeasured(f"{what}: {done()} of {total} after {LIMIT_S:.0f} s")


@contextmanager
def _house(folder: Path, units: int, tell: Tell) -> Iterator[House]:
    port, web_port = free_port(), free_port()
    names = ("--name", "127.0.0.1", "--port", str(port), "--web-port", str(web_port))
    for words in (("server", "init", str(folder), *names), ("keys", "init", str(folder / "keys"), "--issuer", "CN-HB", "--list-uri", URI)):
        subprocess.run([sys.executable, "-m", "healthgate", *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    config = load(folder / "server.toml")
    house = House(folder, config, _enrol(config, folder, units, tell))
    try:
        yield house
    finally:
        for process in (house.server, house.broker):
            if process is not None:
                process.terminate()
                process.wait(60)


def _enrol(config: Config, folder: Path, units: int, tell: Tell) -> list[tuple[str, ssl.SSLContext]]:
    """A certificate for each unit, in the database as enrolment leaves it, and the access rules."""
    authority, at = Authority.load(Path(config.keys)), time.time()
    office = open_office(config)
    members = []
    try:
        with office.store.write() as tx:
            for number in range(units):
                unit, key = f"gate{number:04}", make_key()
                certificate = authority.client(key.public_key(), unit_account(unit, 1), at, UNIT_DAYS)
                events.add_unit(tx, unit, "", to_ms(at), "bench")
                row = CertificateRow(unit, 1, spki(key.public_key()), der(certificate), to_ms(ends(certificate)))
                admissions.put_certificate(tx, row, to_ms(at))
                admissions.set_in_service(tx, unit, to_ms(at))
                chain = folder / f"{unit}.pem"
                chain.write_text(key_pem(key).decode() + pem(certificate))
                context = ssl.create_default_context(cafile=config.broker.ca)
                context.load_cert_chain(chain)
                chain.unlink()
                members.append((unit, context))
                tell("enrolling", number + 1, units)
        book = Admissions(office.store, time.time)
        mosquitto.write_rules(Path(config.broker.files), mosquitto.rules(*book.members()))
    finally:
        office.store.close()
    return members
