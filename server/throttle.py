"""Slows down whoever guesses: counts attempts under a key (an account, an address, a browser) and says how long the next must wait.

A few attempts are free; then each wait is twice the one before, up to a ceiling, so that nobody is locked out for good. What has
been quiet for `forget_s` begins anew. An attempt counts before its outcome is known, so that a hundred at once count as a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from server.store import to_ms
from server.store.sql import text


@dataclass(frozen=True)
class Limits:
    """How many attempts are free, the first wait, the longest wait, and the quiet after which all is forgotten; seconds."""

    free: int
    base_s: float
    ceiling_s: float
    forget_s: float


def wait_after(attempts: int, limits: Limits) -> float:
    """Seconds that must pass after so many attempts before the next."""
    over = attempts - limits.free
    return 0.0 if over < 0 else min(limits.ceiling_s, limits.base_s * 2.0 ** min(over, 60))


def attempt(tx: Connection, keys: list[tuple[bytes, Limits]], at: float) -> float:
    """Counts an attempt under every key; 0, or the seconds to wait where one of them forbids it, and then nothing is counted."""
    now_ms, found = to_ms(at), []
    for key, limits in keys:
        row = tx.execute(text("SELECT attempts, until_ms, last_ms FROM throttles WHERE name = :key"), {"key": key}).one_or_none()
        is_new = row is None or now_ms - int(row.last_ms) > to_ms(limits.forget_s)
        if row is not None and not is_new and now_ms < int(row.until_ms):
            return (int(row.until_ms) - now_ms) / 1000
        found.append((key, limits, 0 if row is None or is_new else int(row.attempts)))
    for key, limits, attempts in found:
        _set(tx, key, attempts + 1, now_ms + to_ms(wait_after(attempts + 1, limits)), now_ms)
    return 0.0


def succeeded(tx: Connection, keys: list[tuple[bytes, Limits]], at: float, *, cleared: bytes) -> None:
    """The attempt just counted was a good one: under the key `cleared` nothing is held any more, under the others one less."""
    now_ms = to_ms(at)
    for key, limits in keys:
        row = tx.execute(text("SELECT attempts FROM throttles WHERE name = :key"), {"key": key}).one_or_none()
        if key == cleared or row is None or int(row.attempts) <= 1:
            tx.execute(text("DELETE FROM throttles WHERE name = :key"), {"key": key})
        else:
            _set(tx, key, int(row.attempts) - 1, now_ms + to_ms(wait_after(int(row.attempts) - 1, limits)), now_ms)


def forget(tx: Connection, before_ms: int) -> int:
    """Drops what has been quiet since `before_ms`; how many."""
    return int(tx.execute(text("DELETE FROM throttles WHERE last_ms < :before"), {"before": before_ms}).rowcount)


def _set(tx: Connection, key: bytes, attempts: int, until_ms: int, now_ms: int) -> None:
    tx.execute(
        text(
            "INSERT INTO throttles (name, attempts, until_ms, last_ms) VALUES (:key, :attempts, :until, :now)"
            " ON CONFLICT (name) DO UPDATE SET attempts = :attempts, until_ms = :until, last_ms = :now"
        ),
        {"key": key, "attempts": attempts, "until": until_ms, "now": now_ms},
    )
