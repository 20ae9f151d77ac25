"""The last lines of the log in memory, for whoever asks from afar: bounded, each cut short, and never the text of a code."""

from __future__ import annotations

import logging
import re
from collections import deque

MOST_LINES = 500
LONGEST = 300
"""Characters of a line."""
_CODE = re.compile(r"(H[BC]1:)\S+")


class LogRing(logging.Handler):
    """Keeps what is logged; any thread may log, and any may ask."""

    def __init__(self, most: int = MOST_LINES) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[str] = deque(maxlen=most)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Takes one line in. Of an exception there is its last line: where it came from is in the unit's own log."""
        text = f"{self._head(record)}{f': {record.exc_info[1]!r}' if record.exc_info else ''}"
        self._lines.append(_CODE.sub(r"\1...", " ".join(text.split()))[:LONGEST])

    def lines(self, count: int) -> list[str]:
        """The last `count` of them, the oldest first."""
        self.acquire()
        try:
            return list(self._lines)[-count:]
        finally:
            self.release()

    def _head(self, record: logging.LogRecord) -> str:
        """The line without what the formatter adds of an exception."""
        plain = logging.makeLogRecord(record.__dict__ | {"exc_info": None, "exc_text": None, "stack_info": None})
        return self.format(plain)
