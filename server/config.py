"""The server's configuration: one TOML file, frozen; an unknown key or an impossible value is an error at start.

Units are in the names: `_s` seconds, `_ms` milliseconds, `_days` days. Paths are relative to the file's own folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from healthcode.messages import IssuerId, Uri
from healthcode.settings import SettingsError, read_toml, why_unread

Name = Annotated[str, Meta(min_length=1, max_length=400)]


class ConfigError(SettingsError):
    """A configuration that cannot be used; each line of the text names a key and what was expected."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: unknown keys are errors."""


class Broker(Section, frozen=True):
    """The MQTT broker. The session outlives the connection by `session_s`, so that events wait for a server that is down.

    It has the name `client_id`: by default that of the user in docs/operations.md, where the broker takes the one for the other.
    With `ca` it speaks TLS and shows `certificate` with `key` (PEM). `files` is the folder of the broker's own files, whose access rules
    this server writes; empty where somebody else does. `name` is how units reach it, empty for `host`.
    """

    host: Name = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    username: Annotated[str, Meta(max_length=64)] = ""
    password_file: Annotated[str, Meta(max_length=400)] = ""
    client_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "bridge"
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 30
    session_s: Annotated[int, Meta(ge=60, le=2_592_000)] = 604_800
    backoff_max_s: Annotated[int, Meta(ge=1, le=600)] = 30
    in_flight: Annotated[int, Meta(ge=1, le=5000)] = 500
    ca: Annotated[str, Meta(max_length=400)] = ""
    certificate: Annotated[str, Meta(max_length=400)] = ""
    key: Annotated[str, Meta(max_length=400)] = ""
    files: Annotated[str, Meta(max_length=400)] = ""
    name: Annotated[str, Meta(max_length=200, pattern=r"^[A-Za-z0-9.:-]*$")] = ""

    @property
    def told(self) -> str:
        """The name or address that units are told."""
        return self.name or self.host


class Intake(Section, frozen=True):
    """How messages from units are gathered into one database commit, and when a unit's fevers go to review instead of ruling."""

    batch_messages: Annotated[int, Meta(ge=1, le=2000)] = 500
    batch_ms: Annotated[int, Meta(ge=0, le=1000)] = 20
    fevers_an_hour: Annotated[int, Meta(ge=1, le=100_000)] = 10


class Lists(Section, frozen=True):
    """How often the status list's deltas, heads and snapshots are published. `keep_deltas` bounds how far back a range may reach.

    What units fetch is sent at `fetch_mbit` (megabits a second) at most: half of what the server's line carries, or less.
    """

    poll_s: Annotated[float, Meta(ge=0.01, le=1.0)] = 0.1
    delta_period_s: Annotated[float, Meta(ge=0.05, le=10.0)] = 0.5
    head_period_s: Annotated[float, Meta(ge=1.0, le=600.0)] = 30.0
    snapshot_period_s: Annotated[float, Meta(ge=1.0, le=86400.0)] = 600.0
    keep_deltas: Annotated[int, Meta(ge=1, le=1_000_000)] = 5000
    fetch_mbit: Annotated[float, Meta(ge=0.1, le=100_000.0)] = 50.0


class Codes(Section, frozen=True):
    """How long codes live: slots and packs of live codes, and paper. `overlap_s` is added at both ends of a slot for clocks that differ."""

    slot_s: Annotated[int, Meta(ge=10, le=600)] = 120
    overlap_s: Annotated[int, Meta(ge=0, le=60)] = 10
    pack_s: Annotated[int, Meta(ge=60, le=14_400)] = 14_400
    paper_days: Annotated[int, Meta(ge=1, le=90)] = 28


class HomeAssistant(Section, frozen=True):
    """Whether units are told to Home Assistant as devices, and under which prefix it looks for them."""

    enabled: bool = False
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "homeassistant"


class Metrics(Section, frozen=True):
    """Where Prometheus finds figures: `port` for the process `server run`, `web_port` for `server web`; 0 for none."""

    host: Name = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    web_port: Annotated[int, Meta(ge=0, le=65535)] = 0


class Web(Section, frozen=True):
    """The residents' and officers' pages and the API for apps: `healthgate server web`.

    `origin` is how people reach them, https://code.example.org; empty: this machine alone, by plain HTTP, for trying out. `proxies` are
    the addresses whose word about a visitor's address counts. With `certificate` and `key` (PEM) it speaks TLS by itself. Times
    are told in `zone`.
    """

    host: Name = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    origin: Annotated[str, Meta(pattern=r"^$|^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?$", max_length=200)] = ""
    proxies: Annotated[list[Name], Meta(max_length=16)] = []
    certificate: Annotated[str, Meta(max_length=400)] = ""
    key: Annotated[str, Meta(max_length=400)] = ""
    zone: Annotated[str, Meta(pattern=r"^[A-Za-z_]+(/[A-Za-z_]+)*$", max_length=40)] = "Asia/Shanghai"


