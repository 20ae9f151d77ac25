"""What is wrong with something that people typed: the key of a sentence and what goes into it. The sentences: server/messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """The key of a sentence (server/messages), and the values of its blanks."""

    key: str
    params: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Faults:
    """All that is wrong with a form, by field, in the order of its questions."""

    by_field: Mapping[str, Fault]
