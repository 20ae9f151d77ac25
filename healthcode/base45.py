"""Base45 (RFC 9285), strict: one text for one byte string, no white space, no lower case.

The `base45` package takes a trailing newline, so two texts would be one code; docs/decisions/0051-own-base45.md.
"""

from __future__ import annotations

from functools import lru_cache

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_NONE = 0xFF
_VALUES = bytes(ALPHABET.find(chr(byte)) & _NONE for byte in range(256))
"""What a byte of text counts for; _NONE where it is none of the alphabet."""


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
    """The bytes of base45 `text`; ValueError names what it holds that is none.

    All groups are reckoned at once, in one large number: a group of three characters is a lane of three bytes c, d, e, and
    c + 45 d + 2025 e needs 17 bits of its 24, so that no lane spills into the next (docs/decisions/0114-the-short-way.md).
    """
    groups, rest = divmod(len(text), 3)
    if rest == 1:
        raise ValueError(f"base45 text of {len(text)} characters: expected a multiple of three, or two more")
    values = text.encode("latin-1", "replace").translate(_VALUES)
    if not values.isascii():
        strange = next(character for character in text if character not in ALPHABET)
        raise ValueError(f"base45 text holds {strange!r}: expected digits, capital letters and ' $%*+-./:'")
    lowest, above = _lanes(groups)
    each = int.from_bytes(values[: 3 * groups], "big")
    words = (each >> 16 & lowest) + 45 * (each >> 8 & lowest) + 2025 * (each & lowest)
    last = values[-2] + 45 * values[-1] if rest else 0
    if words & above or last > 0xFF:
        raise ValueError("base45 text holds a group above its range")
    data = bytearray(words.to_bytes(3 * groups, "big"))
    del data[::3]
    if rest:
        data.append(last)
    return bytes(data)


@lru_cache(256)
def _lanes(groups: int) -> tuple[int, int]:
    """The lowest byte of each lane, and what of it lies above 16 bits."""
    return int.from_bytes(b"\0\0\xff" * groups, "big"), int.from_bytes(b"\xff\0\0" * groups, "big")