class Households(Section, frozen=True):
    """How many others an account may look after, how many claims may wait, how long a hand-over code and a draft are kept."""

    members: Annotated[int, Meta(ge=1, le=100)] = 8
    claims: Annotated[int, Meta(ge=1, le=100)] = 3
    code_hours: Annotated[int, Meta(ge=1, le=720)] = 24
    draft_days: Annotated[int, Meta(ge=1, le=90)] = 7


class Apps(Section, frozen=True):
    """How often an app may ask, and how often for one person: a steady rate, and what may come at once.

    An app may have `waiting` people whose number was known already and who have not been checked; beyond that it registers nobody.
    """

    per_minute: Annotated[float, Meta(ge=1.0, le=6_000_000.0)] = 12_000.0
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 400
    person_per_minute: Annotated[float, Meta(ge=1.0, le=6000.0)] = 30.0
    person_burst: Annotated[int, Meta(ge=1, le=1000)] = 30
    waiting: Annotated[int, Meta(ge=0, le=1_000_000)] = 20


class Privacy(Section, frozen=True):
    """How many days is kept: events with a code, other events, and what was needed to decide (papers, claims, ids of reports)."""

    passes_days: Annotated[int, Meta(ge=1, le=90)] = 14
    events_days: Annotated[int, Meta(ge=14, le=3650)] = 90
    papers_days: Annotated[int, Meta(ge=7, le=365)] = 30


class Config(Section, frozen=True):
    """The whole of the server's configuration. `database` is an SQLAlchemy URL; empty means SQLite in the data folder.

    `uri` is our status list. When it is full, the next resident goes on the first of `further_uris` that has room. A list takes 16 MiB.
    `policy` is a file with the rules by which a colour follows; empty: those in server/policy.toml. `releases` is the folder of what units
    fetch.
    """

    issuer: IssuerId
    uri: Uri
    further_uris: Annotated[list[Uri], Meta(max_length=15)] = []
    data: Name = "data"
    keys: Name = "keys"
    roots: Annotated[list[Name], Meta(min_length=1, max_length=4)] = msgspec.field(default_factory=lambda: ["keys/root.pub.pem"])
    database: Annotated[str, Meta(max_length=400)] = ""
    policy: Annotated[str, Meta(max_length=400)] = ""
    releases: Name = "releases"
    broker: Broker = Broker()
    intake: Intake = Intake()
    lists: Lists = Lists()
    codes: Codes = Codes()
    households: Households = Households()
    privacy: Privacy = Privacy()
    web: Web = Web()
    apps: Apps = Apps()
    home_assistant: HomeAssistant = HomeAssistant()
    metrics: Metrics = Metrics()

    @property
    def uris(self) -> list[str]:
        """All of our lists, in the order in which they fill."""
        return [self.uri, *self.further_uris]

    @property
    def database_url(self) -> str:
        """Where the store is."""
        return self.database or f"sqlite:///{Path(self.data) / 'registry.sqlite'}"

    @property
    def seal_file(self) -> Path:
        """The key file under which names and numbers are sealed."""
        return Path(self.keys) / "seal.key"


def parse(text: str, name: str = "configuration", folder: Path | None = None) -> Config:
    """The configuration in `text`, TOML, its paths made absolute from `folder`; ConfigError says all that is wrong."""
    try:
        config = read_toml(text, Config, name)
    except SettingsError as wrong:
        raise ConfigError(str(wrong)) from None
    if len(set(config.uris)) < len(config.uris):
        raise ConfigError(f"{name}: further_uris: expected lists that differ from uri and from each other")
    if bool(config.web.certificate) != bool(config.web.key):
        raise ConfigError(f"{name}: web.certificate and web.key: expected both or neither")
    if len({bool(config.broker.ca), bool(config.broker.certificate), bool(config.broker.key)}) > 1:
        raise ConfigError(f"{name}: broker.ca, broker.certificate and broker.key: expected all three or none")
    try:
        ZoneInfo(config.web.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"{name}: web.zone = {config.web.zone!r}: expected a zone of the tz database, Asia/Shanghai") from None
    if folder is None:
        return config

    def full(path: str) -> str:
        return str(folder / path) if path else ""

    broker, web = config.broker, config.web
    return msgspec.structs.replace(
        config,
        policy=full(config.policy),
        data=str(folder / config.data),
        releases=str(folder / config.releases),
        keys=str(folder / config.keys),
        roots=[str(folder / root) for root in config.roots],
        broker=msgspec.structs.replace(
            broker,
            password_file=full(broker.password_file),
            ca=full(broker.ca),
            certificate=full(broker.certificate),
            key=full(broker.key),
            files=full(broker.files),
        ),
        web=msgspec.structs.replace(web, certificate=full(web.certificate), key=full(web.key)),
    )


def load(path: Path) -> Config:
    """The configuration in the file `path`; ConfigError names the file and all that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{path}: cannot be read: {why_unread(wrong)}") from None
    return parse(text, str(path), path.resolve().parent)
