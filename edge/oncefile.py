"""What a unit remembers of its commands, on its disk: written before a command is carried out, so that a restart does not do it again."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from edge.files import CALLS, Calls, write_atomically
from edge.transactions import Transactions

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024


class OnceFile:
    """The file, and `held`, what is in it. For one thread."""

    def __init__(self, path: Path, calls: Calls = CALLS) -> None:
        self._path = path
        self._calls = calls
        self.held = self._load()

    def store(self, after: Transactions) -> None:
        """Remembers `after`. OSError where the disk does not take it: `held` is then as before."""
        write_atomically(self._path, msgspec.json.encode(after), self._calls)
        self.held = after

    def _load(self) -> Transactions:
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(MOST_BYTES), type=Transactions)
        except FileNotFoundError:
            return Transactions()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as wrong:
            log.error("%s: %s: which commands were carried out is not known, the next one is refused", self._path, wrong)
            return Transactions(is_lost=True)
