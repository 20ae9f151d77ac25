"""Every key has a sentence in both languages, with the same blanks."""

from __future__ import annotations

import string
import tomllib
from collections import Counter
from importlib import resources

import pytest

from server.faults import Fault
from server.identity import Paper, read_identity
from server.sentences import Language, say, sentences


def blanks(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_both_languages_have_the_same_keys_and_blanks() -> None:
    chinese, english = sentences(Language.CHINESE), sentences(Language.ENGLISH)
    assert set(chinese) == set(english)
    assert {key for key in chinese if blanks(chinese[key]) != blanks(english[key])} == set()


def test_a_key_stands_in_one_file() -> None:
    """Else one part's sentence would take the place of another's."""
    found = Counter[tuple[str, str]]()
    for file in resources.files("server.sentences").iterdir():
        if file.name.endswith(".toml"):
            language = file.name.split(".")[1]
            found.update((language, key) for key in tomllib.loads(file.read_text(encoding="utf-8")))
    assert [key for key, times in found.items() if times > 1] == []


def test_a_sentence_names_the_wrong_part() -> None:
    fault = read_identity(Paper.CITIZEN, "11O10519491231002X", 1_584_300_000)
    assert isinstance(fault, Fault)
    assert say(Language.CHINESE, fault.key, fault.params) == "第 3 位是“O”，应为数字 0 到 9。"
    assert say(Language.ENGLISH, fault.key, fault.params) == "Character 3 is “O”: it must be a digit, 0 to 9."


@pytest.mark.parametrize(
    "typed", ["", "1", "1" * 15, "A" * 18, "0" * 17 + "Z", "0" * 18, "11010519490230002X", "110105209912310021", "1" * 18]
)
@pytest.mark.parametrize("paper", list(Paper))
@pytest.mark.parametrize("state", ["", "GBR"])
def test_every_fault_can_be_said(typed: str, paper: Paper, state: str) -> None:
    fault = read_identity(paper, typed, 1_584_300_000, state=state)
    if isinstance(fault, Fault):
        for language in Language:
            assert say(language, fault.key, fault.params)
