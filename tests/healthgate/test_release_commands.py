"""`healthgate release`: bundles with what a platform needs and nothing else, signed, shown, published once."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge.venvs import InstallError, fits, unpack
from healthcode import signed
from healthcode.cose import SoftwareKey
from healthcode.messages import Release
from healthgate import bundles, keyring_files, keys_release, server
from healthgate.bundles import PLATFORMS, BundleError, build_own_wheel, own_version, pack, pinned_for
from healthgate.release import app

CHECKOUT = Path(__file__).parent.parent.parent
EDGE = (CHECKOUT / "requirements" / "edge.txt").read_text()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platform_gets_what_it_needs_by_its_own_conditions(platform: str) -> None:
    lines = pinned_for(EDGE, platform).splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert {"lgpio", "seccompy", "numpy", "zxing-cpp", "cryptography"} <= set(names)
    assert "colorama" not in names, "of Windows"
    assert len(names) == len(set(names)), "one numpy, and not that of a newer Python"
    assert all("--hash=sha256:" in line and ";" not in line for line in lines)
    assert next(line for line in lines if line.startswith("numpy")).startswith("numpy==1.")


def test_another_python_gets_other_versions() -> None:
    lines = pinned_for(EDGE, "cp313-aarch64").splitlines()
    assert not [line for line in lines if line.startswith("lgpio")]
    assert next(line for line in lines if line.startswith("numpy")).startswith("numpy==2.")


def test_a_requirement_without_a_hash_is_refused() -> None:
    with pytest.raises(BundleError, match="'rich==15': has no hash"):
        pinned_for("rich==15\n", "cp311-aarch64")


@pytest.mark.parametrize(
    ("name", "machine", "is_one"),
    [
        ("rich-15.0.0-py3-none-any.whl", "aarch64", True),
        ("numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", "aarch64", True),
        ("numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", "x86_64", False),
        ("notes.txt", "aarch64", False),
    ],
)
def test_which_wheels_a_processor_takes(name: str, machine: str, is_one: bool) -> None:
    assert fits(name, machine) is is_one


def test_our_own_wheel_holds_what_a_gate_runs_and_says_its_version(tmp_path: Path) -> None:
    wheel = build_own_wheel(CHECKOUT, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    version = own_version(CHECKOUT)
    assert {"edge/__main__.py", "edge/updater.py", "healthcode/token.py", "healthgate/edge.py"} <= names
    assert f"healthgate-{version}.dist-info/METADATA" in names
    assert not [name for name in names if name.startswith(("tests/", "deploy/", "docs/"))]


def make_bundle(folder: Path) -> bundles.Bundle:
    folder.mkdir()
    for name in ("healthgate-0.2.0-py3-none-any.whl", "rich-15.0.0-py3-none-any.whl"):
        (folder / name).write_bytes(name.encode())
    own, *others = sorted(folder.glob("*.whl"))
    return pack(own, others, "rich==15.0.0 --hash=sha256:00\n", "0.2.0", folder / "bundle.zip")


def test_the_same_wheels_give_the_same_bundle_and_every_wheel_has_its_hash(tmp_path: Path) -> None:
    one, other = make_bundle(tmp_path / "one"), make_bundle(tmp_path / "other")
    assert one.sha256 == other.sha256 == hashlib.sha256((tmp_path / "one" / "bundle.zip").read_bytes()).digest()
    unpack(one.path, tmp_path / "unpacked", "aarch64")
    requirements = (tmp_path / "unpacked" / "requirements.txt").read_text()
    ours = hashlib.sha256(b"healthgate-0.2.0-py3-none-any.whl").hexdigest()
    assert requirements == f"rich==15.0.0 --hash=sha256:00\nhealthgate==0.2.0 --hash=sha256:{ours}\n"
    assert {path.name for path in (tmp_path / "unpacked" / "wheels").iterdir()} == set(one.wheels)


@pytest.mark.parametrize(
    "name", ["../evil.whl", "wheels/../../evil.whl", "/tmp/evil.whl", "wheels/sub/evil.whl", "wheels\\..\\evil-any.whl"]
)
def test_nothing_leaves_the_folder_into_which_a_bundle_is_unpacked(tmp_path: Path, name: str) -> None:
    bundle = tmp_path / "bundle.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("requirements.txt", "")
        archive.writestr(name, "evil")
    (tmp_path / "deep").mkdir()
    unpack(bundle, tmp_path / "deep" / "unpacked", "aarch64")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"bundle.zip", "deep/unpacked/requirements.txt"}


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_bundle_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bundle.zip").write_bytes(content)
    with pytest.raises(InstallError, match="expected a bundle that `healthgate release build` made"):
        unpack(tmp_path / "bundle.zip", tmp_path / "unpacked", "aarch64")


@pytest.fixture
def office(tmp_path: Path) -> Path:
    assert CliRunner().invoke(server.app, ["init", str(tmp_path / "office")]).exit_code == 0
    keyring_files.init(tmp_path / "office" / "keys", "CN-HB", "https://hb.example/s/1", time.time())
    keys_release.make(tmp_path / "office" / "keys", tmp_path / "release.pem", time.time())
    return tmp_path / "office"


def sign(folder: Path, key: SoftwareKey) -> Release:
    bundle = make_bundle(folder)
    platforms, now = list(PLATFORMS), int(time.time())
    release = Release(version="0.2.0", after="0.1.0", size=bundle.size, sha256=bundle.sha256, platforms=platforms, signed_at=now)
    (folder / "release.cbor").write_bytes(signed.write(release, key))
    return release


def test_a_release_is_published_once_and_listed(office: Path, tmp_path: Path) -> None:
    release = sign(tmp_path / "made", SoftwareKey.from_pem((tmp_path / "release.pem").read_bytes()))
    config = ("--config", office / "server.toml")
    done = run("publish", tmp_path / "made", *config, "--json")
    assert (done.exit_code, json.loads(done.stdout)["sha256"]) == (0, release.sha256.hex()), done.output
    assert (office / "releases" / "0.2.0" / "bundle.zip").read_bytes() == (tmp_path / "made" / "bundle.zip").read_bytes()
    again = run("publish", tmp_path / "made", *config)
    assert (again.exit_code, "a release is never changed" in again.stderr) == (2, True)
    assert [json.loads(line)["version"] for line in run("list", *config, "--json").stdout.splitlines()] == ["0.2.0"]


def test_what_a_unit_would_not_take_is_not_published(office: Path, tmp_path: Path) -> None:
    config = ("--config", office / "server.toml")
    sign(tmp_path / "stranger", SoftwareKey.generate())
    done = run("publish", tmp_path / "stranger", *config)
    assert (done.exit_code, "UNKNOWN_KEY: expected a release signed by a key of trust list 2" in done.stderr) == (2, True)
    sign(tmp_path / "changed", SoftwareKey.from_pem((tmp_path / "release.pem").read_bytes()))
    with (tmp_path / "changed" / "bundle.zip").open("ab") as file:
        file.write(b"x")
    done = run("publish", tmp_path / "changed", *config)
    assert (done.exit_code, "expected what the release names" in done.stderr) == (2, True)
    assert not (office / "releases").exists() or list((office / "releases").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--after", "newest"), "--after 'newest': expected three numbers"),
        (("--after", "99.0.0"), "--after 99.0.0: expected "),
        (("--platform", "arm64"), "platform 'arm64': expected a Python and a processor, such as cp311-aarch64"),
        (("--source", "/nowhere"), "/nowhere/pyproject.toml: cannot be read"),
    ],
)
def test_what_no_release_can_be_made_of_is_one_line(office: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("build", tmp_path / "new", "--key", tmp_path / "release.pem", *arguments)
    assert (done.exit_code, said in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.output
    assert not (tmp_path / "new" / "release.cbor").exists()
