"""The rules' figures, from a readable file: policy.toml beside this file says every default and where it comes from. Pure.

A policy has a version that goes up with every change. Days are whole days of 86,400 s.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from healthcode.settings import SettingsError, read_toml

Days = Annotated[int, Meta(ge=0, le=365)]
DAY_S = 86_400.0


class PolicyError(SettingsError):
    """A policy that cannot be used; each line of the text names a key and what was expected."""


Outcome = Literal["yellow", "red", "review"]
"""What a finding leads to: a colour, or people who look at it first and nothing until then."""
RedOrReview = Literal["red", "review"]
YellowOrReview = Literal["yellow", "review"]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: unknown keys are errors."""


class RecordRules(Section, frozen=True):
    """How long green lasts without a health record, and what is one."""

    lapse_days: Annotated[int, Meta(ge=1, le=365)] = 3
    gate_counts: bool = True
    gate_hours: Annotated[int, Meta(ge=1, le=24)] = 6


class CaseRules(Section, frozen=True):
    """From red to yellow to green after a case has ended."""

    red_days: Days = 14
    yellow_days: Days = 14
    positive_test: RedOrReview = "red"


class ContactRules(Section, frozen=True):
    """Close contacts."""

    days: Days = 14


class IsolationRules(Section, frozen=True):
    """Isolation, central and at home."""

    central_days: Days = 14
    home_days: Days = 14


class DeclaredRules(Section, frozen=True):
    """What a person's own word leads to."""

    fever_c: Annotated[float, Meta(ge=36.5, le=40.0)] = 37.3
    symptoms: YellowOrReview = "yellow"
    symptom_days: Days = 14
    contact: YellowOrReview = "yellow"
    isolation: YellowOrReview = "yellow"


class GateRules(Section, frozen=True):
    """What a gate's thermometer leads to."""

    fever: Outcome = "yellow"
    fever_days: Annotated[int, Meta(ge=1, le=365)] = 14
    holdover_doubt_s: Annotated[int, Meta(ge=0, le=86_400)] = 120


class HandRules(Section, frozen=True):
    """Colours set by hand."""

    yellow_days: Annotated[int, Meta(ge=1, le=365)] = 14


class ProposalRules(Section, frozen=True):
    """How many colours may be proposed by hand, how long a proposal waits, and how long an approved one about many waits yet."""

    expire_hours: Annotated[int, Meta(ge=1, le=720)] = 72
    a_day: Annotated[int, Meta(ge=1, le=10_000)] = 30
    bulk_most: Annotated[int, Meta(ge=2, le=10_000)] = 50
    bulk_a_day: Annotated[int, Meta(ge=1, le=100)] = 1
    bulk_delay_hours: Annotated[int, Meta(ge=1, le=168)] = 24


class SymptomRules(Section, frozen=True):
    """What a symptom or a fever does to a period that runs."""

    restart: bool = True


class CopiedRules(Section, frozen=True):
    """How far apart in time one code may be seen at two units, in seconds."""

    same_site_s: Annotated[int, Meta(ge=0, le=86_400)] = 3
    other_site_s: Annotated[int, Meta(ge=0, le=86_400)] = 60


class Policy(Section, frozen=True):
    """The whole of a policy. `name` is for people."""

    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    name: Annotated[str, Meta(min_length=1, max_length=100)] = "Hubei, March 2020"
    record: RecordRules = RecordRules()
    case: CaseRules = CaseRules()
    contact: ContactRules = ContactRules()
    isolation: IsolationRules = IsolationRules()
    declared: DeclaredRules = DeclaredRules()
    gate: GateRules = GateRules()
    hand: HandRules = HandRules()
    proposals: ProposalRules = ProposalRules()
    symptoms: SymptomRules = SymptomRules()
    copied: CopiedRules = CopiedRules()


DEFAULT = Policy(version=1)
"""What policy.toml says."""


def parse(text: str, name: str = "policy") -> Policy:
    """The policy in `text`, TOML; PolicyError says all that is wrong, a line each."""
    try:
        return read_toml(text, Policy, name)
    except SettingsError as wrong:
        raise PolicyError(str(wrong)) from None
