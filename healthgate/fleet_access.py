"""What a command does at the broker with accounts of the moment: the fleet's authority makes a certificate for a day, in memory's folder.

`prove_shut_out` comes under the name of the unit that was retired. The broker ends that name's session when it comes again, and refuses
what it says: so nobody has to believe that the new rules are in force.
"""

from __future__ import annotations

import queue
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt

from healthcode.topics import ROOT, up
from healthgate.broker_session import LIMIT_S, REFUSED, BrokerSession, ConnectionLost, NoBroker
from server.authority import CONSOLE, CONSOLE_DAYS, Authority, key_pem, make_key, pem
from server.config import Broker

AGAIN_S = 0.2
"""Between two tries whether the broker has read its rules."""


class Console(BrokerSession):
    """A connection that hears which topics say something; NoBroker where there is none in time."""

    def __init__(self, broker: Broker, context: ssl.SSLContext) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        super().__init__(broker, "this command", lambda client: client.tls_set_context(context))
        self._client.on_publish = lambda _c, _d, _mid, code, _p: self._codes.put(code.value)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """The broker's answer: 0 or 16 taken, REFUSED and above refused."""
        self._client.publish(topic, payload, qos=1, retain=retain)
        return self._answer()

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        self.heard.put((message.topic, message.retain))


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
                while console.publish(up(unit, "sync"), b"") < REFUSED:
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
        if console.publish(each, b"", retain=True) >= REFUSED:
            raise NoBroker(f"the broker at {console.where} does not clear {each}")
    return len(found)
