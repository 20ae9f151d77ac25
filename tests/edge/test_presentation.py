"""One person's code in view: the same person under another text, taken away and shown again, and suspicions that are not forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge import presentation
from edge.presentation import GONE_S, SUSPECT_S, Key, Presentation
from edge.screening import Screened
from edge.verdict import Verdict
from healthcode.terms import Colour, Decision, Fault, Form, Reason, Screening
from healthcode.token import HealthCode, TokenFault

PAUSE_S = 5.0


def a_code(index: int = 7, expires: int = 120) -> HealthCode:
    return HealthCode("CN-HB", "https://hb.example/s/1", index, Colour.GREEN, Form.LIVE, 0, 0, expires, b"12345678")


def shown(suspects: dict[Key, Screened] | None = None, at: float = 100.0) -> Presentation:
    return presentation.begin(a_code(), "HB1:A", "zxing_local", at, suspects or {}, PAUSE_S)


def fever(at: float, screening: Screening = Screening.FEVER_SUSPECTED, body_c: float | None = 38.0) -> Screened:
    return Screened(screening, at, 36.4, 25.0, body_c, 3)


def test_the_next_code_of_a_pack_is_the_same_person_and_two_bad_texts_are_two() -> None:
    assert presentation.key_of(a_code(), "HB1:A") == presentation.key_of(a_code(expires=240), "HB1:B")
    assert presentation.key_of(a_code(), "HB1:A") != presentation.key_of(a_code(index=8), "HB1:A")
    bad = TokenFault(Fault.SIGNATURE, "")
    assert presentation.key_of(bad, "HB1:A") != presentation.key_of(bad, "HB1:B")


def test_a_code_counts_as_shown_anew_only_after_a_verdict_and_a_second_out_of_view() -> None:
    one = shown()
    assert not presentation.is_over(one, 100.0 + 10 * GONE_S)
    judged = replace(presentation.sighted(one, 104.0), verdict=Verdict(Decision.REFUSE, Reason.RED))
    assert not presentation.is_over(judged, 104.0 + GONE_S)
    assert presentation.is_over(judged, 104.01 + GONE_S)


def test_whoever_comes_back_with_a_suspicion_is_measured_a_second_time_at_once() -> None:
    suspects = presentation.remember({}, shown(), fever(at=101.0))
    back = shown(suspects, at=130.0)
    assert back.earlier is not None
    assert back.earlier.screening is Screening.FEVER_SUSPECTED
    assert back.earlier.at + PAUSE_S == 130.0


def test_a_suspicion_fades_after_half_an_hour() -> None:
    suspects = presentation.remember({}, shown(), fever(at=101.0))
    assert shown(suspects, at=101.0 + SUSPECT_S).earlier is not None
    assert shown(suspects, at=102.0 + SUSPECT_S).earlier is None


@pytest.mark.parametrize("screening", [Screening.FEBRILE, Screening.NOT_CLEARED])
def test_a_fever_found_twice_or_not_cleared_stays_a_suspicion(screening: Screening) -> None:
    suspects = presentation.remember({}, shown(), fever(at=108.0, screening=screening))
    assert suspects[a_code().person].screening is Screening.FEVER_SUSPECTED


def test_an_unreadable_second_measurement_keeps_the_first_one_s_figures() -> None:
    one = replace(shown(), earlier=fever(at=101.0))
    suspects = presentation.remember({}, one, Screened(Screening.NOT_CLEARED, 116.0))
    assert suspects[a_code().person].body_c == 38.0


def test_only_a_second_normal_measurement_ends_a_suspicion() -> None:
    suspects = presentation.remember({}, shown(), fever(at=101.0))
    assert presentation.remember(suspects, shown(suspects), Screened(Screening.NORMAL, 110.0, 34.0, 25.0, 36.6, 3)) == {}
