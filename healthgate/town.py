"""A small town on this machine: keys of two provinces, a broker, the server, two simulated gates and the world around them.

Every process is the real one, started as an operator would; only the gates' pins, registers and frames are simulated.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text

from healthcode.cose import SoftwareKey
from healthcode.status import StatusList
from healthcode.terms import OperatorRole, Use
from healthcode.trust import KeyRing
from healthgate import keyring_files
from healthgate.broker import Broker, free_port
from healthgate.gate_files import GateFiles
from healthgate.keys_operators import add_operator
from healthgate.world import World, default_socket
from server import config as server_config
from server.fleet import Fleet
from server.issuer import Issuer
from server.keys import TRUST_FILE, load_roots, load_signer
from server.lists import import_foreign, make_pair
from server.office import open_office
from server.sealing import write_private

T = TypeVar("T")

ISSUER, URI = "CN-HB", "https://hb.example/s/1"
OTHER_ISSUER, OTHER_URI = "CN-HN", "https://hn.example/s/1"
OTHER_CAPACITY = 2**20
GATES = ("north", "south")
READY_LIMIT_S = 60.0
STOP_LIMIT_S = 8.0

GATE_CONFIG = """\
unit = "{unit}"
hardware = "simulated"
data = "{data}"
roots = ["{roots}"]
world = "{world}"

[camera]
source = "simulated"

[screening]
retest_after_s = {retest_after_s}
retest_within_s = 15.0

[lane]
window_s = 3.0

[link]
host = "127.0.0.1"
port = {port}
username = "{unit}"
password_file = "{password_file}"
backoff_max_s = 2.0
resend_s = 5.0
status_period_s = 5.0
"""

SERVER_CONFIG = """\
issuer = "{issuer}"
uri = "{uri}"
data = "data"
keys = "keys"
roots = ["keys/root.pub.pem"]

[broker]
port = {port}
username = "{account}"
password_file = "{password_file}"
client_id = "{account}"
backoff_max_s = 1

[web]
port = {web_port}
"""


class TownError(Exception):
    """Something of the town did not start; the text is one line that says where to look."""


@dataclass
class Process:
    """One of the town's processes: `command` is started in `folder`, what it says goes to a log there."""

    name: str
    command: list[str]
    folder: Path
    running: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def log(self) -> Path:
        """Where it writes what it has to say."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """Starts it, in a session of its own, so that Ctrl-C reaches the demo alone."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(  # noqa: S603
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )

    def alive(self) -> bool:
        """Whether it runs."""
        return self.running is not None and self.running.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Asks it to end, and makes sure that it does."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.running is None:
            return
        self.running.send_signal(how)
        try:
            self.running.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait(STOP_LIMIT_S)
        self.running = None


