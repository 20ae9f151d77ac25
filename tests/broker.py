"""The demo's private mosquitto for tests that let anybody in: killed, frozen and restarted at will."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from healthgate import broker

GUARDED = ("allow_anonymous false", "password_file", "acl_file")


class Broker(broker.Broker):
    """One mosquitto process without passwords and access rules; `kill` is SIGKILL, and a restart finds what it had saved."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"anybody": "unused"})
        settings = self.folder / "mosquitto.conf"
        lines = [line for line in settings.read_text().splitlines() if not line.startswith(GUARDED)]
        settings.write_text("\n".join([*lines, "allow_anonymous true", ""]))

    def restart(self) -> None:
        """Kills the broker where it runs and starts it again on the same port and folder."""
        self.kill()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """A broker that hangs: it has its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)
