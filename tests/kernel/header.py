"""The 40-pin header of a Pi that is not there: the kernel's gpio-sim under the label of the Pi 4's chip, and what happens on its lines.

Whoever runs in the machine is the world outside: `pull` is a contact that closes or opens, `level` a meter at a pin, `changes` a logic
analyser, which is the kernel's own trace of every write to a line with the time of `time.monotonic`.
"""

from __future__ import annotations

import os
import re
import select
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

LABEL, LINES = "pinctrl-bcm2711", 54
OTHER, OTHER_LINES = "gpio-of-something-else", 8
"""A chip that comes first and that nobody may touch: the header is not always gpiochip0."""
TRACING = Path("/sys/kernel/tracing")
_WRITE = re.compile(r"(\d+\.\d+): gpio_value: (\d+) set ([01])")


@dataclass(frozen=True)
class Change:
    """A line was written to and took another level."""

    at: float
    bcm: int
    level: int


class Header:
    """The chip, made at the first use and there until the machine ends: lgpio does not bear that a chip goes away."""

    def __init__(self) -> None:
        self.other, _ = _chip("other", OTHER, OTHER_LINES)
        self.chip, self._lines = _chip("header", LABEL, LINES)
        first = re.search(rf"^{self.chip}: GPIOs (\d+)-", Path("/sys/kernel/debug/gpio").read_text(), re.MULTILINE)
        assert first is not None
        self._first = int(first[1])
        self._levels: dict[int, int] = {}
        (TRACING / "trace_clock").write_text("mono\n")
        (TRACING / "events/gpio/gpio_value/filter").write_text("get == 0\n")
        (TRACING / "events/gpio/gpio_value/enable").write_text("1\n")
        self._pipe = os.open(TRACING / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        self._rest = ""

    def __enter__(self) -> Header:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._pipe)
        (TRACING / "events/gpio/gpio_value/enable").write_text("0\n")
        (TRACING / "trace").write_text("")

    def level(self, bcm: int) -> int:
        """What a meter at the pin shows."""
        return int((self._lines / f"sim_gpio{bcm}" / "value").read_text())

    def pull(self, bcm: int, level: int) -> None:
        """Pulls the pin from outside, as a contact does."""
        (self._lines / f"sim_gpio{bcm}" / "pull").write_text("pull-up\n" if level else "pull-down\n")

    def held(self) -> list[str]:
        """The lines of all chips that some program holds, as the kernel lists them."""
        return re.findall(r"gpio-\d+ .*", Path("/sys/kernel/debug/gpio").read_text())

    def changes(self) -> list[Change]:
        """What was written to the lines since the last look, without repetitions."""
        found: list[Change] = []
        while True:
            try:
                text = self._rest + os.read(self._pipe, 65536).decode()
            except BlockingIOError:
                return found
            *lines, self._rest = text.split("\n")
            for line in lines:
                assert "LOST" not in line, "more writes than the trace holds"
                match = _WRITE.search(line)
                if match and self._levels.get(bcm := int(match[2]) - self._first) != (level := int(match[3])):
                    self._levels[bcm] = level
                    found.append(Change(float(match[1]), bcm, level))

    def wait_for(self, bcm: int, level: int, limit_s: float) -> Change:
        """Waits until `level` is written to the line; AssertionError where that does not come."""
        limit = time.monotonic() + limit_s
        while True:
            for change in self.changes():
                if (change.bcm, change.level) == (bcm, level):
                    return change
            left = limit - time.monotonic()
            assert left > 0, f"line {bcm} was not set to {level} within {limit_s} s"
            select.select([self._pipe], [], [], left)


def _chip(name: str, label: str, lines: int) -> tuple[str, Path]:
    """Makes a chip where it is not there yet; its name and the folder of its lines."""
    config = Path("/sys/kernel/config/gpio-sim") / name
    bank = config / "bank"
    if not config.exists():
        bank.mkdir(parents=True)
        (bank / "num_lines").write_text(f"{lines}\n")
        (bank / "label").write_text(f"{label}\n")
        (config / "live").write_text("1\n")
    chip, device = (file.read_text().strip() for file in (bank / "chip_name", config / "dev_name"))
    return chip, Path("/sys/devices/platform") / device / chip
