"""Base45 (RFC 9285), strict: one text for one byte string, no white space, no lower case.

The `base45` package takes a trailing newline, so two texts would be one code; docs/decisions/0051-own-base45.md.
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUE = {character: value for value, character in enumerate(ALPHABET)}
_PAIR = {first + second: _VALUE[first] + 45 * _VALUE[second] for first in ALPHABET for second in ALPHABET}
_TRIPLE_WEIGHT = {character: 45 * 45 * value for character, value in _VALUE.items()}


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
    """The bytes of base45 `text`; ValueError names the place where it is none."""
    if len(text) % 3 == 1:
        raise ValueError(f"base45 text of {len(text)} characters: expected a multiple of three, or two more")
    try:
        words = [_PAIR[text[at : at + 2]] + _TRIPLE_WEIGHT[text[at + 2]] for at in range(0, len(text) - 2, 3)]
        last = _PAIR[text[-2:]] if len(text) % 3 else 0
    except KeyError as wrong:
        raise ValueError(f"base45 text holds {wrong.args[0]!r}: expected digits, capital letters and ' $%*+-./:'") from None
    if last > 0xFF or (words and max(words) > 0xFFFF):
        raise ValueError("base45 text holds a group above its range")
    data = b"".join([word.to_bytes(2, "big") for word in words])
    return data + bytes([last]) if len(text) % 3 else data
