"""The barrier relay with two guards of its own, which do not wait for the deciding thread: its time is limited, and fire bars it.

The deciding thread may be held up, by a disk for instance. So whoever energises the relay says for how long at most, and a thread that does
nothing else lets it fall when that time is over. While the fire loop is open it cannot be energised at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

log = logging.getLogger(__name__)

MARGIN_S = 0.1
"""How much longer than asked the relay stays on before its own thread lets it fall. The loop, which plans the end, turns every 20 ms."""
AGAIN_S = 0.05
"""A relay that could not be switched off is tried again after so long."""
LONGEST_REST_S = 1.0
"""How long its thread rests at most, so that one that no longer comes round is noticed."""
NOW = float("-inf")


class GuardedRelay:
    """One relay. Any thread may call; nothing here waits for anything but the line itself. Times in monotonic seconds.

    `barred` counts how often somebody asked for it while the fire loop was open.
    """

    def __init__(self, device: Any, errors: tuple[type[Exception], ...], clock: Callable[[], float]) -> None:
        """`device` is gpiozero's; `errors` are what it raises where the hardware refuses."""
        self._cut = 0
        self.barred = 0
        self._device = device
        self._errors = errors
        self._clock = clock
        self._changed = threading.Condition(threading.Lock())
        self._until: float | None = None
        self._is_barred = False
        self._is_closed = False
        self._last_turn = clock()
        self._watch = threading.Thread(target=self._watch_time, name="relay", daemon=True)
        self._watch.start()

    @property
    def cut(self) -> int:
        """How often its own thread had to let it fall; a fall and its count are seen together."""
        with self._changed:
            return self._cut

    @property
    def last_turn(self) -> float:
        """When its own thread last came round."""
        return self._last_turn

    @property
    def value(self) -> bool:
        """Whether it is energised."""
        return bool(self._device.value)

    def on(self, at: float, limit_s: float | None) -> bool:
        """Energises it from `at` for `limit_s` seconds at most (None: until it is switched off); False where fire bars it.

        What is on stays on, for as long as the last call says. Raises one of `errors` where the hardware refuses.
        """
        with self._changed:
            if not self._is_barred:
                self._until = None if limit_s is None else at + limit_s + MARGIN_S
                self._changed.notify()
                self._device.on()
                return True
            self.barred += 1
        log.warning("the relay stays off: the fire loop is open")
        return False

    def off(self) -> None:
        """Lets it fall. Raises one of `errors` where the hardware refuses; it is then tried again until it falls."""
        with self._changed:
            self._fall()

    def bar(self) -> None:
        """Fire: lets it fall, and nothing energises it before `allow`. Never raises: the pins' thread calls."""
        with self._changed:
            self._is_barred = True
            with suppress(*self._errors):
                self._fall()

    def allow(self) -> None:
        """The fire is over: it may be energised again, and is not by this."""
        with self._changed:
            self._is_barred = False

    def close(self) -> None:
        """Lets it fall and gives the line back."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            with suppress(*self._errors):
                self._device.off()
        self._watch.join()
        self._device.close()

    def _fall(self) -> None:
        self._until = NOW
        self._changed.notify()
        self._device.off()
        self._until = None

    def _watch_time(self) -> None:
        while not self._is_closed:
            with self._changed:
                cut = self._wait_or_cut()
                self._cut += cut
            self._last_turn = self._clock()
            if cut:
                log.error("the relay was let fall at the end of its time: the deciding thread is held up")

    def _wait_or_cut(self) -> bool:
        """One turn, the lock held: waits for a change or the end of the relay's time; whether that has come and the relay has fallen."""
        left = None if self._until is None else self._until - self._clock()
        if self._is_closed:
            return False
        if left is None or left > 0:
            self._changed.wait(LONGEST_REST_S if left is None else min(left, LONGEST_REST_S))
            return False
        was_on = self.value
        try:
            self._fall()
        except self._errors:
            self._changed.wait(AGAIN_S)
            return False
        return was_on
