"""What a server needs to have its own broker by TLS: the fleet's authority, certificates, the broker's configuration and access rules.

    keys/fleet-ca.pem, fleet-ca.crt     the authority (`server.authority`)
    keys/bridge.pem, bridge.crt         the server's own account at the broker
    broker/server.key, server.crt       of the broker and of the pages; broker/ca.crt is the authority's certificate again
    broker/mosquitto.conf, acl          `server.mosquitto`; broker/data is what the broker keeps

Keys that are there already stay as they are, and with them the fingerprints that secrets carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from server import authority, mosquitto
from server.authority import Authority, key_pem, make_key, pem, read_certificate, read_key
from server.sealing import write_private

WEB_PORT = 8443
LOCAL = ("localhost", "127.0.0.1")
"""Names under which the server's own process reaches the broker."""

SECTIONS = """
[broker]
port = {port}
name = "{name}"
ca = "broker/ca.crt"
certificate = "keys/bridge.crt"
key = "keys/bridge.pem"
files = "broker"

[web]
host = "0.0.0.0"
port = {web_port}
origin = "https://{name}:{web_port}"
certificate = "broker/server.crt"
key = "broker/server.key"
"""


def sections(name: str, port: int, web_port: int) -> str:
    """The sections of server.toml for what `prepare` makes."""
    return SECTIONS.format(name=name, port=port, web_port=web_port)


def prepare(keys: Path, broker: Path, names: Sequence[str], port: int, at: float) -> list[Path]:
    """Makes what is missing in the folders of keys and broker, reached under `names`; the files that were made.

    KeyFileError, SealError or OSError.
    """
    made: list[Path] = []
    (broker / "data").mkdir(parents=True, exist_ok=True)
    broker.chmod(0o700)
    if (keys / authority.KEY_FILE).exists():
        fleet = Authority.load(keys)
    else:
        fleet = Authority.create(keys, at)
        made += [keys / authority.KEY_FILE, keys / authority.CERTIFICATE_FILE]
    made += _put(broker / "ca.crt", fleet.pem)
    server = _key(broker / "server.key", made)
    if not (broker / "server.crt").exists():
        made += _put(broker / "server.crt", pem(fleet.server(server.public_key(), _every(names), at)))
    bridge = _key(keys / "bridge.pem", made)
    if not (keys / "bridge.crt").exists():
        made += _put(keys / "bridge.crt", pem(fleet.client(bridge.public_key(), authority.BRIDGE, at, authority.SERVER_DAYS)))
    made += _put(broker / mosquitto.CONF_FILE, mosquitto.settings(broker, port))
    made += _put(broker / mosquitto.ACL_FILE, mosquitto.rules([], []))
    return made


def renew(keys: Path, broker: Path, names: Sequence[str], at: float) -> list[Path]:
    """The server's own certificates anew, for the keys that are there; without `names` for those that the last one had."""
    fleet = Authority.load(keys)
    every = _every(names) if names else authority.names_of(read_certificate(broker / "server.crt"))
    made = {
        broker / "server.crt": fleet.server(read_key(broker / "server.key").public_key(), every, at),
        keys / "bridge.crt": fleet.client(read_key(keys / "bridge.pem").public_key(), authority.BRIDGE, at, authority.SERVER_DAYS),
    }
    for path, certificate in made.items():
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(pem(certificate), encoding="ascii")
        fresh.replace(path)
    return list(made)


def _every(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*names, *LOCAL]))


def _key(path: Path, made: list[Path]) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        write_private(path, key_pem(make_key()))
        made.append(path)
    return read_key(path)


def _put(path: Path, text: str) -> list[Path]:
    """The file, where it is missing."""
    if path.exists():
        return []
    path.touch(0o600)
    path.write_text(text, encoding="utf-8")
    return [path]
