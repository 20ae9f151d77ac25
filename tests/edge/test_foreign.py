"""People with an EU certificate at the gate: the same thermometer and the same decider, and nothing of them outside the memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge.dispatch import Dispatch
from edge.files import keep_secret
from edge.foreign import hash_of, recognise
from edge.scan import MAX_CHARACTERS
from healthcode import base45, dcc, signed
from healthcode.dcc import Certificate
from healthcode.messages import CertificatePolicy
from healthcode.terms import Decision, Reason, Screening
from healthcode.trust import KeyRing
from tests.certificates import BORN, DAY_S, IDENTIFIER, NAME, POLICY, a_test, a_vaccination, certificate, entry, make_dsc
from tests.edge.province import NOON, ROOT, URI, list_entry, trust_list
from tests.edge.unit_bench import CERTIFICATE_KEY, FEVER_C, TOKEN_ENTRY, Bench

KEY = ec.generate_private_key(ec.SECP256R1())
DSC = make_dsc(KEY, begins=NOON - 30 * DAY_S, ends=NOON + 300 * DAY_S)
ADMITTED = (Decision.ADMIT, Reason.GREEN)


def day(ago: int) -> str:
    return (datetime.fromtimestamp(NOON, UTC) - timedelta(days=ago)).date().isoformat()


def text(content: dict[str, Any] | None = None) -> str:
    """A certificate that is good now."""
    said = {4: NOON + 90 * DAY_S, 6: NOON - DAY_S}
    return certificate(KEY, DSC, a_vaccination(dt=day(30)) if content is None else content, said=said)


def trusting(bench: Bench, version: int, policy: CertificatePolicy | None) -> None:
    """A trust list that knows the signer, and this policy, comes into force."""
    trust = trust_list(version, list_entry(), TOKEN_ENTRY, entry(DSC), expires_at=NOON + 90 * DAY_S)
    taken = bench.cache.accept_trust(signed.write(msgspec.structs.replace(trust, certificates=policy), ROOT), bench.wall)
    assert getattr(taken, "version", None) == version, taken


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    trusting(one, 2, POLICY)
    yield one
    one.close()


def test_a_certificate_that_counts_passes_with_a_normal_temperature(bench: Bench) -> None:
    bench.see(text())
    assert bench.verdicts() == []
    bench.measure()
    assert bench.verdicts() == [ADMITTED]
    assert bench.relay() == 1.0
    (event,) = bench.passes()
    assert event.screening is Screening.NORMAL
    assert event.certificate is not None


@pytest.mark.parametrize(
    ("content", "decision", "reason"),
    [
        (a_vaccination(dt=day(30), dn=1), Decision.REFUSE, Reason.DOSES_MISSING),
        (a_vaccination(dt=day(3)), Decision.REFUSE, Reason.TOO_RECENT),
        (a_vaccination(dt=day(300)), Decision.REFUSE, Reason.TOO_OLD),
        (a_vaccination(dt=day(30), mp="EU/1/99/9999"), Decision.REFUSE, Reason.NOT_ACCEPTED),
        (a_test(tr="260373001", sc=day(1) + "T00:00:00Z"), Decision.REFUSE, Reason.TEST_POSITIVE),
        (a_vaccination(dt="soon"), Decision.REFUSE, Reason.CLAIMS),
    ],
)
def test_a_certificate_that_does_not_count_is_refused_at_once(
    bench: Bench, content: dict[str, Any], decision: Decision, reason: Reason
) -> None:
    bench.see(text(content))
    assert bench.verdicts() == [(decision, reason)]
    assert bench.pulses() == 0


def test_without_a_policy_the_guard_is_called(bench: Bench) -> None:
    trusting(bench, 3, None)
    bench.see(text())
    assert bench.verdicts() == [(Decision.CALL_GUARD, Reason.POLICY_MISSING)]


def test_a_policy_that_changes_while_the_temperature_is_taken(bench: Bench) -> None:
    bench.see(text())
    trusting(bench, 3, msgspec.structs.replace(POLICY, vaccination=None))
    bench.measure()
    assert bench.verdicts() == [(Decision.REFUSE, Reason.NOT_ACCEPTED)]
    assert bench.passes()[0].body_c is None


def test_the_trust_list_outlasts_a_restart_with_its_policy(bench: Bench) -> None:
    bench.restart()
    bench.show(text())
    assert bench.verdicts() == [ADMITTED]


def test_fever_is_fever(bench: Bench) -> None:
    bench.show(text(), FEVER_C)
    bench.wait(6.0)
    bench.show(text(), FEVER_C)
    assert bench.verdicts()[-1] == (Decision.REFUSE, Reason.FEBRILE)


def test_a_guest_s_fever_outlives_the_process(bench: Bench) -> None:
    bench.show(text(), FEVER_C)
    bench.leave()
    bench.restart()
    bench.show(text(), 34.9)
    assert bench.verdicts()[-1] == (Decision.CALL_GUARD, Reason.NOT_CLEARED)


def test_the_same_person_on_another_text_has_just_passed(bench: Bench) -> None:
    """A certificate that was issued anew, or carries another signature, says the same identifier."""
    one, other = text(), text()
    assert one != other
    bench.show(one)
    bench.walk()
    bench.leave()
    bench.show(other)
    assert bench.verdicts() == [ADMITTED, (Decision.REFUSE, Reason.REPLAY)]
    bench.restart()
    bench.leave()
    bench.show(one)
    assert bench.verdicts()[-1] == (Decision.REFUSE, Reason.REPLAY)


def test_two_people_are_two(bench: Bench) -> None:
    for identifier in ("URN:UVCI:01:XX:A", "URN:UVCI:01:XX:B"):
        bench.show(text(a_vaccination(dt=day(30), ci=identifier)))
        bench.walk()
        bench.leave()
    assert bench.verdicts() == [ADMITTED, ADMITTED]
    assert len({event.certificate for event in bench.passes()}) == 2


def test_nothing_of_a_certificate_leaves_the_memory(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Outbox, cache, journal of the pins, log and all that goes to the server, after a visit with all that can happen."""
    caplog.set_level(logging.DEBUG)
    cut_off = text()[: len(dcc.PREFIX) + 297]  # after a group of three characters, so that it is base45 still
    texts = [text(), text(a_vaccination(dt=day(30), dn=1)), text()[:-3] + "AAA", cut_off]
    bench.show(texts[0])
    bench.walk()
    bench.leave()
    for shown in texts:
        bench.show(shown)
        bench.leave()
    bench.see(texts[0], texts[1])
    bench.leave()
    bench.wait(1000.0)
    for _ in range(2):
        bench.show(texts[0], FEVER_C)
        bench.leave()
    found = {reason for _, reason in bench.verdicts()}
    assert found >= {Reason.GREEN, Reason.REPLAY, Reason.DOSES_MISSING, Reason.COMPRESSION, Reason.ONE_AT_A_TIME, Reason.FEBRILE}

    sent = b"".join(Dispatch("north", bench.outbox, 30.0).due(bench.at))
    bench.flush()
    stored = b"".join(path.read_bytes() for path in sorted(bench.folder.rglob("*")) if path.is_file())
    log = "\n".join([caplog.text, *(str(record.__dict__) for record in caplog.records)]).encode()
    secrets = [NAME, NAME.upper(), BORN, IDENTIFIER, IDENTIFIER.split(":")[-1], "EU/1/20/1528\x00", day(30)]
    secrets += [part for shown in texts for part in (shown, shown[4:30], shown[100:130])]
    hidden = [secret.encode() for secret in secrets]
    hidden += [base45.decode(texts[0][4:])[:40], base45.decode(texts[0][4:])[100:140]]
    for place, content in (("sent", sent), ("log", log), ("stored", stored)):
        assert content
        assert [secret for secret in hidden if secret in content] == [], place
    known = {event.certificate for event in bench.passes() if event.certificate}
    assert len(known) == 1
    assert next(iter(known)).encode() in sent
    assert all((event.code, event.issuer, event.list, event.index) == (None, None, None, None) for event in bench.passes())
    assert all((event.list, event.index) == (None, None) for event in bench.passages())
    assert URI.encode() in stored


def test_what_the_reader_cuts_off_is_too_long() -> None:
    assert MAX_CHARACTERS > dcc.MAX_TEXT


def test_the_hash_is_keyed() -> None:
    found = dcc.read(text(), KeyRing(1, [entry(DSC)]), NOON)
    assert isinstance(found, Certificate)
    one, other = recognise(found, CERTIFICATE_KEY), recognise(found, bytes([1]) * 32)
    assert one.person != other.person
    assert one == recognise(found, CERTIFICATE_KEY)
    assert hash_of(one.person) == one.person[0].removeprefix("hc1:")
    assert hash_of((URI, 7)) is None


def test_the_key_is_made_once_and_for_this_account_alone(tmp_path: Path) -> None:
    path = tmp_path / "certificate.key"
    made = keep_secret(path, lambda: bytes(range(32)))
    assert made == bytes(range(32)) == path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert keep_secret(path, lambda: bytes(32)) == made
    path.write_bytes(b"half")
    assert keep_secret(path, lambda: bytes(32)) == bytes(32)
