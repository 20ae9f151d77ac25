"""What others have written, shown in a table: it must not move the cursor, change colours or turn the line around."""

from __future__ import annotations

import unicodedata

from rich.text import Text

_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories: controls, formats (which turn the direction), halves of characters, separators of lines and paragraphs."""


def cell(text: str) -> Text:
    """`text` as a table's cell, no markup in it, and what cannot be seen written as Python would: \\x1b."""
    return Text("".join(ascii(letter)[1:-1] if unicodedata.category(letter) in _UNSEEN else letter for letter in text))
