"""The watchdog by itself: what systemd is told over a real socket, and how a process ends in which something hangs."""

from __future__ import annotations

import logging
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.watchdog import HUNG, Loop, Notifier, Watchdog

LIMIT_S = 20.0


class Systemd:
    """The socket that systemd would listen on, and what it hears there, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def hear(self) -> list[str]:
        """The next datagram's lines."""
        return self._heard.get(timeout=LIMIT_S).split("\n")

    def wait_for(self, start: str) -> str:
        """The next line that begins so."""
        while True:
            for line in self.hear():
                if line.startswith(start):
                    return line

    def waiting(self) -> list[str]:
        """All lines that were sent until now and not heard."""
        self._say("MARK")
        lines: list[str] = []
        while (heard := self.hear()) != ["MARK"]:
            lines += heard
        return lines

    def close(self) -> None:
        self._say("")
        self._thread.join(LIMIT_S)
        self._socket.close()

    def _say(self, text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(text.encode(), str(self.path))

    def _listen(self) -> None:
        while text := self._socket.recv(4096).decode():
            self._heard.put(text)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    yield systemd
    systemd.close()


class Stand:
    """A watchdog over one loop whose last turn the test sets; its end is noted and not carried out."""

    def __init__(self, notifier: Notifier, limit_s: float = 0.5) -> None:
        self.turned_at: float | None = None
        self.happened: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.watchdog = Watchdog(notifier, end=self.happened.put, turn_s=0.02)
        loop = Loop("sensor", threading.current_thread().name, limit_s, lambda: self.turned_at)
        self.watchdog.start([loop], lambda: self.happened.put("relay off"))


@pytest.fixture
def stands() -> Iterator[list[Stand]]:
    made: list[Stand] = []
    yield made
    for stand in made:
        stand.watchdog.close()


def test_systemd_hears_that_the_unit_is_ready_how_it_is_and_that_it_makes_progress(systemd: Systemd, stands: list[Stand]) -> None:
    stand = Stand(Notifier(str(systemd.path), watchdog_s=0.3))
    stands.append(stand)
    assert systemd.hear() == ["READY=1"]
    stand.watchdog.say("on line; no alerts")
    assert systemd.wait_for("STATUS=") == "STATUS=on line; no alerts"
    first = time.monotonic()
    for _ in range(6):
        assert systemd.wait_for("WATCHDOG") == "WATCHDOG=1"
    assert time.monotonic() - first < 6 * 0.3, "more often than systemd asks for"
    stand.watchdog.say("off line\nclock")
    assert systemd.wait_for("STATUS=") == "STATUS=off line clock"
    stand.watchdog.ending()
    assert systemd.wait_for("STOPPING") == "STOPPING=1"


def test_progress_is_told_twice_more_within_what_systemd_asks_for(systemd: Systemd, stands: list[Stand]) -> None:
    stands.append(Stand(Notifier(str(systemd.path), watchdog_s=1.5)))
    systemd.wait_for("WATCHDOG")
    first = time.monotonic()
    for _ in range(2):
        systemd.wait_for("WATCHDOG")
    assert time.monotonic() - first < 1.5


def test_a_loop_that_is_late_ends_the_process_the_relay_first_and_systemd_hears_no_more_of_progress(
    systemd: Systemd, stands: list[Stand], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL, "edge.watchdog"):
        stand = Stand(Notifier(str(systemd.path), watchdog_s=0.3))
        stands.append(stand)
        stand.turned_at = time.monotonic()
        assert stand.happened.get(timeout=LIMIT_S) == "relay off"
        assert stand.happened.get(timeout=LIMIT_S) == HUNG
    (record,) = caplog.records
    assert record.message.startswith("no progress in sensor for 0.5 s (in ")
    assert record.message.endswith(": the unit ends, the service is to start it again")
    assert "test_watchdog.py:" in record.message, "it says where the loop stands"
    said = systemd.waiting()
    assert said[-1] == f"STATUS={record.message}"
    assert said[-2] == "WATCHDOG=1"


def test_a_loop_that_comes_round_is_left_alone_and_so_is_one_of_which_nothing_is_expected(systemd: Systemd, stands: list[Stand]) -> None:
    stand = Stand(Notifier(str(systemd.path), watchdog_s=0.3), limit_s=1.0)
    stands.append(stand)
    for _ in range(10):
        systemd.wait_for("WATCHDOG")
    stand.turned_at = time.monotonic() + 3600
    for _ in range(10):
        systemd.wait_for("WATCHDOG")
    assert stand.happened.empty()


def test_a_thread_that_is_no_more_and_a_relay_that_hangs_at_the_end_do_not_hold_it_up(caplog: pytest.LogCaptureFixture) -> None:
    held = threading.Event()
    happened: queue.SimpleQueue[int] = queue.SimpleQueue()
    watchdog = Watchdog(Notifier(), end=happened.put, turn_s=0.02)
    begun = time.monotonic()

    def hang() -> None:
        held.wait(LIMIT_S)

    watchdog.start([Loop("relay", "none", 0.1, lambda: begun)], hang)
    assert happened.get(timeout=LIMIT_S) == HUNG
    assert time.monotonic() - begun < 5
    assert "no progress in relay for 0.1 s (its thread has ended): the unit ends" in caplog.text
    held.set()
    watchdog.close()


def test_a_sign_that_cannot_be_read_ends_the_process_too(caplog: pytest.LogCaptureFixture) -> None:
    happened: queue.SimpleQueue[int] = queue.SimpleQueue()
    watchdog = Watchdog(Notifier(), end=happened.put, turn_s=0.02)
    watchdog.start([Loop("sensor", "none", 0.1, lambda: 1 // 0)], lambda: None)
    assert happened.get(timeout=LIMIT_S) == HUNG
    assert "the watchdog cannot go on" in caplog.text
    watchdog.close()


def test_an_end_that_takes_too_long_is_one_as_well(stands: list[Stand]) -> None:
    stand = Stand(Notifier())
    stands.append(stand)
    stand.watchdog.ending(0.1)
    stand.turned_at = 0.0
    assert [stand.happened.get(timeout=LIMIT_S) for _ in range(2)] == ["relay off", HUNG]


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "77"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0", "WATCHDOG_PID": "77"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_what_systemd_asks_for_is_in_the_environment_and_not_handed_on(environment: dict[str, str], watchdog_s: float | None) -> None:
    handed = {**environment, "NOTIFY_SOCKET": "/absent/notify", "HOME": "/root"}
    notifier = Notifier.from_environment(handed, 77)
    assert notifier.watchdog_s == watchdog_s
    assert handed == {"HOME": "/root"}
    notifier.close()


def test_a_socket_in_the_abstract_namespace(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0healthgate-{tmp_path.name}-{time.monotonic_ns()}")
        notifier = Notifier("@" + listener.getsockname()[1:].decode())
        notifier.tell("READY=1", "STATUS=up")
        assert listener.recv(100) == b"READY=1\nSTATUS=up"
        notifier.close()


def test_a_systemd_that_does_not_listen_holds_nothing_up(tmp_path: Path) -> None:
    gone = Notifier(str(tmp_path / "absent"))
    gone.tell("READY=1")
    assert gone.lost == 1
    gone.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "full"))
        full = Notifier(str(tmp_path / "full"))
        for _ in range(10_000):
            full.tell("WATCHDOG=1")
        assert 0 < full.lost < 10_000
        full.close()


HOLDS_THE_INTERPRETER = """
import ctypes, signal, sys, threading
import edge.watchdog
edge.watchdog.INTERPRETER_S = 2.0
watchdog = edge.watchdog.Watchdog(edge.watchdog.Notifier(), backstop=edge.watchdog.Backstop(), turn_s=0.1)
watchdog.start([], lambda: None)
print("up", flush=True)
wound_up = threading.Event()
while not signal.getitimer(signal.ITIMER_REAL)[0]:
    wound_up.wait(0.01)
ctypes.PyDLL(None).sleep(100)
"""


@pytest.mark.slow
def test_a_driver_that_holds_the_interpreter_is_ended_by_the_kernel_and_the_log_says_where_it_stands() -> None:
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HOLDS_THE_INTERPRETER], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "up\n"
    assert done.returncode == -signal.SIGALRM
    assert time.monotonic() - begun < 20
    line = HOLDS_THE_INTERPRETER.splitlines().index("ctypes.PyDLL(None).sleep(100)") + 1
    assert f'File "<string>", line {line} in <module>' in done.stderr
