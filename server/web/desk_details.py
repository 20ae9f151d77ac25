"""What an entry of the audit log says beside who, what and about whom, in words: `colour red · reason papers_seen` for people."""

from __future__ import annotations

from collections.abc import Mapping

from server.web.language import Words

_COLOUR = ("colour.{}.word",)
WAYS: dict[str, tuple[str, ...]] = {
    "from": _COLOUR,
    "to": _COLOUR,
    "kind": ("detail.kind.{}", "queue.kind.{}"),
    "colour": _COLOUR,
    "reason": (
        "hand.{}",
        "review.reason.{}",
        "appeal.answer.{}",
        "fact.case.{}",
        "fact.closed.{}",
        "fact.test.{}",
        "rule_name.{}",
        "policy.reason.{}",
        "number.reason.{}",
        "detail.reason.{}",
    ),
    "why": ("review.{}",),
    "decision": ("queue.decide.{}", "detail.decision.{}"),
    "role": ("detail.role.{}", "desk.role.{}"),
    "relation": ("relation.{}",),
    "said": ("queue.holder.{}",),
    "purpose": ("detail.purpose.{}",),
    "name": ("detail.name.{}",),
    "fields": ("detail.field.{}",),
    "places": ("detail.places.{}",),
    "form": ("people.form.{}",),
    "layout": ("detail.layout.{}",),
    "scopes": ("detail.scope.{}",),
}
"""Of each part of a detail whose value is a word, or some of them: the sentences that may tell it, in their order. These come first."""


def tell_detail(words: Words, detail: Mapping[str, str | int]) -> str:
    """The parts of a detail in a line; ids stay as they are."""
    order = {name: place for place, name in enumerate(WAYS)}
    parts = [
        words("detail.part", name=words(f"detail.{name}") if f"detail.{name}" in words else name, value=_tell(words, name, value))
        for name, value in sorted(detail.items(), key=lambda item: order.get(item[0], len(order)))
        if value != ""
    ]
    return words("fact.between").join(parts)


def _tell(words: Words, name: str, value: str | int) -> str:
    if isinstance(value, int):
        if name.endswith("_ms"):
            return words.moment(value / 1000)
        if name.endswith("_s"):
            return words("age.hours", n=value // 3600)
        return f"{value:,}"
    return words("fact.and").join(_tell_word(words, WAYS.get(name, ()), word) for word in value.split())


def _tell_word(words: Words, ways: tuple[str, ...], word: str) -> str:
    return next((words(way.format(word)) for way in ways if way.format(word) in words), word)
