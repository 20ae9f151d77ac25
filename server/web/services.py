"""What the pages work with: the open office, the key of codes, catalogues, cookies' names. One object, made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from fastapi import Request

from healthcode.cose import Signer
from healthcode.trust import KeyRing
from server.issuer import Issuer
from server.office import Office
from server.sentences import Language, sentences
from server.web.jobs import Jobs
from server.web.language import Words
from server.web.rates import Rate, Rates

PACKS = Rate(burst=60, a_minute=30)
"""Packs of codes for one account: a family of nine on three phones, whose colours all change; one pack takes some 30 ms to sign."""

UPLOADS = Rate(burst=10, a_minute=2)
"""Requests with papers, and files of all that is held, for one account: each is megabytes or many questions to the database."""


@dataclass(frozen=True)
class Cookies:
    """Names of our cookies. Over TLS they carry the prefix by which a browser takes them from this host alone (RFC 6265bis, 4.1.3)."""

    is_secure: bool

    @property
    def session(self) -> str:
        """The session's token."""
        return self._name("session")

    @property
    def form(self) -> str:
        """The secret of forms before anybody is signed in."""
        return self._name("form")

    @property
    def browser(self) -> str:
        """The mark of a browser that was signed in before."""
        return self._name("browser")

    @property
    def language(self) -> str:
        """The language that was chosen."""
        return self._name("language")

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self.is_secure else f"hg-{name}"


@dataclass(frozen=True)
class Services:
    """All that a page may ask. `sign_token` gives the key that signs codes now, `ring` the keys that are trusted now."""

    office: Office
    sign_token: Callable[[], Signer]
    ring: Callable[[], KeyRing]
    cookies: Cookies = field(init=False)
    words: Mapping[Language, Words] = field(init=False)
    form_key: bytes = field(init=False)
    jobs: Jobs = field(init=False, default_factory=Jobs)
    packs: Rates = field(init=False, default_factory=lambda: Rates(PACKS))
    uploads: Rates = field(init=False, default_factory=lambda: Rates(UPLOADS))

    def __post_init__(self) -> None:
        web = self.office.config.web
        zone = ZoneInfo(web.zone)
        object.__setattr__(self, "cookies", Cookies(bool(web.origin)))
        object.__setattr__(self, "words", {language: Words(language, sentences(language), zone) for language in Language})
        object.__setattr__(self, "form_key", self.office.seal.derive("forms"))

    @property
    def issuer(self) -> Issuer:
        """Who signs codes, with the key of this moment."""
        office = self.office
        return Issuer(office.store, self.sign_token(), office.config.issuer, office.config.codes, office.now)


async def services_of(request: Request) -> Services:
    """`services_in` as a dependency: what is not asynchronous is sent to a thread, which takes longer than this."""
    return services_in(request)


def services_in(request: Request) -> Services:
    """The services of the application that answers `request`."""
    found = request.app.state.services
    if not isinstance(found, Services):
        raise TypeError("the application has no services")
    return found
