"""Reads every golden certificate: at which stage a gate stops, and what `code conform` says of each file."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from healthcode import dcc
from healthcode.terms import CertificateKind, Fault
from healthcode.token import TokenFault
from healthcode.trust import KeyRing
from healthgate import certificates, conform
from healthgate.conform import COMPARED, Outcome

HERE = Path(__file__).parent / "dcc"
VECTORS: dict[str, dict[str, Any]] = {path.name: json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))}


def outcomes(folder: Path) -> list[Outcome]:
    """What `code conform` gives for a folder in which every file is a vector."""
    found = list(conform.run(folder))
    assert all(isinstance(outcome, Outcome) for outcome in found)
    return [outcome for outcome in found if isinstance(outcome, Outcome)]


@pytest.mark.parametrize("name", VECTORS)
def test_certificate(name: str) -> None:
    vector = VECTORS[name]
    signer = certificates.read_signer(certificates.from_base64(vector["TESTCTX"]["CERTIFICATE"]))
    assert signer.kinds is not None
    ring = KeyRing(1, [certificates.trust_entry(signer, signer.country, signer.kinds)])
    found = dcc.read(vector["PREFIX"], ring, datetime.fromisoformat(vector["TESTCTX"]["VALIDATIONCLOCK"]).timestamp())
    if vector["FAULT"] is not None:
        assert isinstance(found, TokenFault)
        assert found.fault == vector["FAULT"]
        return
    assert not isinstance(found, TokenFault), found
    assert found.identifier == "URN:UVCI:01:XX:HEALTHGATE0TEST#1"
    assert (found.issuer, found.kid) == ("XX", signer.kid)
    assert repr(found) == "Certificate()"


def test_there_is_a_certificate_for_every_fault_and_kind() -> None:
    assert {vector["FAULT"] for vector in VECTORS.values()} == {*Fault, None}
    assert {f"{kind.value}.json" for kind in CertificateKind} <= VECTORS.keys()


def test_conform_says_of_our_own_files_what_they_expect() -> None:
    assert [(outcome.file, outcome.different) for outcome in outcomes(HERE)] == [(name, []) for name in VECTORS]
    for stage in COMPARED:
        assert {outcome.got[stage] for outcome in outcomes(HERE)} == {True, False}


def test_conform_says_of_the_eus_files_what_they_expect() -> None:
    """The folder is HEALTHGATE_DCC: the EU's public test data, or some countries' of it."""
    named = os.environ.get("HEALTHGATE_DCC")
    if named is None:
        pytest.skip("HEALTHGATE_DCC is not set: expected a folder of the EU's public test data")
    found = outcomes(Path(named))
    assert found
    assert [outcome for outcome in found if outcome.different] == []


def test_conform_of_a_vector_with_a_false_expectation() -> None:
    vector = VECTORS["vaccination.json"]
    false = vector | {"EXPECTEDRESULTS": vector["EXPECTEDRESULTS"] | {"EXPECTEDVERIFY": False, "EXPECTEDPICTUREDECODE": False}}
    assert conform.judge("x", false).different == ["EXPECTEDVERIFY"]
