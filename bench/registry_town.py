"""A registry full of people who do not exist, made fast: the product's own sealing, hashes, indices, facts and rulings, written in bulk.

What `Registry.register` does for one person is done here for a thousand in a transaction, without its audit entries of registrations.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import text

from server.actors import BY_RULES
from server.facts import Declared, Fact, Reviewed
from server.identity import check_character
from server.indices import permute
from server.persons import Person, close_person, fingerprint
from server.registry import Registry
from server.sealing import Seal
from server.store import Store, to_ms

URI = "https://hb.example/s/1"
SLICE = 1000
DAY_S = 86_400.0
_FIRST_DAY = date(1930, 1, 1)
_DAYS = 33_000
_DISTRICT = "420106"


@dataclass
class Town:
    """The registry and what stands behind it; `residents` of ours are in it."""

    store: Store
    seal: Seal
    registry: Registry
    residents: int = 0


def number_of(place: int) -> str:
    """The citizen's number of the person at `place`: right in form, with the sequence numbers that come with it."""
    born = _FIRST_DAY + timedelta(days=place % _DAYS)
    first = f"{_DISTRICT}{born:%Y%m%d}{place // _DAYS:03}"
    return first + check_character(first)


def resident_of(place: int) -> str:
    """The id of the person at `place`."""
    return f"b{place:07}"


def open_town(url: str, now: Callable[[], float]) -> Town:
    """An empty registry in the database at `url`."""
    store = Store.open(url)
    store.migrate(to_ms(now()))
    seal = Seal(os.urandom(32))
    return Town(store, seal, Registry(store, seal, issuer="CN-HB", uris=[URI], now=now))


def fill(town: Town, count: int, now: Callable[[], float], progress: Callable[[int], None]) -> None:
    """Registers people until there are `count`: each has declared, was reviewed by rule, and is green."""
    index_key, capacity = town.seal.derive(f"indices {URI}"), town.registry.capacities[URI]
    while town.residents < count:
        places = range(town.residents, min(town.residents + SLICE, count))
        at = now()
        rows: list[dict[str, Any]] = []
        for place in places:
            person = Person(f"居民{place}", number_of(place), f"138{place % 10**8:08}", district=_DISTRICT)
            resident, identity = resident_of(place), person.identity
            assert identity is not None
            rows.append(
                {
                    "resident": resident,
                    "sealed": close_person(town.seal, resident, person),
                    "number_hash": fingerprint(town.seal, identity),
                    "at_ms": to_ms(at),
                    "uri": URI,
                    "idx": permute(index_key, place, capacity),
                    "district": _DISTRICT,
                }
            )
        facts: list[tuple[str, Fact]] = [
            (row["resident"], fact) for row in rows for fact in (Declared(at, temperature_c=36.6, district=_DISTRICT), Reviewed(at, "rule"))
        ]
        with town.store.write() as tx:
            tx.execute(
                text(
                    "INSERT INTO residents (resident, sealed, number_hash, added_ms, uri, idx, district)"
                    " VALUES (:resident, :sealed, :number_hash, :at_ms, :uri, :idx, :district)"
                ),
                rows,
            )
            tx.execute(text("INSERT INTO assignments (uri, idx, resident, assigned_ms) VALUES (:uri, :idx, :resident, :at_ms)"), rows)
            tx.execute(text("UPDATE lists SET next_position = :next WHERE uri = :uri"), {"next": places[-1] + 1, "uri": URI})
            town.registry.record_many(tx, facts, at, BY_RULES)
        town.residents = places[-1] + 1
        progress(town.residents)


def check_in(at: float) -> Fact:
    """A daily check-in of somebody well."""
    return Declared(at, temperature_c=36.6, district=_DISTRICT, is_check_in=True)
