"""What a command does at the broker with accounts of the moment: the fleet's authority makes a certificate for a day, in memory's folder.

`prove_shut_out` comes under the name of the unit that was retired. The broker ends that name's session when it comes again, and refuses
what it says: so nobody has to believe that the new rules are in force.
"""

from __future__ import annotations

import queue
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from healthcode.topics import ROOT, up
from server.authority import CONSOLE, CONSOLE_DAYS, Authority, key_pem, make_key, pem
from server.config import Broker

LIMIT_S = 15.0
AGAIN_S = 0.2
"""Between two tries whether the broker has read its rules."""
_LOST = -1
"""In the place of the broker's answer."""


class NoBroker(Exception):
    """The broker cannot be reached, or does not do what it should; the text is one line."""


class ConnectionLost(NoBroker):
    """The broker ended the connection: somebody else may have come under its name."""


class Console:
    """A connection to the broker; NoBroker where there is none in time."""

    def __init__(self, broker: Broker, context: ssl.SSLContext) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        self._codes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._connected = threading.Event()
        self._refused = ""
        self.where = f"{broker.host}:{broker.port}"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
        self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = lambda _c, _d, _mid, codes, _p: self._codes.put(max(code.value for code in codes))
        self._client.on_publish = lambda _c, _d, _mid, code, _p: self._codes.put(code.value)
        self._client.on_message = lambda _c, _d, message: self.heard.put((message.topic, message.retain))
        try:
            self._client.connect(broker.host, broker.port, clean_start=True)
        except (OSError, ValueError) as wrong:
            raise NoBroker(f"the broker at {self.where} cannot be reached: {wrong}") from None
        self._client.loop_start()
        if not self._connected.wait(LIMIT_S) or self._refused:
            self.close()
            raise NoBroker(f"the broker at {self.where} does not let this command in: {self._refused or 'no answer'}")

    def _on_connect(self, _client: mqtt.Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        self._refused = str(code) if getattr(code, "is_failure", False) else ""
        self._connected.set()

    def _on_disconnect(self, _client: mqtt.Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        """Where a broker refuses a certificate it says no more than this."""
        if not self._connected.is_set():
            self._refused = f"it ends the connection, {code}"
            self._connected.set()
        self._codes.put(_LOST)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """The broker's answer: 0 or 16 taken, 128 and above refused."""
        self._client.publish(topic, payload, qos=1, retain=retain)
        return self._answer()

    def subscribe(self, topic: str) -> int:
        """The broker's answer."""
        self._client.subscribe(topic, qos=1)
        return self._answer()

    def close(self) -> None:
        """Ends the connection."""
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_connect = self._client.on_disconnect = self._client.on_message = None
        self._client.on_subscribe = self._client.on_publish = None

    def _answer(self) -> int:
        try:
            code = self._codes.get(timeout=LIMIT_S)
        except queue.Empty:
            raise NoBroker(f"the broker at {self.where} does not answer") from None
        if code == _LOST:
            raise ConnectionLost(f"the broker at {self.where} ended the connection")
        return code


@contextmanager
def account_files(authority: Authority, account: str = CONSOLE) -> Iterator[tuple[Path, Path]]:
    """Files, for a moment, with a certificate made for the name `account`, and with its key."""
    with tempfile.TemporaryDirectory(prefix="healthgate-") as folder:  # of mode 0700
        key, files = make_key(), (Path(folder) / "certificate.pem", Path(folder) / "key.pem")
        files[0].write_text(pem(authority.client(key.public_key(), account, time.time(), CONSOLE_DAYS)), encoding="ascii")
        files[1].write_bytes(key_pem(key))
        yield files


@contextmanager
def open_console(broker: Broker, authority: Authority, account: str = CONSOLE) -> Iterator[Console]:
    """A connection under the name `account`, by a certificate made for it."""
    context = ssl.create_default_context(cafile=broker.ca)
    with account_files(authority, account) as (certificate, key):
        context.load_cert_chain(certificate, key)
    console = Console(broker, context)
    try:
        yield console
    finally:
        console.close()


def prove_shut_out(broker: Broker, authority: Authority, account: str, unit: str) -> None:
    """Comes as `account`, which ends its session, until the broker refuses what it says for `unit`; NoBroker where it never does.

    The unit comes back meanwhile, and ends this connection in its turn: then it is tried again.
    """
    until = time.monotonic() + LIMIT_S
    while True:
        try:
            with open_console(broker, authority, account) as console:
                while console.publish(up(unit, "sync"), b"") < 128:
                    if time.monotonic() > until:
                        raise NoBroker(f"the broker at {console.where} still takes what {account} says: it has not read its access rules")
                    time.sleep(AGAIN_S)
            return
        except ConnectionLost:
            if time.monotonic() > until:
                raise


def clear_retained(console: Console, unit: str) -> int:
    """Clears every retained message on the unit's topics; how many there were."""
    topic = f"{ROOT}/gates/{unit}/#"
    console.subscribe(topic)
    mark = f"{ROOT}/gates/{unit}/cleared"
    console.publish(mark, b"x")  # comes back when all that is retained has come
    found: set[str] = set()
    while True:
        try:
            heard, is_retained = console.heard.get(timeout=LIMIT_S)
        except queue.Empty:
            raise NoBroker(f"the broker at {console.where} does not say what it keeps of {unit}") from None
        if heard == mark:
            break
        if is_retained:
            found.add(heard)
    for each in found:
        if console.publish(each, b"", retain=True) >= 128:
            raise NoBroker(f"the broker at {console.where} does not clear {each}")
    return len(found)
