"""What people read about a reason, in both languages."""

from __future__ import annotations

import re

import pytest

from edge.signals import WORDS
from healthcode.terms import Reason

HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][,.:;!?]|[,.:;!?][\u4e00-\u9fff]")


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_one_sentence_in_each_language(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][^.。]*\.", reason.sentence)
    assert re.fullmatch(r"[^.。a-zA-Z]+。", reason.sentence_zh)


def test_no_two_reasons_read_alike() -> None:
    for language in ("sentence", "sentence_zh"):
        assert len({getattr(reason, language) for reason in Reason}) == len(Reason)


def test_chinese_has_its_own_commas() -> None:
    chinese = [reason.sentence_zh for reason in Reason] + [zh for _, zh in WORDS.values()]
    assert [text for text in chinese if HALF_WIDTH.search(text)] == []
