"""Bundles: all that a gate runs beside its own Python, in one file, for every processor that gates have.

    VERSION, requirements.txt       what it is; what is to be installed, each wheel with its SHA-256
    wheels/                         ours, and those that requirements/edge.txt pins
    deploy/                         systemd's files and lines for the firmware, for the first release of a unit alone
    __main__.py                     edge/venvs.py: `python3 healthgate-0.2.0.zip FOLDER` makes a unit's first release

Nothing in it depends on when or where it was built, so the same wheels give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from edge.venvs import DEPLOY, REQUIREMENTS, VERSION_FILE, WHEELS, fits
from healthcode.messages import MAX_BUNDLE, Platform, ReleaseVersion

PLATFORMS = ("cp311-aarch64", "cp311-x86_64")
"""Raspberry Pi OS on Debian 12, and the machines on which people try things out."""
OLDEST_GLIBC, NEWEST_GLIBC = 17, 36
"""Minor versions of the C library 2.x whose wheels run on Debian 12, which has 2.36."""
DOWNLOAD_S = 1800.0
DEPLOYED = ("config.txt", "healthgate-edge.service", "healthgate-updates.service", "healthgate-watchdog.conf")
"""What of deploy/ is a gate's."""
FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a bundle: the earliest that a zip can say."""


class BundleError(ValueError):
    """What no bundle can be made of; the text is one line."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk: its version, length and SHA-256, and the wheels in it."""

    path: Path
    version: str
    size: int
    sha256: bytes
    wheels: tuple[str, ...]


def own_version(checkout: Path) -> str:
    """The version of the source in `checkout`; BundleError where it is none of ours, or no release can have it."""
    path = checkout / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        if project["name"] != "healthgate":
            raise BundleError(f"{path}: is of {project['name']!r}, expected healthgate")
        return msgspec.convert(project["version"], ReleaseVersion)
    except OSError as wrong:
        raise BundleError(f"{path}: cannot be read: {wrong.strerror}: expected a checkout of healthgate") from None
    except (tomllib.TOMLDecodeError, KeyError, UnicodeDecodeError, msgspec.ValidationError) as wrong:
        raise BundleError(f"{path}: {wrong}: expected [project] with a name and a version such as 0.2.0") from None


def build_own_wheel(checkout: Path, into: Path) -> Path:
    """The wheel of the source in `checkout`, in the folder `into`."""
    try:
        from hatchling.builders.wheel import WheelBuilder
    except ModuleNotFoundError:
        raise BundleError("the package hatchling is missing, which builds our wheel: type pip install 'healthgate[release]'") from None
    return Path(next(iter(WheelBuilder(str(checkout)).build(directory=str(into), versions=["standard"]))))


def pinned_for(requirements: str, platform: str) -> str:
    """Those of the pinned requirements that `platform` needs, without their conditions: pip would ask those of the machine that builds."""
    python, machine = platform.split("-")
    version = f"{python[2]}.{python[3:]}"
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": "linux",
    }
    lines = []
    for line in requirements.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        said, *hashes = line.split(" --hash=")
        try:
            wanted = Requirement(said.strip())
        except InvalidRequirement as wrong:
            raise BundleError(f"requirement {said.strip()[:60]!r}: {wrong}") from None
        if not hashes:
            raise BundleError(f"requirement {said.strip()[:60]!r}: has no hash, expected what requirements/compile.sh writes")
        if wanted.marker is None or wanted.marker.evaluate({**environment, "extra": ""}):
            lines.append(" --hash=".join([f"{wanted.name}{wanted.specifier}", *(each.strip() for each in hashes)]))
    return "\n".join(lines) + "\n"


def download(requirements: str, platform: str, into: Path) -> None:
    """The wheels that `platform` needs, each checked against its hash, into the folder `into`."""
    python, machine = platform.split("-")
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)] + [f"manylinux2014_{machine}"]
    file = into / f".{platform}.txt"
    file.write_text(pinned_for(requirements, platform), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "-q", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python[2:], "-d", str(into), "-r", str(file)]
    command += [word for tag in tags for word in ("--platform", tag)] + [
        word for abi in (python, "abi3", "none") for word in ("--abi", abi)
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=DOWNLOAD_S)  # noqa: S603
    file.unlink()
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["pip failed"]
        raise BundleError(f"wheels for {platform}: {said[-1][:300]}")


def pack(own: Path, wheels: Sequence[Path], requirements: str, version: str, path: Path, deploy: Sequence[Path] = ()) -> Bundle:
    """A bundle of our wheel `own`, the others and the files `deploy`, in the new file `path`."""
    from edge import venvs

    ours = f"healthgate=={version} --hash=sha256:{hashlib.sha256(own.read_bytes()).hexdigest()}\n"
    names = {wheel.name: wheel for wheel in (own, *wheels)}
    content: dict[str, Path | bytes] = {f"{WHEELS}/{name}": names[name] for name in sorted(names)}
    content |= {VERSION_FILE: f"{version}\n".encode(), REQUIREMENTS: (requirements.rstrip() + "\n" + ours).encode()}
    content |= {f"{DEPLOY}/{file.name}": file for file in deploy}
    content["__main__.py"] = Path(venvs.__file__).read_bytes()
    fresh = path.with_name(path.name + ".new")
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_STORED) as archive:  # wheels are packed already
        for name, what in sorted(content.items()):
            info = zipfile.ZipInfo(name, FIRST_DAY)
            info.external_attr = 0o644 << 16
            archive.writestr(info, what if isinstance(what, bytes) else what.read_bytes())
    data = fresh.read_bytes()
    if len(data) > MAX_BUNDLE:
        fresh.unlink()
        raise BundleError(f"{path}: {len(data)} bytes: expected at most {MAX_BUNDLE}")
    fresh.replace(path)
    return Bundle(path, version, len(data), hashlib.sha256(data).digest(), tuple(sorted(names)))


def build(checkout: Path, into: Path, platforms: Sequence[str] = PLATFORMS) -> Bundle:
    """The bundle of the source in `checkout`, as bundle.zip in the folder `into`. BundleError says what is missing."""
    version = own_version(checkout)
    requirements = (checkout / "requirements" / "edge.txt").read_text(encoding="utf-8")
    for platform in platforms:
        check_platform(platform)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=".wheels-") as folder:
        os.environ.setdefault("SOURCE_DATE_EPOCH", "1580601600")  # hatchling's own: our wheel, too, does not say when it was built
        (Path(folder) / "own").mkdir()
        own = build_own_wheel(checkout, Path(folder) / "own")
        for platform in platforms:
            download(requirements, platform, Path(folder))
        wheels = sorted(Path(folder).glob("*.whl"))
        for platform in platforms:
            machine = platform.split("-")[1]
            wanted, here = len(pinned_for(requirements, platform).splitlines()), sum(fits(wheel.name, machine) for wheel in wheels)
            if here != wanted:
                raise BundleError(f"{platform}: {here} wheels, expected {wanted}")
        return pack(own, wheels, requirements, version, into / "bundle.zip", [checkout / "deploy" / name for name in DEPLOYED])


def check_platform(name: str) -> str:
    """`name` itself; BundleError where it is no platform."""
    try:
        return msgspec.convert(name, Platform)
    except msgspec.ValidationError:
        raise BundleError(f"platform {name[:40]!r}: expected a Python and a processor, such as {' or '.join(PLATFORMS)}") from None
