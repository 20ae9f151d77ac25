"""Base45 (RFC 9285), strict: one text for one byte string, no white space, no lower case.

The `base45` package takes a trailing newline, so two texts would be one code; docs/decisions/0051-own-base45.md.
"""

from __future__ import annotations

import numpy as np

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUE = {character: value for value, character in enumerate(ALPHABET)}
_WEIGHTS = np.array([1, 45, 45 * 45], np.int32)
_VALUES = np.full(256, 0x10000, np.int32)
"""What a byte of text counts for; what is none of the alphabet makes its group too large."""
_VALUES[[ord(character) for character in ALPHABET]] = range(45)


def encode(data: bytes) -> str:
    """`data` as base45 text: three characters for two bytes, two for a last single one (RFC 9285 section 4)."""
    parts: list[str] = []
    for position in range(0, len(data) - 1, 2):
        high, low = divmod((data[position] << 8) | data[position + 1], 45 * 45)
        parts.append(ALPHABET[low % 45] + ALPHABET[low // 45] + ALPHABET[high])
    if len(data) % 2:
        high, low = divmod(data[-1], 45)
        parts.append(ALPHABET[low] + ALPHABET[high])
    return "".join(parts)


def decode(text: str) -> bytes:
    """The bytes of base45 `text`; ValueError names what it holds that is none."""
    if len(text) % 3 == 1:
        raise ValueError(f"base45 text of {len(text)} characters: expected a multiple of three, or two more")
    values = _VALUES.take(np.frombuffer(text.encode("latin-1", "replace"), np.uint8))
    whole = len(text) - len(text) % 3
    words = values[:whole].reshape(-1, 3).dot(_WEIGHTS)
    last = int(values[whole] + 45 * values[whole + 1]) if len(text) % 3 else 0
    if last > 0xFF or (whole and np.maximum.reduce(words) > 0xFFFF):
        strange = next((character for character in text if character not in _VALUE), None)
        if strange is not None:
            raise ValueError(f"base45 text holds {strange!r}: expected digits, capital letters and ' $%*+-./:'")
        raise ValueError("base45 text holds a group above its range")
    data: bytes = words.astype(">u2").tobytes()
    return data + bytes([last]) if len(text) % 3 else data
