"""A server's folder as `server init` makes it, its broker with TLS, its pages, and units that were enrolled by the commands themselves."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from cryptography import x509
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from typer.testing import CliRunner, Result

from edge import config as edge_config
from healthgate import edge, fleet, keyring_files, server
from healthgate.broker import find_program, free_port
from server.authority import Authority, key_pem, make_key, pem
from server.config import Config, load
from server.office import open_office
from server.web.app import create_app
from server.web.process import load_keys

LIMIT_S = 60.0
"""How long anything is waited for: other things run on the machine."""
URI = "https://hb.example/s/1"
ACCOUNT = os.environ.get("USER", "root") if os.geteuid() else "root"


class FleetHouse:
    """The server's side in `folder`; `open` starts its broker and its pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.web_port = free_port(), free_port()
        names = ("--name", "localhost", "--name", "127.0.0.1")
        done = CliRunner().invoke(server.app, ["init", str(folder), *names, "--port", str(self.port), "--web-port", str(self.web_port)])
        assert done.exit_code == 0, done.output
        keyring_files.init(folder / "keys", "CN-HB", URI, time.time())
        self.authority = Authority.load(folder / "keys")
        self._broker: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Config:
        return load(self.folder / "server.toml")

    @property
    def server(self) -> str:
        """Where units are enrolled."""
        return f"127.0.0.1:{self.web_port}"

    @contextmanager
    def open(self) -> Iterator[None]:
        self.start_broker()
        try:
            with self.pages():
                yield
        finally:
            self.stop_broker()

    def start_broker(self) -> None:
        command = [find_program("mosquitto"), "-c", str(self.folder / "broker" / "mosquitto.conf")]
        with (self.folder / "broker.log").open("ab") as log:
            self._broker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + LIMIT_S
        while time.monotonic() < until and self._broker.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError(f"the broker does not listen: {(self.folder / 'broker.log').read_text()}")

    def stop_broker(self) -> None:
        if self._broker is not None:
            self._broker.terminate()
            self._broker.wait(LIMIT_S)
            self._broker = None

    @contextmanager
    def pages(self) -> Iterator[None]:
        """The pages over TLS, in a thread, as the process sets them up."""
        office, web = open_office(self.config), self.config.web
        app = create_app(office, *load_keys(office))
        settings = uvicorn.Config(
            app, ssl_certfile=web.certificate, ssl_keyfile=web.key, log_config=None, lifespan="off", timeout_graceful_shutdown=5
        )
        listener = socket.create_server(("127.0.0.1", self.web_port))
        running = uvicorn.Server(settings)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, name="pages")
        thread.start()
        try:
            yield
        finally:
            running.should_exit = True
            thread.join(LIMIT_S)
            listener.close()
            app.state.services.jobs.close()
            office.store.close()

    def fleet(self, *args: str) -> Result:
        """A command of the fleet's."""
        return CliRunner().invoke(fleet.app, [*args, "--config", str(self.folder / "server.toml")])

    def secret(self, unit: str, *args: str) -> str:
        """A one-time secret."""
        done = self.fleet("enrol", unit, *args)
        assert done.exit_code == 0, done.output
        return next(word for word in done.stdout.split() if word.startswith("hg1-"))

    def enrol(self, unit: str, *args: str) -> Path:
        """Enrols a unit into a folder of its own, which is returned."""
        folder = self.folder.parent / f"unit-{unit}-{len(list(self.folder.parent.glob('unit-*')))}"
        done = come(folder, self.server, self.secret(unit, *args))
        assert done.exit_code == 0, done.output
        return folder

    def context(self, account: str, at: float | None = None, days: float = 30, by: Authority | None = None) -> ssl.SSLContext:
        """What somebody shows who has a certificate for `account`, by default one of the fleet's of today."""
        key = make_key()
        made = (by or self.authority).client(key.public_key(), account, time.time() if at is None else at, days)
        return self.context_of(key_pem(key).decode() + pem(made))

    def context_of(self, chain: str) -> ssl.SSLContext:
        """What somebody shows who has this key and certificate, PEM; nothing for an empty text."""
        context = ssl.create_default_context(cafile=str(self.folder / "broker" / "ca.crt"))
        if chain:
            file = self.folder / f"{time.monotonic_ns()}.pem"
            file.write_text(chain)
            context.load_cert_chain(file)
        return context


def come(folder: Path, server: str, secret: str, *args: str) -> Result:
    """The unit's side of enrolment, as the command does it."""
    places = ("--folder", str(folder / "etc"), "--data", str(folder / "data"), "--account", ACCOUNT)
    return CliRunner().invoke(edge.app, ["enrol", server, secret, *places, *args])


def unit_context(house: FleetHouse, folder: Path) -> ssl.SSLContext:
    """What an enrolled unit shows."""
    link = edge_config.load(folder / "etc" / "gate.toml").link
    return house.context_of(Path(link.key).read_text() + Path(link.certificate).read_text())


def certificate_of(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "data" / "identity" / "unit.crt").read_bytes())


class Peer:
    """Somebody at the broker: `refused` says why they were not let in, empty where they were."""

    def __init__(self, house: FleetHouse, context: ssl.SSLContext | None, *, client_id: str = "", will: str = "") -> None:
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.codes: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self.lost: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._answer: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
        if context is not None:
            self.client.tls_set_context(context)
        if will:
            self.client.will_set(will, b"offline", qos=1, retain=True)
        self.client.on_connect = lambda _c, _d, _f, code, _p: self._answer.put(str(code) if code.is_failure else "")
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = lambda _c, _d, _mid, codes, _p: self.codes.put([code.value for code in codes])
        self.client.on_publish = lambda _c, _d, _mid, code, _p: self.codes.put([code.value])
        self.client.on_message = lambda _c, _d, message: self.heard.put((message.topic, bytes(message.payload)))
        try:
            self.client.connect("127.0.0.1", house.port, clean_start=True)
        except OSError as wrong:
            self.refused = str(wrong) or type(wrong).__name__
            return
        self.client.loop_start()
        self.refused = self._answer.get(timeout=LIMIT_S)

    def _on_disconnect(self, _client: mqtt.Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        self._answer.put(f"closed without a CONNACK: {code}")
        self.lost.put(str(code))

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> bool:
        """Whether the broker took it."""
        self.client.publish(topic, payload, qos=1, retain=retain)
        return max(self.codes.get(timeout=LIMIT_S)) < 128

    def subscribe(self, *filters: str) -> None:
        self.client.subscribe([(each, 1) for each in filters])
        self.codes.get(timeout=LIMIT_S)

    def until(self, topic: str, payload: bytes) -> set[str]:
        """The topics of what was heard until this message came."""
        found: set[str] = set()
        while True:
            heard = self.heard.get(timeout=LIMIT_S)
            if heard == (topic, payload):
                return found
            found.add(heard[0])

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.client.on_connect = self.client.on_disconnect = self.client.on_message = None
        self.client.on_subscribe = self.client.on_publish = None

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
