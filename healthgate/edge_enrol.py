"""`healthgate edge enrol`: a new unit comes to its server with the one-time secret, and goes with all that it needs to come on line.

What is asked of the disk comes in this order, each file whole or not there: the key, before anything is asked; then, from the answer, root
keys, certificates, and gate.toml last. So the power may fail at any point: the same command goes on with the same key, and a server
answers the same key as it did before.
"""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge import config as configuration
from edge.config import ConfigError
from edge.files import write_atomically
from edge.identity import spki_of
from edge.releasedoor import version_of
from healthcode.admission import NotASecret, Secret
from healthgate.enrol_client import Answered, NotEnrolled, Server, check, fetch
from healthgate.errors import one_line_errors


@dataclass(frozen=True)
class Places:
    """Where the files go: what is fixed into `folder`, what the unit itself renews into `data`."""

    folder: Path
    data: Path

    @property
    def config(self) -> Path:
        """The unit's configuration."""
        return self.folder / "gate.toml"

    @property
    def identity(self) -> Path:
        """Key and certificates."""
        return self.data / "identity"

    @property
    def key(self) -> Path:
        """The unit's private key."""
        return self.identity / "unit.pem"

    @property
    def certificate(self) -> Path:
        """The unit's certificate."""
        return self.identity / "unit.crt"

    @property
    def ca(self) -> Path:
        """The fleet's certificate, by which the unit knows the broker."""
        return self.identity / "ca.crt"

    def root(self, number: int) -> Path:
        """A root's public key."""
        return self.folder / f"root-{number}.pub.pem"


@one_line_errors("healthgate", NotEnrolled, NotASecret, ConfigError, OSError)
def enrol(
    server: Annotated[str, typer.Argument(help="The server's pages, as `healthgate fleet enrol` printed it: hub.example:8443.")],
    secret: Annotated[str, typer.Argument(help="The one-time secret, with or without hyphens; - reads it from the standard input.")],
    folder: Annotated[Path, typer.Option(help="Where gate.toml and the root keys go.")] = Path("/etc/healthgate"),
    data: Annotated[Path, typer.Option(help="The unit's own folder, for its key and certificate and all that it keeps.")] = Path(
        "/var/lib/healthgate"
    ),
    account: Annotated[
        str, typer.Option(help="The account that the service runs in; the files are its own where root enrols.")
    ] = "healthgate",
    simulated: Annotated[
        str, typer.Option(help="For trials: the socket of a simulated world, in place of a Pi's pins and sensor.", show_default=False)
    ] = "",
) -> None:
    """Enrol this unit: make its key here, and fetch certificate, root keys and first configuration from SERVER by the one-time SECRET.

    Nothing is said to a server whose certificate has not the fingerprint that the secret carries. It may be done again at any time.
    """
    places = Places(folder.absolute(), data.absolute())
    known = Secret.parse(typer.get_text_stream("stdin").readline() if secret == "-" else secret)  # noqa: S105
    where = Server.parse(server)
    owner = _owner(account)
    mask = os.umask(0o077)
    try:
        key = keep_key(places)
        answered = fetch(where, known, key)
        answer = answered.answer
        check(answer, known, key)
        lines = keep(answered, places, simulated, where)
        if owner is not None:
            _give(places, owner)
    finally:
        os.umask(mask)
    for line in lines:
        typer.echo(line)
    typer.echo(f"{answer.unit} is enrolled; broker {answer.host}:{answer.port}. Next: healthgate edge check --config {places.config}")


def keep_key(places: Places) -> ec.EllipticCurvePrivateKey:
    """The unit's key, made and on the disk where there is none; ConfigError where the file is no key."""
    if not places.key.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        write_atomically(places.key, made.private_bytes(*encoding), mode=0o600)
    pem = places.key.read_bytes()
    spki_of(pem)
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{places.key}: expected a key of P-256; take the file away, and another one is made")
    return key


