from __future__ import annotations

import socket

import pytest

from tests.broker import Broker

pytestmark = pytest.mark.slow


def test_the_broker_can_be_killed_and_comes_back_on_its_port(broker: Broker) -> None:
    socket.create_connection((broker.host, broker.port), 5).close()
    broker.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((broker.host, broker.port), 5)
    broker.restart()
    socket.create_connection((broker.host, broker.port), 5).close()
