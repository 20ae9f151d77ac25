"""What is wrong with a picture: black, frozen, obstructed; and nothing while all is well."""

from __future__ import annotations

import pytest

from edge.camera_watch import BLACK_S, FROZEN_S, OBSTRUCTED_GAP_S, ForeignWatch, PictureWatch, Trouble


def judge(watch: PictureWatch, luma: float, same: bool, begin: float, seconds: float) -> list[Trouble | None]:
    return [watch.judge(luma, same, begin + number / 10) for number in range(round(seconds * 10))]


def test_a_picture_that_changes_is_well() -> None:
    assert set(judge(PictureWatch(), 120.0, False, 0.0, 60.0)) == {None}


def test_black_is_told_after_its_time_and_over_at_once() -> None:
    watch = PictureWatch()
    told = judge(watch, 1.0, False, 0.0, BLACK_S + 1)
    assert told.index(Trouble.BLACK) == BLACK_S * 10
    assert watch.judge(40.0, False, 20.0) is None
    assert watch.judge(1.0, False, 20.1) is None


def test_frozen_is_told_after_its_time_and_a_camera_opened_anew_has_it_again() -> None:
    watch = PictureWatch()
    told = judge(watch, 120.0, True, 0.0, FROZEN_S + 1)
    assert told.index(Trouble.FROZEN) == FROZEN_S * 10
    watch.reopened()
    assert watch.judge(120.0, True, 10.0) is None
    assert watch.judge(120.0, True, 10.0 + FROZEN_S) is Trouble.FROZEN


def test_a_cap_on_the_lens_is_black_and_not_frozen() -> None:
    told = set(judge(PictureWatch(), 0.0, True, 0.0, BLACK_S + 5))
    assert told == {None, Trouble.BLACK}


def poster(watch: ForeignWatch, seconds: float, begin: float = 0.0) -> bool:
    return [watch.judge(True, begin + number / 5) for number in range(round(seconds * 5) + 1)][-1]


def test_a_code_that_is_not_ours_is_in_the_way_after_a_minute_and_no_longer_when_it_has_gone() -> None:
    watch = ForeignWatch(60.0)
    assert not poster(watch, 59.0)
    assert poster(watch, 2.0, 59.2)
    assert watch.judge(False, 62.0)
    assert not watch.judge(False, 62.0 + OBSTRUCTED_GAP_S)


def test_people_who_pass_in_front_of_it_do_not_begin_it_again() -> None:
    watch = ForeignWatch(60.0)
    for number in range(14):
        poster(watch, 1.0, number * 5.0)
        watch.judge(False, number * 5.0 + 3.0)
    assert watch.judge(True, 69.0)


@pytest.mark.parametrize("gap", [OBSTRUCTED_GAP_S + 0.5, 40.0])
def test_payments_one_after_another_are_nobody_s_poster(gap: float) -> None:
    watch = ForeignWatch(60.0)
    assert not any(poster(watch, 20.0, number * (20.0 + gap)) for number in range(10))
