"""A server that is killed (SIGKILL, by itself) right before or right after a database commit.

Usage: python -m tests.server.dying_bridge CONFIG before|after BATCHES: dies at the so-many-th commit that stores something new.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from server.__main__ import build
from server.config import load
from server.intake import Incoming, Intake, Taken
from server.mqtt_bridge import Bridge
from server.office import open_office


class Dying(Intake):
    """The real intake with a power cut before or behind one of its commits."""

    batches = 0
    before = False

    def take(self, messages: Sequence[Incoming]) -> Taken:
        """Commits, and then there is no process any more; or not even that."""
        if self.before and self.batches == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        taken = super().take(messages)
        self.batches -= 1 if taken.new else 0
        if self.batches == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return taken


def main() -> None:
    """Runs until killed."""
    config = load(Path(sys.argv[1]))
    office = open_office(config)
    parts = build(office)
    intake = Dying(office.store, office.registry, lambda: parts.trust.current.ring, time.time, config.intake.fevers_an_hour)
    intake.before, intake.batches = sys.argv[2] == "before", int(sys.argv[3])
    Bridge(config, dataclasses.replace(parts, intake=intake)).run(threading.Event())


if __name__ == "__main__":
    main()
