"""What the board tells, read from files as its kernel shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from edge.board import Board
from edge.config import Board as BoardConfig

ENDS = datetime(2020, 4, 15, 8, tzinfo=UTC)


def certificate(path: Path) -> Path:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "north")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ENDS - timedelta(days=30))
        .not_valid_after(ENDS)
        .sign(key, None)
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def board(folder: Path, file: Path | None = None) -> Board:
    return Board(BoardConfig(temperature=str(folder / "temp"), hwmon=str(folder / "hwmon")), folder, file)


def test_a_board_of_which_nothing_is_known(tmp_path: Path) -> None:
    found = board(tmp_path).read()
    assert (found.board_c, found.under_voltage, found.certificate_ends, found.unread) == (None, None, None, "")
    assert found.disk_free_mb is not None
    assert found.disk_free_mb > 0
    assert board(tmp_path / "gone").read().disk_free_mb is None


def test_a_sensor_is_found_by_its_name_not_by_its_number(tmp_path: Path) -> None:
    for number, name, alarm in ((0, "nvme", "1"), (3, "rpi_volt", "0")):
        folder = tmp_path / "hwmon" / f"hwmon{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "in0_lcrit_alarm").write_text(f"{alarm}\n")
    assert board(tmp_path).read().under_voltage is False
    (tmp_path / "hwmon" / "hwmon3" / "in0_lcrit_alarm").write_text("1\n")
    assert board(tmp_path).read().under_voltage is True
    (tmp_path / "hwmon" / "hwmon3" / "in0_lcrit_alarm").unlink()
    assert board(tmp_path).read().under_voltage is None


def test_frost_too(tmp_path: Path) -> None:
    (tmp_path / "temp").write_text("-4250\n")
    assert board(tmp_path).read().board_c == -4.25


def test_when_the_certificate_ends(tmp_path: Path) -> None:
    file = certificate(tmp_path / "unit.pem")
    assert board(tmp_path, file).read().certificate_ends == ENDS.timestamp()
    file.write_text("not a certificate")
    assert board(tmp_path, file).read().unread == f"{file}: expected a certificate, PEM"
    file.unlink()
    assert board(tmp_path, file).read().unread == f"{file}: No such file or directory"
