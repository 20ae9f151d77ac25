"""`healthgate release`: builds, signs, shows and publishes what gates run."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from edge.files import sync_folder, write_atomically
from edge.venvs import PI_PACKAGES
from healthcode import signed
from healthcode.cose import SoftwareKey
from healthcode.messages import MAX_HEAD, Release, ReleaseVersion
from healthcode.releases import order
from healthcode.signed import Signed
from healthgate import bundles
from healthgate.bundles import BundleError
from healthgate.errors import one_line_errors
from healthgate.keyring_files import KeysError, read_file
from healthgate.times import rfc3339
from server.config import Config, ConfigError, load
from server.keys import KeyFileError, load_roots, read_trust
from server.sealing import SealError, read_private

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Build, sign and publish what gates run."
)
in_one_line = one_line_errors("healthgate release", BundleError, KeysError, KeyFileError, ConfigError, SealError)

BUNDLE_FILE, RELEASE_FILE = "bundle.zip", "release.cbor"
PIECE = 1024 * 1024
ConfigPath = Annotated[Path, typer.Option("--config", help="The server's configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of lines for people.")]


@app.command("build")
@in_one_line
def build(
    into: Annotated[Path, typer.Argument(help="The folder to make, such as release-0.2.0.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The release key, a file of mode 0600 that `keys release-key` made.", show_default=False)],
    after: Annotated[
        str, typer.Option(help="The oldest release from which this one may be reached; it must still be able to read what this one writes.")
    ] = "0.1.0",
    platform: Annotated[
        list[str] | None, typer.Option(help="A Python and a processor; again for more.", show_default=" ".join(bundles.PLATFORMS))
    ] = None,
    source: Annotated[Path, typer.Option(help="The checkout to build.")] = Path(__file__).parent.parent,
    as_json: AsJson = False,
) -> None:
    """Make a bundle of this checkout with all wheels that gates need, and sign it.

    Each wheel is checked against requirements/edge.txt. The version is that of pyproject.toml. `release publish` puts it on a server.
    """
    if (into / RELEASE_FILE).exists():
        raise BundleError(f"{into / RELEASE_FILE}: exists already, expected a new folder")
    oldest, version = as_version(after, "--after"), bundles.own_version(source)
    if order(oldest) > order(version):
        raise BundleError(f"--after {oldest}: expected {version} or an older release")
    signer = _read_key(key)
    try:
        platforms = platform or list(bundles.PLATFORMS)
        made = bundles.build(source, into, platforms)
        now = int(time.time())
        release = Release(version=made.version, after=oldest, size=made.size, sha256=made.sha256, platforms=platforms, signed_at=now)
        write_atomically(into / RELEASE_FILE, signed.write(release, signer))
    except OSError as wrong:
        raise BundleError(f"{wrong.filename or into}: {wrong.strerror}") from None
    if as_json:
        typer.echo(json.dumps(as_dict(release) | {"kid": signer.kid.hex(), "path": str(into), "wheels": list(made.wheels)}))
        return
    tell(release)
    typer.echo(f"{len(made.wheels)} wheels; from a Raspberry Pi's own packages comes {' '.join(PI_PACKAGES)}")
    typer.echo(f"{into}: signed by {signer.kid.hex()}; next: healthgate release publish {into} --config office/server.toml")


@app.command("publish")
@in_one_line
def publish(
    folder: Annotated[Path, typer.Argument(help="A folder that `release build` made.", show_default=False)],
    config: ConfigPath = Path("server.toml"),
    as_json: AsJson = False,
) -> None:
    """Check a release as a unit would, and put it where units fetch it. No unit takes it before it is told to: `fleet update`."""
    found = load(config)
    raw = read_file(folder / RELEASE_FILE, MAX_HEAD)
    release = check(raw, found, time.time())
    target = Path(found.releases) / release.version
    if target.exists():
        raise BundleError(f"{target}: is published already: a release is never changed, build the next version")
    try:
        check_bundle(folder / BUNDLE_FILE, release)
        fresh = target.with_name(f".{release.version}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        shutil.copyfile(folder / BUNDLE_FILE, fresh / BUNDLE_FILE)
        check_bundle(fresh / BUNDLE_FILE, release)
        write_atomically(fresh / RELEASE_FILE, raw)
        fresh.rename(target)
        sync_folder(target.parent)
    except OSError as wrong:
        raise BundleError(f"{wrong.filename or target}: {wrong.strerror}") from None
    if as_json:
        typer.echo(json.dumps(as_dict(release) | {"path": str(target)}))
    else:
        tell(release)
        typer.echo(f"{target}: published")


@app.command("list")
@in_one_line
def list_releases(config: ConfigPath = Path("server.toml"), as_json: AsJson = False) -> None:
    """Show what is published, the newest first."""
    found = load(config)
    for release in published(found):
        if as_json:
            typer.echo(json.dumps(as_dict(release)))
        else:
            tell(release)


def published(config: Config) -> list[Release]:
    """The releases on a server that its trust list vouches for, the newest first."""
    known = []
    for path in Path(config.releases).glob(f"[0-9]*/{RELEASE_FILE}"):
        try:
            known.append(check(read_file(path, MAX_HEAD), config, time.time()))
        except (BundleError, KeysError):
            continue  # of a key that was withdrawn: no unit takes it either
    return sorted(known, key=lambda release: order(release.version), reverse=True)


def check(raw: bytes, config: Config, at: float) -> Release:
    """The release in `raw`, signed by a key that the server's trust list has for it; BundleError where it is not."""
    ring = read_trust(Path(config.keys), load_roots(config.roots)).ring
    found = signed.read(raw, Release, ring, at)
    if not isinstance(found, Signed):
        raise BundleError(f"{RELEASE_FILE}: {found.value}: expected a release signed by a key of trust list {ring.version}")
    return found.message


def check_bundle(path: Path, release: Release) -> None:
    """BundleError where the file is not the bundle of `release`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    if (path.stat().st_size, digest.digest()) != (release.size, release.sha256):
        raise BundleError(f"{path}: {path.stat().st_size} bytes, SHA-256 {digest.hexdigest()[:16]}...: expected what the release names")


def as_version(text: str, name: str) -> str:
    """A version that somebody typed; BundleError where it is none."""
    try:
        return msgspec.convert(text, ReleaseVersion)
    except msgspec.ValidationError:
        raise BundleError(f"{name} {text[:40]!r}: expected three numbers with dots between, such as 0.2.0") from None


def as_dict(release: Release) -> dict[str, object]:
    """A release for programs."""
    said: dict[str, object] = msgspec.to_builtins(release, builtin_types=(bytes,))
    return said | {"sha256": release.sha256.hex(), "signed_at": rfc3339(release.signed_at)}


def tell(release: Release) -> None:
    """A release in one line."""
    size = f"{release.size / 1e6:.1f} MB"
    typer.echo(f"{release.version}: {size}, {', '.join(release.platforms)}, from {release.after} on, SHA-256 {release.sha256.hex()}")


def _read_key(path: Path) -> SoftwareKey:
    try:
        return SoftwareKey.from_pem(read_private(path))
    except ValueError as wrong:
        raise BundleError(f"{path}: {wrong}") from None
