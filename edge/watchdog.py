"""Ends a unit whose loops no longer come round, with the relay off, and tells systemd only of real progress.

Three walls, each for what the one before cannot see. A thread of its own asks every loop for its last turn (`edge.progress`); where one is
late it lets the relay fall, says which loop and where it stands, and ends the process. Where even that thread cannot run, because a
driver holds the interpreter, the kernel's timer ends the process (`Backstop`). And systemd, which hears WATCHDOG=1 only while all loops
come round, ends it in every other case. Whatever ends it, the lines fall with the process, and the service starts a new one.

A missing device or network is none of this: the loops that wait for them come round.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass

from edge.progress import Sign, find_late

log = logging.getLogger(__name__)

TURN_S = 0.5
"""How often the loops are looked at."""
PER_WATCHDOG = 3
"""How often WATCHDOG=1 goes out within systemd's time: one that is lost does not matter."""
LAST_WORDS_S = 1.0
"""How long the relay and the log may take at the end: either may be what hangs."""
END_S = 20.0
"""How long a unit that was told to end may take to give everything back."""
INTERPRETER_S = 20.0
"""How long the interpreter may be held by one thread. A quarter before that, the log tells where all threads stand."""
FRAMES_TOLD = 5
HUNG = 1
"""The exit status: the service is to start the unit again."""


class Notifier:
    """Tells systemd how the unit is, by datagrams to the socket that it named in NOTIFY_SOCKET; without one nobody is told.

    The protocol is that of sd_notify(3) and sd_watchdog_enabled(3): lines of NAME=value. Never waits and never raises.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        """`address` is a path, or a name after @ (Linux' abstract sockets); `watchdog_s` is within what time WATCHDOG=1 is expected."""
        self.watchdog_s = watchdog_s
        self.lost = 0
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], pid: int) -> Notifier:
        """As systemd asks for it in `environment`, whose entries are taken out: they are for the process `pid` and not for its children."""
        address = environment.pop("NOTIFY_SOCKET", "")
        usec, whose = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        is_ours = whose in ("", str(pid)) and usec.isdecimal() and int(usec) > 0
        return cls(address, int(usec) / 1e6 if is_ours else None)

    def tell(self, *lines: str) -> None:
        """Sends `lines`, each NAME=value; what cannot be delivered now is counted in `lost`."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), self._address)
        except OSError as wrong:
            self.lost += 1
            if self.lost & (self.lost - 1) == 0:
                log.warning("systemd cannot be told (time %d): %s", self.lost, wrong)

    def close(self) -> None:
        """Gives the socket back."""
        if self._socket is not None:
            self._socket.close()


class Backstop:
    """The kernel's timer: unless it is wound up again within `INTERPRETER_S`, SIGALRM ends the process, whoever holds the interpreter."""

    def wind(self) -> None:
        """Puts the end off."""
        signal.setitimer(signal.ITIMER_REAL, INTERPRETER_S)
        faulthandler.dump_traceback_later(INTERPRETER_S * 0.75, file=sys.__stderr__ or sys.stderr)

    def stop(self) -> None:
        """Takes the end back."""
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)


@dataclass(frozen=True)
class Loop:
    """One of the unit's loops: what it is called, its thread's name, its limit in seconds, and where its last turn is read from."""

    name: str
    thread: str
    limit_s: float
    turned_at: Callable[[], float | None]

    def sign(self) -> Sign:
        """Its progress now."""
        return Sign(self.name, self.turned_at(), self.limit_s)


class Watchdog:
    """The thread that looks at the loops, from `start` until the process ends or `close`."""

    def __init__(
        self,
        notifier: Notifier,
        *,
        backstop: Backstop | None = None,
        end: Callable[[int], object] = os._exit,
        turn_s: float = TURN_S,
    ) -> None:
        """`end` ends the process at once, with an exit status. Times in seconds."""
        self._loops: tuple[Loop, ...] = ()
        self._let_fall: Callable[[], None] = lambda: None
        self._notifier = notifier
        self._backstop = backstop
        self._end = end
        self._turn_s = min(turn_s, (notifier.watchdog_s or turn_s * PER_WATCHDOG) / PER_WATCHDOG)
        self._tell_due = 0.0
        self._status = self._told = ""
        self._end_by: float | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self, loops: Sequence[Loop], let_fall: Callable[[], None]) -> None:
        """All is running: says READY=1 and begins to look. `let_fall` switches the relay off and may be called from any thread."""
        self._loops, self._let_fall = tuple(loops), let_fall
        self._notifier.tell("READY=1")
        self._thread.start()

    def say(self, status: str) -> None:
        """What `systemctl status` shows, one line, from the next turn on."""
        self._status = status

    def ending(self, limit_s: float = END_S) -> None:
        """The unit ends, in order or by a fault: says STOPPING=1. From now on only this counts, that it is over within `limit_s`."""
        self._end_by = time.monotonic() + limit_s
        self._notifier.tell("STOPPING=1", "STATUS=ending")

    def close(self) -> None:
        """All is given back: looks no longer."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(LAST_WORDS_S)
        if self._backstop is not None:
            self._backstop.stop()
        self._notifier.close()

    def _run(self) -> None:
        try:
            while not self._closed.wait(self._turn_s):
                if self._backstop is not None:
                    self._backstop.wind()
                why = self._find_fault(time.monotonic())
                if why:
                    self._give_up(why)
                    return
        except Exception:
            log.exception("the watchdog itself has a fault")
            self._give_up("the watchdog cannot go on")

    def _find_fault(self, at: float) -> str:
        """Why the process must end at `at`; where it need not, systemd is told when that is due."""
        if self._end_by is not None:
            return f"the unit did not end within {END_S:.0f} s{self._place('MainThread')}" if at > self._end_by else ""
        late = find_late([loop.sign() for loop in self._loops], at)
        if late:
            places = {loop.name: self._place(loop.thread) for loop in self._loops}
            return "; ".join(f"no progress in {each.loop} for {each.for_s:.1f} s{places[each.loop]}" for each in late)
        if self._status != self._told:
            self._told = self._status
            self._notifier.tell(f"STATUS={self._told}")
        if self._notifier.watchdog_s is not None and at >= self._tell_due:
            self._tell_due = at + self._notifier.watchdog_s / PER_WATCHDOG - self._turn_s
            self._notifier.tell("WATCHDOG=1")
        return ""

    def _place(self, thread: str) -> str:
        """Where a thread stands, in brackets; a thread that is no more says so."""
        ident = next((each.ident for each in threading.enumerate() if each.name == thread), None)
        frame = sys._current_frames().get(ident) if ident is not None else None
        if frame is None:
            return " (its thread has ended)"
        stack = reversed(traceback.extract_stack(frame)[-FRAMES_TOLD:])
        return f" (in {' < '.join(f'{each.name} {os.path.basename(each.filename)}:{each.lineno}' for each in stack)})"  # noqa: PTH119

    def _give_up(self, why: str) -> None:
        """The relay, the log, the end. The first two on threads of their own, because the end must not wait for them."""
        text = f"{why}: the unit ends, the service is to start it again"
        try:
            self._notifier.tell(f"STATUS={text}")
            for last in (self._let_fall, lambda: log.critical("%s", text)):
                thread = threading.Thread(target=last, name="last-words", daemon=True)
                thread.start()
                thread.join(LAST_WORDS_S)
        finally:
            self._end(HUNG)
