"""What is wrong with a form, as the templates take it: the field that it stands beside (empty: none), a sentence's key, its blanks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from server.faults import Faults


class Keyed(Protocol):
    """An outcome that is told by a sentence."""

    @property
    def key(self) -> str:
        """The sentence's key."""

    @property
    def params(self) -> Mapping[str, str | int]:
        """What goes into its blanks."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """One fault on a page."""

    field: str
    key: str
    values: Mapping[str, str | int] = dataclasses.field(default_factory=dict)


def tell(outcome: Faults | Keyed, beside: str = "") -> list[Shown]:
    """The faults of a form by field; or the one of an outcome, beside a field."""
    if isinstance(outcome, Faults):
        return [Shown(name, fault.key, fault.params) for name, fault in outcome.by_field.items()]
    return [Shown(beside, outcome.key, outcome.params)]
