"""The broker's files: a configuration of mosquitto 2 with TLS, and the access rules, one section for each account that may do anything.

A section is the whole of what an account may do: who has none may do nothing, whatever certificate they show. The rules are made from the
database and written whole; mosquitto reads them again on SIGHUP, and holds connections that are open to the new ones.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from healthcode.topics import NAMELESS, ROOT
from server.authority import BRIDGE, CONSOLE
from server.home_assistant import PREFIX

CONF_FILE = "mosquitto.conf"
ACL_FILE = "acl"
PID_FILE = "mosquitto.pid"
PORT = 8883

SETTINGS = """\
per_listener_settings false
listener {port}
cafile {folder}/ca.crt
certfile {folder}/server.crt
keyfile {folder}/server.key
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/acl
pid_file {folder}/mosquitto.pid
persistence true
persistence_location {folder}/data/
autosave_interval 1
max_connections 5000
max_queued_messages 20000
max_queued_bytes 67108864
max_inflight_messages 200
set_tcp_nodelay true
max_packet_size 1048576
max_keepalive 600
persistent_client_expiration 7d
log_type error
log_type warning
log_type notice
user {user}
"""
"""A certificate's name is user name and client id, so that nobody takes over another's session. See docs/operations.md for each limit."""
EVERYBODY = f"topic read {ROOT}/all/#\n"
_NAMELESS = "".join(f"topic read {each}\n" for each in NAMELESS)


@dataclass(frozen=True)
class Member:
    """A unit, and the account of its enrolment."""

    account: str
    unit: str


@dataclass(frozen=True)
class NotReloaded:
    """The rules are written, but the broker could not be told: why, and what to type."""

    why: str


def rules(members: Iterable[Member], operators: Iterable[str], prefix: str = PREFIX) -> str:
    """The access rules: the server's two accounts, every enrolled unit, every operator's account. `prefix` is Home Assistant's."""
    parts = [
        "# Made by healthgate from its database, and made anew with every change: what is written by hand here is lost.\n",
        f"user {BRIDGE}\ntopic readwrite {ROOT}/#\ntopic readwrite {prefix}/#\n",
        f"user {CONSOLE}\ntopic readwrite {ROOT}/gates/#\ntopic readwrite {prefix}/#\n",
    ]
    parts += [
        f"user {each.account}\ntopic write {ROOT}/gates/{each.unit}/up/#\ntopic read {ROOT}/gates/{each.unit}/down/#\n{EVERYBODY}"
        for each in sorted(members, key=lambda each: each.account)
    ]
    parts += [
        f"user {account}\n"
        f"topic write {ROOT}/gates/+/down/request/#\n"
        f"{_NAMELESS}"
        f"topic read {ROOT}/bridge/#\n"
        f"topic write {ROOT}/bridge/request/#\n"
        f"topic read {prefix}/#\n"
        f"topic write {prefix}/status\n"
        f"{EVERYBODY}"
        for account in sorted(operators)
    ]
    return "\n".join(parts)


def settings(folder: Path, port: int = PORT) -> str:
    """The configuration of a broker whose files are in `folder`. Where root starts it, it goes on as the folder's owner."""
    return SETTINGS.format(folder=folder.resolve(), port=port, user=folder.owner())


def write_rules(folder: Path, text: str) -> bool:
    """Puts the rules in their place, all at once; False where they are there already. OSError where they cannot be written."""
    path = folder / ACL_FILE
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.touch(0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return True


def reload(folder: Path) -> NotReloaded | None:
    """Tells the broker to read its rules and certificates again, by the number in its pid file."""
    path = folder / PID_FILE
    hint = "on the broker's machine type systemctl reload healthgate-broker, or kill -HUP with its number"
    try:
        number = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return NotReloaded(f"{path} names no process: where the broker runs, {hint}")
    if not _is_broker(number):
        return NotReloaded(f"{path}: process {number} is no mosquitto: where the broker runs, {hint}")
    try:
        os.kill(number, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as wrong:
        return NotReloaded(f"the broker, process {number}, cannot be told: {wrong.strerror}: {hint}")
    return None


def apply(folder: Path, members: Sequence[Member], operators: Sequence[str], prefix: str = PREFIX) -> NotReloaded | None:
    """Writes the rules and, where they have changed, has the broker read them. OSError where they cannot be written."""
    return reload(folder) if write_rules(folder, rules(members, operators, prefix)) else None


def _is_broker(number: int) -> bool:
    """Whether the process is a mosquitto: the number of one that is gone may be anybody's."""
    try:
        return b"mosquitto" in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False
