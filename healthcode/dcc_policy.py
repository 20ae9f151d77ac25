"""Which EU Digital COVID Certificates count as green here: the trust list's policy, applied to a certificate that was read. Pure.

Days are those of UTC: a gate knows no other zone than its own, and the issuer's is not in the certificate.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from healthcode.dcc import Certificate, Recovery, Sample, Vaccination
from healthcode.messages import CertificatePolicy, RecoveryRule, SampleRule, VaccinationRule
from healthcode.terms import Reason
from healthcode.token import LEEWAY_S

NAA, RAT = "LP6464-4", "LP217198-3"
"""LOINC codes of the EU's value set of tests: nucleic acid amplification; rapid immunoassay (antigen)."""
NOT_DETECTED, DETECTED = "260415000", "260373001"
"""SNOMED CT codes of the EU's value set of results."""
_HOUR_S = 3600.0


def judge(certificate: Certificate, policy: CertificatePolicy | None, at: float) -> Reason:
    """GREEN where the certificate counts as that at `at` (seconds since 1970), otherwise why not. What no rule names does not count.

    1. POLICY_MISSING: no policy is held.
    2. TEST_POSITIVE, by whichever test.
    3. NOT_ACCEPTED: no rule for such a certificate, disease, product, test or result.
    4. DOSES_MISSING: fewer than the series has.
    5. TOO_RECENT, TOO_OLD: before or after the time in which it counts. Only these hang on `at`.
    """
    if policy is None:
        return Reason.POLICY_MISSING
    if isinstance(certificate.content, Sample) and certificate.content.result == DETECTED:
        return Reason.TEST_POSITIVE
    if certificate.agent not in policy.agents:
        return Reason.NOT_ACCEPTED
    today = datetime.fromtimestamp(at, UTC).date()
    match certificate.content:
        case Vaccination() as given if policy.vaccination is not None:
            return _judge_vaccination(given, policy.vaccination, today)
        case Sample() as taken if policy.test is not None:
            return _judge_test(taken, policy.test, at)
        case Recovery() as recovered if policy.recovery is not None:
            return _judge_recovery(recovered, policy.recovery, today)
    return Reason.NOT_ACCEPTED


def _judge_vaccination(given: Vaccination, rule: VaccinationRule, today: date) -> Reason:
    if given.product not in rule.products:
        return Reason.NOT_ACCEPTED
    if given.dose < given.series:
        return Reason.DOSES_MISSING
    return _within((today - given.day).days, rule.from_days, rule.until_days)


def _judge_recovery(recovered: Recovery, rule: RecoveryRule, today: date) -> Reason:
    if today < recovered.valid_from:
        return Reason.TOO_RECENT
    if today > recovered.valid_until:
        return Reason.TOO_OLD
    return _within((today - recovered.positive).days, rule.from_days, rule.until_days)


def _judge_test(taken: Sample, rule: SampleRule, at: float) -> Reason:
    hours = {NAA: rule.naa_hours, RAT: rule.rat_hours}.get(taken.test)
    if hours is None or taken.result != NOT_DETECTED:
        return Reason.NOT_ACCEPTED
    age_s = at - taken.taken_at
    if age_s < -LEEWAY_S:
        return Reason.TOO_RECENT
    return Reason.GREEN if age_s <= hours * _HOUR_S else Reason.TOO_OLD


def _within(days: int, from_days: int, until_days: int) -> Reason:
    if days < from_days:
        return Reason.TOO_RECENT
    return Reason.GREEN if days <= until_days else Reason.TOO_OLD
