"""Passwords: what may be one, and Argon2id hashes of them.

Parameters are the second recommended option of RFC 9106, section 4: 64 MiB, three passes, four lanes. Rules follow NIST
SP 800-63B: length counts, no rules of composition, every character allowed, the commonest refused, compared after NFKC.
"""

from __future__ import annotations

import base64
import os
import threading
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

import argon2
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import ARGON2_VERSION
from argon2.profiles import RFC_9106_LOW_MEMORY

MOST_LETTERS = 128
"""Longest password in characters: long enough for any sentence, and bounds the work of one attempt."""
_COMMON = (
    "password",
    "passw0rd",
    "qwertyuiop",
    "qwerty123",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "iloveyou",
    "woaini1314",
    "5201314",
    "healthgate",
    "welcome1",
)
_RUNS = ("01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")


class PasswordFault(StrEnum):
    """Why a text may not be a password."""

    SHORT = "password_short"
    LONG = "password_long"
    COMMON = "password_common"


def find_fault(password: str, name: str, least: int) -> PasswordFault | None:
    """Why `password` may not be that of the account `name`; `least` is the fewest characters. None where it may."""
    plain = _normal(password)
    if len(plain) < least:
        return PasswordFault.SHORT
    if len(plain) > MOST_LETTERS:
        return PasswordFault.LONG
    low = plain.casefold()
    is_run = any(low in run for run in _RUNS) or len(set(low)) <= 2
    is_common = any(low.rstrip("0123456789!.") == word or low == word for word in _COMMON)
    is_name = bool(name) and name.casefold() in low and len(low) - len(name) < 4
    return PasswordFault.COMMON if is_run or is_common or is_name else None


@dataclass(frozen=True)
class Cost:
    """What one hash costs: passes, memory in KiB, lanes."""

    passes: int = RFC_9106_LOW_MEMORY.time_cost
    memory_kib: int = RFC_9106_LOW_MEMORY.memory_cost
    lanes: int = RFC_9106_LOW_MEMORY.parallelism


class Passwords:
    """Makes and checks hashes, at most `at_once` at a time, so that a flood of attempts cannot take all memory and processors."""

    def __init__(self, cost: Cost = Cost(), at_once: int = 2, patience_s: float = 5.0) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes)
        self._turns = threading.BoundedSemaphore(at_once)
        self._patience_s = patience_s
        self._nobody = _nobodys(self._hasher)

    def make(self, password: str) -> str | None:
        """The hash of `password` with its salt and parameters; None where too many others are being made."""
        if not self._turns.acquire(timeout=self._patience_s):
            return None
        try:
            return self._hasher.hash(_normal(password))
        finally:
            self._turns.release()

    def check(self, held: str | None, password: str) -> bool | None:
        """Whether `password` belongs to the hash `held`; with None it belongs to nobody, which takes as long to find out.

        None where too many others are being checked.
        """
        if not self._turns.acquire(timeout=self._patience_s):
            return None
        try:
            return self._hasher.verify(held or self._nobody, _normal(password)[: MOST_LETTERS + 1]) and held is not None
        except VerifyMismatchError:
            return False
        finally:
            self._turns.release()

    def is_dated(self, held: str) -> bool:
        """Whether `held` was made with other parameters than are in force."""
        return self._hasher.check_needs_rehash(held)


def _nobodys(hasher: argon2.PasswordHasher) -> str:
    """A hash as `hasher` writes them that is of no known password: drawn, not made, which would take each command a tenth of a second."""
    salt, drawn = (base64.b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (hasher.salt_len, hasher.hash_len))
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${drawn}"


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