def keep(answered: Answered, places: Places, world: str, server: Server) -> list[str]:
    """Puts everything where it belongs, gate.toml last; what was done, a line each. OSError where the disk does not take it."""
    answer = answered.answer
    files = {
        **{places.root(number): root for number, root in enumerate(answer.roots, 1)},
        places.ca: answer.ca,
        places.certificate: answer.certificate,
    }
    for path, text in files.items():
        write_atomically(path, text.encode(), mode=0o600)
    text = first_config(answered, places, world, server)
    if not places.config.exists():
        write_atomically(places.config, text.encode(), mode=0o600)
        bare = [] if "[updates]" in text else [f"{places.config}: without [updates], which wants a name or an IPv4 address, not {server}"]
        return [*(f"{path}: written" for path in files), f"{places.config}: written", *bare]
    return [*(f"{path}: written" for path in files), *_differences(places.config, text)]


def first_config(answered: Answered, places: Places, world: str, server: Server, prefix: Path = Path(sys.prefix)) -> str:
    """The unit's first configuration; ConfigError where a folder's name makes it none.

    From `server` comes a certificate where the unit's has ended and, where this is a release, installed at `prefix`, the next. The fleet's
    authority vouches for it, or where a proxy stands before it those that the system knows.
    """
    answer = answered.answer
    is_release, is_named = version_of(prefix) is not None, ":" not in server.host
    roots = [str(places.root(number)) for number in range(1, len(answer.roots) + 1)]
    lines = [
        "# Written by `healthgate edge enrol`. Every key and its default: healthgate edge example",
        f"unit = {_quoted(answer.unit)}",
        f"hardware = {_quoted('simulated' if world else 'pi')}",
        f"data = {_quoted(str(places.data))}",
        f"roots = [{', '.join(map(_quoted, roots))}]",
        *([f"world = {_quoted(world)}", "", "[camera]", 'source = "simulated"'] if world else []),
        "",
        "[link]",
        f"host = {_quoted(answer.host)}",
        f"port = {answer.port}",
        f"ca = {_quoted(str(places.ca))}",
        f"certificate = {_quoted(str(places.certificate))}",
        f"key = {_quoted(str(places.key))}",
        *(["", "[updates]", f"server = {_quoted(f'https://{server}')}"] if is_named else []),
        *([f"ca = {_quoted(str(places.ca))}"] if is_named and answered.is_by_fleet else []),
        *([f"folder = {_quoted(str(prefix.resolve().parent.parent))}"] if is_release and is_named else []),
    ]
    text = "\n".join(lines) + "\n"
    configuration.parse(text, str(places.config))
    return text


def _differences(path: Path, fresh: str) -> list[str]:
    """What a gate.toml that is there already, and is kept, would have to say."""
    held, wanted = configuration.load(path), configuration.parse(fresh)
    pairs = {
        "unit": (held.unit, wanted.unit),
        "roots": (held.roots, wanted.roots),
        **{f"link.{name}": (getattr(held.link, name), getattr(wanted.link, name)) for name in ("host", "port", "ca", "certificate", "key")},
    }
    wrong = [f"{path}: {name} is {_shown_value(old)}: change it to {_shown_value(new)}" for name, (old, new) in pairs.items() if old != new]
    return wrong or [f"{path}: kept as it is"]


def _shown_value(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _quoted(text: str) -> str:
    """A TOML string; ConfigError where it cannot be one."""
    if not text.isprintable():
        raise ConfigError(f"{text!r}: expected a name that can be printed")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _owner(account: str) -> pwd.struct_passwd | None:
    """Whose the files are to be; None where this account makes its own. NotEnrolled where there is no such account."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(account)
    except KeyError:
        raise NotEnrolled(f"no account {account}: type useradd --system {account}, or name another by --account") from None


def _give(places: Places, owner: pwd.struct_passwd) -> None:
    for path in (
        places.folder,
        places.data,
        places.identity,
        *places.identity.iterdir(),
        places.config,
        *places.folder.glob("root-*.pub.pem"),
    ):
        os.chown(path, owner.pw_uid, owner.pw_gid)
