from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.progress import Late, Sign, find_late

AT = 1000.0


@pytest.mark.parametrize(
    ("turned_at", "limit_s", "for_s"),
    [
        (AT, 10.0, None),
        (AT - 10.0, 10.0, None),
        (AT - 10.5, 10.0, 10.5),
        (AT - 10.5, 30.0, None),
        (AT + 300.0, 10.0, None),
        (None, 10.0, None),
    ],
)
def test_a_loop_is_late_beyond_its_own_limit(turned_at: float | None, limit_s: float, for_s: float | None) -> None:
    late = find_late([Sign("sensor", turned_at, limit_s)], AT)
    assert late == (() if for_s is None else (Late("sensor", for_s, limit_s),))


def test_the_one_that_is_late_for_longest_comes_first() -> None:
    signs = [Sign("link", AT - 70, 60), Sign("camera", AT - 31, 30), Sign("decision", AT - 30, 10), Sign("sensor", AT, 30)]
    assert [late.loop for late in find_late(signs, AT)] == ["decision", "link", "camera"]


@given(
    st.lists(st.tuples(st.none() | st.floats(0, 2000), st.floats(1, 600)), max_size=6),
    st.floats(0, 2000),
    st.floats(0, 1000),
)
def test_time_alone_only_makes_more_loops_late_and_a_turn_makes_one_punctual(
    given_signs: list[tuple[float | None, float]], at: float, later_s: float
) -> None:
    signs = [Sign(str(number), *each) for number, each in enumerate(given_signs)]
    late = {each.loop for each in find_late(signs, at)}
    assert late <= {each.loop for each in find_late(signs, at + later_s)}
    assert find_late([Sign(each.loop, at, each.limit_s) for each in signs], at) == ()