class Town:
    """The town in `folder`, with a gate for each name in `gates`.

    `sabotage` names a part that is broken on purpose (`healthgate.sabotage`), to show that the story notices.
    """

    def __init__(self, folder: Path, *, gates: Sequence[str] = GATES, sabotage: str = "", retest_after_s: float = 5.0) -> None:
        """Makes keys, configurations and the empty registry; starts nothing yet. Raises BrokerMissing or ValueError.

        Until `close`, what this process and those that it starts write is for this account alone.
        """
        self._mask = os.umask(0o077)
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        socket_path = default_socket(self.folder)
        self._sabotage = sabotage
        now = int(time.time())
        self.keys = self.folder / "keys"
        self.other_keys = self.folder / "other-keys"
        keyring_files.init(self.keys, ISSUER, URI, now)
        keyring_files.init(self.other_keys, OTHER_ISSUER, OTHER_URI, now)
        keyring_files.recognise(self.keys, keyring_files.export(self.other_keys, now).entries, now)
        self.operator_key = self.folder / "operator.pem"
        operator = SoftwareKey.generate("Ed25519")
        keyring_files.write_key(self.operator_key, operator)
        made = add_operator(self.keys, "operator", operator.public_key, OperatorRole.MANAGER, now)
        self.enrolled = self.folder / "root.pub.pem"
        self.enrolled.write_bytes((self.keys / "root.pub.pem").read_bytes())  # what a gate is given stays, whatever root follows
        self.broker = self._make_broker(gates)
        web_port = free_port()
        for name, account in (("server", "bridge"), ("operator", "operator")):
            settings = SERVER_CONFIG.format(
                issuer=ISSUER, uri=URI, port=self.broker.port, account=account, password_file=f"{account}.password", web_port=web_port
            )
            (self.folder / f"{name}.toml").write_text(settings)
        self.config = server_config.load(self.folder / "server.toml")
        write_private(self.config.seal_file, secrets.token_hex(32).encode())
        self.office = open_office(self.config)
        self.store, self.registry, self.proposals = self.office.store, self.office.registry, self.office.proposals
        self.issuer = Issuer(self.store, load_signer(self.keys, Use.TOKEN, KeyRing.of(made), now), ISSUER, self.config.codes, time.time)
        fleet = Fleet(self.store, time.time)
        for unit in gates:
            fleet.add(unit, "demo")
        self._import_other_list(now)
        self.world = World(socket_path, self.folder / "journals")
        roots = load_roots(self.config.roots)
        self.files = {unit: GateFiles(self.folder / unit, roots) for unit in gates}
        self.server = Process("server", self._python("server", "run", "--config", str(self.folder / "server.toml")), self.folder)
        self.web = Process("web", self._python("server", "web", "--config", str(self.folder / "server.toml")), self.folder)
        self.gates = {unit: self._make_gate(unit, socket_path, retest_after_s) for unit in gates}

    def __enter__(self) -> Town:
        with ExitStack() as undo:
            undo.callback(self.close)
            self.start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts broker, server and gates and waits until each gate holds our list and the other province's, and knows the time."""
        self.broker.start()
        self.server.start()
        for gate in self.gates.values():
            gate.start()
        for unit, gate in self.gates.items():
            self.wait_until(partial(self.is_ready, unit), READY_LIMIT_S, f"gate {unit} to be ready, see {gate.log}")

    @property
    def pages(self) -> str:
        """Where the residents' and officers' pages are, once `serve_pages` was called."""
        return f"http://{self.config.web.host}:{self.config.web.port}"

    def serve_pages(self) -> None:
        """Starts the pages' process and waits until it answers."""
        self.web.start()

        def answers() -> bool:
            if not self.web.alive():
                raise TownError(f"the pages' process has ended: see {self.web.log}")
            with socket.socket() as probe:
                probe.settimeout(0.2)
                return probe.connect_ex((self.config.web.host, self.config.web.port)) == 0

        self.wait_until(answers, READY_LIMIT_S, f"the pages at {self.pages}, see {self.web.log}")

    def is_ready(self, unit: str) -> bool:
        """Whether gate `unit` runs, holds both lists, and has been told the time; TownError where its process has ended."""
        if not self.gates[unit].alive() or not self.server.alive():
            raise TownError(f"a process has ended: see {self.gates[unit].log} and {self.server.log}")
        held = self.files[unit]
        return self.world.connected(unit) and held.knows_the_time() and all(held.held_list(uri) is not None for uri in (URI, OTHER_URI))

    def tend(self) -> None:
        """Starts each gate that has ended by itself again, as its service does: upon a command, or for another configuration."""
        for gate in self.gates.values():
            if gate.running is not None and not gate.alive():
                gate.start()

    def published_version(self) -> int | None:
        """The version of our list that every ruling so far has led to; None while changes wait to be published.

        The newest delta counts: the head that states it is stored a moment later.
        """
        with self.store.read() as tx:
            waiting = tx.execute(text("SELECT count(*) FROM list_changes WHERE uri = :uri"), {"uri": URI}).scalar_one()
            head = tx.execute(text("SELECT epoch, version FROM heads WHERE uri = :uri"), {"uri": URI}).one_or_none()
            if waiting or head is None:
                return None
            of_deltas = text("SELECT max(to_version) FROM deltas WHERE uri = :uri AND epoch = :epoch")
            newest = tx.execute(of_deltas, {"uri": URI, "epoch": head.epoch}).scalar_one_or_none()
        return max(int(head.version), int(newest or 0))

    def close(self) -> None:
        """Ends every process and the world."""
        for process in (*self.gates.values(), self.web, self.server):
            process.stop()
        self.broker.stop()
        self.world.close()
        self.store.close()
        os.umask(self._mask)

    def wait_until(self, probe: Callable[[], T], limit_s: float, what: str) -> T:
        """The first true answer of `probe`; TownError where there is none within `limit_s` or a process has died."""
        found = self.poll(probe, limit_s)
        if not found:
            raise TownError(f"waited {limit_s:.0f} s for {what}")
        return found

    def poll(self, probe: Callable[[], T], limit_s: float) -> T:
        """The first true answer of `probe` within `limit_s`, or its last answer."""
        until = time.monotonic() + limit_s
        while True:
            found = probe()
            if found or time.monotonic() > until:
                return found
            time.sleep(0.01)

    def key(self, use: Use, *, other: bool = False) -> SoftwareKey:
        """A private key of our issuer, or of the other province's."""
        return SoftwareKey.from_pem(((self.other_keys if other else self.keys) / f"{use.value}.pem").read_bytes())

    def withdraw(self, signer: SoftwareKey) -> int:
        """Takes a key out of the trust list, for all gates; the new version."""
        return keyring_files.withdraw(self.keys, signer.kid, int(time.time())).version

    def _python(self, room: str, *args: str) -> list[str]:
        runner = ["healthgate.sabotage", self._sabotage, room] if self._sabotage else ["healthgate", room]
        return [sys.executable, "-P", "-m", *runner, *args]

    def _make_broker(self, gates: Sequence[str]) -> Broker:
        passwords = {user: secrets.token_urlsafe(18) for user in ("bridge", "operator", *gates)}
        for user, password in passwords.items():
            write_private(self.folder / f"{user}.password", password.encode())
        return Broker(self.folder / "broker", passwords)

    def _import_other_list(self, now: int) -> None:
        """The other province's list, all green, signed by it and handed to our server to pass on."""
        ring = KeyRing.of(keyring_files.read_trust(self.keys / TRUST_FILE, None))
        head, snapshot = make_pair(StatusList.empty(OTHER_URI, 1, OTHER_CAPACITY), self.key(Use.LIST, other=True), now)
        import_foreign(self.store, OTHER_URI, head, snapshot, (), ring, now)

    def _make_gate(self, unit: str, socket_path: Path, retest_after_s: float) -> Process:
        path = self.folder / f"{unit}.toml"
        path.write_text(
            GATE_CONFIG.format(
                unit=unit,
                data=self.folder / unit,
                roots=self.enrolled,
                world=socket_path,
                port=self.broker.port,
                password_file=self.folder / f"{unit}.password",
                retest_after_s=retest_after_s,
            )
        )
        return Process(unit, self._python("edge", "run", "--config", str(path)), self.folder)
