"""What others have written, in a table."""

from __future__ import annotations

import pytest

from healthgate.cells import cell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("居民 甲", "居民 甲"),
        ("[red]x[/red]", "[red]x[/red]"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\x9b2J\r\n\t", r"a\x9b2J\r\n\t"),
        ("a\u202eb\u2028\udcff", r"a\u202eb\u2028\udcff"),
    ],
)
def test_nothing_in_a_cell_acts(text: str, shown: str) -> None:
    assert cell(text).plain == shown
    assert not cell(text).spans
