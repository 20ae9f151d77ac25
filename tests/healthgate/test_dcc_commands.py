"""`keys import-dsc`, `keys policy`, `code read` of a certificate, `code conform`: what an operator does with foreign certificates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from typer.testing import CliRunner, Result

from healthcode import signed
from healthcode.cose import PublicKey
from healthcode.messages import TrustList
from healthcode.terms import CertificateKind, Use
from healthcode.trust import KeyRing
from healthgate import code, keyring_files, keys, keys_dcc
from tests.certificates import BORN, DAY_S, NAME, NOW, POLICY, a_test, a_vaccination, certificate, make_dsc

KEY, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
DSC, RSA_DSC, LOOSE = make_dsc(KEY, kinds=(CertificateKind.VACCINATION,)), make_dsc(RSA, "YY"), make_dsc(KEY, is_strict=False)
AT = datetime.fromtimestamp(NOW, UTC).isoformat()
VECTORS = Path(__file__).parents[1] / "vectors" / "dcc"
RULES = """\
agents = ["840539006"]

[vaccination]
products = ["EU/1/20/1528"]
from_days = 14
until_days = 270

[recovery]
from_days = 11
until_days = 180

[test]
naa_hours = 72
rat_hours = 24
"""


def run(app: Any, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "hb", "CN-HB", "https://hb.example/s/1", NOW)
    for name, der in (("a.der", DSC), ("rsa.der", RSA_DSC), ("loose.der", LOOSE), ("old.der", make_dsc(KEY, ends=NOW - DAY_S))):
        (tmp_path / name).write_bytes(der)
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path / "hb"


def held(folder: Path) -> TrustList:
    found = signed.read_rooted(
        (folder / "trust.cbor").read_bytes(), TrustList, (PublicKey.from_pem((folder / "root.pub.pem").read_bytes()),)
    )
    assert isinstance(found, TrustList)
    return found


def imported(folder: Path, *names: str) -> Result:
    return run(keys.app, "import-dsc", *(folder.parent / name for name in names), "--into", folder, "--at", AT)


def test_certificates_become_entries(folder: Path) -> None:
    result = imported(folder, "a.der", "rsa.der", "loose.der")
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3
    found = {entry.kid: entry for entry in held(folder).entries if entry.use is Use.DCC}
    assert [(each.issuer, each.algorithm, each.kinds) for each in found.values()] == [
        ("XX", "ES256", [CertificateKind.VACCINATION]),
        ("YY", "PS256", list(CertificateKind)),
        ("XX", "ES256", list(CertificateKind)),
    ]
    assert held(folder).version == 2
    KeyRing.of(held(folder))
    assert "PS256" in run(keys.app, "show", folder).stdout


def test_what_is_refused_has_a_line_each_and_the_rest_is_taken(folder: Path) -> None:
    assert imported(folder, "rsa.der").exit_code == 0
    (folder.parent / "junk").write_text("hello")
    result = imported(folder, "a.der", "a.der", "rsa.der", "old.der", "junk", "none")
    assert result.exit_code == 1
    assert [line.rsplit(": ", 1)[1].split(" of ")[-1] for line in result.stderr.splitlines()] == [
        "XX is given twice",
        "YY is in the trust list already",
        "expired on 2021-05-31",
        "expected a certificate, DER or PEM",
        "No such file or directory",
    ]
    assert sum(entry.use is Use.DCC for entry in held(folder).entries) == 2


def test_without_a_folder_they_are_only_shown(folder: Path) -> None:
    result = run(keys.app, "import-dsc", folder.parent / "a.der", "--at", AT, "--json", "--issuer", "ZZ", "--kind", "test")
    (entry,) = json.loads(result.stdout)["entries"]
    assert (entry["issuer"], entry["use"], entry["kinds"], entry["algorithm"]) == ("ZZ", "dcc", ["test"], "ES256")
    assert held(folder).version == 1
    assert run(keys.app, "import-dsc", folder.parent / "a.der", "--at", "noon").exit_code == 2


def test_a_signer_is_withdrawn_like_any_other_key(folder: Path) -> None:
    imported(folder, "a.der")
    kid = next(entry.kid for entry in held(folder).entries if entry.use is Use.DCC)
    assert run(keys.app, "withdraw", folder, kid.hex()).exit_code == 0
    assert not any(entry.use is Use.DCC for entry in held(folder).entries)


def test_a_certificate_that_does_not_say_what_it_signs(folder: Path) -> None:
    (folder.parent / "broken.der").write_bytes(DSC.replace(bytes.fromhex("0603551d13"), bytes.fromhex("067f551d13")))
    result = imported(folder, "broken.der")
    assert result.exit_code == 1
    assert "say --kind" in result.stderr


def test_a_policy_is_put_in_force_shown_and_stays(folder: Path) -> None:
    assert run(keys.app, "policy", folder).stdout == "# no policy: no certificate counts\n"
    assert run(keys.app, "policy", folder, "--from", folder.parent / "rules.toml").stdout == RULES
    assert held(folder).certificates == POLICY
    assert run(keys.app, "renew", folder).exit_code == 0
    imported(folder, "a.der")
    assert (held(folder).version, held(folder).certificates) == (4, POLICY)
    assert run(keys.app, "policy", folder, "--from", folder.parent / "rules.toml").exit_code == 0
    assert held(folder).version == 4, "the same policy again changes nothing"
    assert run(keys.app, "policy", folder, "--drop").exit_code == 0
    assert held(folder).certificates is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("until_days = 270", "until_days = 13", "until_days = 13: expected at least from_days = 14"),
        ("until_days = 270", "until_days = -1", "Expected `int` >= 0"),
        ("naa_hours = 72\nrat_hours = 24\n", "", "test: expected naa_hours or rat_hours"),
        ("[test]", "[tests]", "unknown field `tests`"),
        ('agents = ["840539006"]', "", "missing required field `agents`"),
        ("[test]", "[test", "expected a policy for certificates in TOML"),
    ],
)
def test_a_policy_that_cannot_be_used_is_a_line(folder: Path, old: str, new: str, says: str) -> None:
    path = folder.parent / "rules.toml"
    path.write_text(RULES.replace(old, new))
    result = run(keys.app, "policy", folder, "--from", path)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert held(folder).version == 1


def test_the_policy_of_the_recognition_page_can_be_used(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recognition.md").read_text(encoding="utf-8")
    (tmp_path / "p").write_text(page.split("<!-- policy -->\n```toml\n")[1].split("```")[0])
    policy = keys_dcc.read_policy(tmp_path / "p")
    assert policy.vaccination is not None
    assert policy.test == POLICY.test


def test_a_policy_comes_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(keys_dcc.policy_lines(POLICY))
    assert keys_dcc.read_policy(tmp_path / "p") == POLICY


@pytest.fixture
def trusting(folder: Path) -> Path:
    """A keys folder that knows a signer of vaccinations, and the policy."""
    imported(folder, "a.der")
    run(keys.app, "policy", folder, "--from", folder.parent / "rules.toml")
    return folder


def read(folder: Path, text: str, *arguments: str) -> Result:
    trust = ("--trust", folder / "trust.cbor", "--root", folder / "root.pub.pem")
    return run(code.app, "read", *trust, "--at", AT, *arguments, "--", text)


def test_reading_shows_every_stage_and_all_that_is_said(trusting: Path) -> None:
    result = read(trusting, certificate(KEY, DSC))
    assert result.exit_code == 0
    assert result.stdout.count("  passed") == 13
    assert f"said and signed: nam.fn = {NAME}" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("counts as green here")
    result = read(trusting, certificate(KEY, DSC, a_vaccination(dn=1)))
    assert "does not count here: DOSES_MISSING" in result.stdout


def test_reading_as_json(trusting: Path) -> None:
    found = json.loads(read(trusting, certificate(KEY, DSC), "--json").stdout)
    assert (found["ok"], found["format"], found["judged"], found["kind"], found["issuer"]) == (True, "HC1", "GREEN", "vaccination", "XX")
    assert found["fields"]["dob"] == BORN
    assert set(found["stages"].values()) == {True}


def test_reading_what_is_not_valid(trusting: Path) -> None:
    result = read(trusting, certificate(KEY, DSC, a_test()))
    assert result.exit_code == 1
    assert "said, NOT to be believed" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("not valid: ISSUER_SCOPE: ")
    found = json.loads(read(trusting, certificate(RSA, RSA_DSC), "--json").stdout)
    assert (found["fault"], found["judged"]) == ("UNKNOWN_KEY", None)
    assert (found["stages"]["COSE"], found["stages"]["UNKNOWN_KEY"], found["stages"]["SIGNATURE"]) == (True, False, None)
    late = datetime.fromtimestamp(NOW + 4000 * DAY_S, UTC).isoformat()
    assert json.loads(read(trusting, certificate(KEY, DSC), "--json", "--at", late).stdout)["fault"] == "TRUST_MISSING"
    assert read(trusting, "HC1:").stdout.splitlines()[-1].startswith("not valid: COMPRESSION")


def test_conform_prints_a_line_a_file() -> None:
    result = run(code.app, "conform", VECTORS, "--json")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == len(list(VECTORS.glob("*.json")))
    assert all(set(line) == {"file", "got", "expected"} for line in lines)
    assert run(code.app, "conform", VECTORS).stdout.splitlines()[-1] == f"{len(lines)} files, 0 different"


def test_conform_says_what_differs_and_what_is_no_test_data(tmp_path: Path) -> None:
    vector = json.loads((VECTORS / "vaccination.json").read_text())
    vector["EXPECTEDRESULTS"]["EXPECTEDVERIFY"] = False
    (tmp_path / "XX").mkdir()
    (tmp_path / "XX" / "1.json").write_text(json.dumps(vector), encoding="utf-8-sig")
    (tmp_path / "README.json").write_text("{")
    result = run(code.app, "conform", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["XX/1.json: DIFFERS in EXPECTEDVERIFY", "1 files, 1 different"]
    assert result.stderr.startswith("healthgate code: README.json: no JSON")
    (tmp_path / "XX" / "1.json").unlink()
    assert run(code.app, "conform", tmp_path).exit_code == 2
    assert run(code.app, "conform", tmp_path / "none").exit_code == 2
