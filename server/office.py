"""The open office: configuration, database and services: what commands, the bridge's process and the web's process begin with."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from healthcode.status import CAPACITY
from server.accounts import Accounts
from server.app_people import AppPeople
from server.appeals import Appeals
from server.apps import Apps
from server.charges import Limit
from server.checkins import CheckIns
from server.closing import Closing
from server.config import Config, ConfigError
from server.corrections import Corrections
from server.counts import Counts
from server.deadlines import Deadlines
from server.desired import Desires
from server.dossiers import Dossiers
from server.drafts import Drafts
from server.epidemic import Epidemic
from server.fleet_watch import FleetWatch
from server.handovers import HandOvers
from server.households import Households
from server.insight import Insight
from server.keys import KeyFileError
from server.number_proposals import NumberProposals
from server.policies import Policies
from server.policy import PolicyError
from server.proposals import Proposals
from server.registry import Registry
from server.replays import Replays
from server.retention import Retention
from server.reviews import Reviews
from server.rulebook import load_policy
from server.sealing import Seal, SealError, load_seal
from server.sessions import Sessions
from server.store import Store, StoreError, to_ms

log = logging.getLogger("server")

STARTING_ERRORS = (ConfigError, KeyFileError, PolicyError, SealError, StoreError)
"""What can be wrong before anything runs; the text of each is one line for people."""


@dataclass(frozen=True)
class Office:
    """The store and what needs no broker: what commands and pages work on. `now` gives seconds since 1970."""

    config: Config
    store: Store
    seal: Seal
    now: Callable[[], float]
    registry: Registry
    accounts: Accounts
    sessions: Sessions
    handovers: HandOvers
    households: Households
    closing: Closing
    checkins: CheckIns
    drafts: Drafts
    reviews: Reviews
    counts: Counts
    epidemic: Epidemic
    dossiers: Dossiers
    proposals: Proposals
    number_proposals: NumberProposals
    policies: Policies
    apps: Apps
    app_people: AppPeople
    replays: Replays
    appeals: Appeals
    deadlines: Deadlines
    insight: Insight
    retention: Retention
    watch: FleetWatch
    desires: Desires

    def chores(self) -> bool:
        """What time brings in the registry beside colours, a moment's work: proposals, what is overdue, deletions; whether more waits."""
        self.deadlines.step()
        has_more = self.proposals.step()
        self.policies.step()
        return self.retention.step() or has_more

    def tidy(self) -> None:
        """Forgets what is over: sessions, attempts, hand-over codes, drafts, apps' tokens and old answers."""
        self.sessions.tidy()
        self.handovers.tidy()
        self.drafts.tidy()
        self.replays.tidy()


def open_office(config: Config, now: Callable[[], float] = time.time, capacity: int = CAPACITY) -> Office:
    """Opens the database, bringing its schema up to date, and the registry."""
    seal = load_seal(config.seal_file)
    store = Store.open(config.database_url)
    try:
        for name in store.migrate(to_ms(now())):
            log.info("database: migration %s applied", name)
        registry = Registry(
            store, seal, issuer=config.issuer, uris=config.uris, now=now, policy=load_policy(config.policy), capacity=capacity
        )
        _tell_older(config, registry)
    except SQLAlchemyError as wrong:
        store.close()
        raise StoreError(f"database: {str(wrong).splitlines()[0]}") from None
    except BaseException:
        store.close()
        raise
    family = config.households
    limit = Limit(family.members, family.claims, family.code_hours * 3600.0)
    corrections = Corrections(registry, seal, now)
    made = Proposals(store, registry, corrections, now)
    handovers = HandOvers(store, registry, seal, now, limit)
    households = Households(store, registry, handovers, seal, now, limit)
    accounts = Accounts(store, seal, now)
    return Office(
        config,
        store,
        seal,
        now,
        registry,
        accounts,
        Sessions(store, accounts, seal, now),
        handovers,
        households,
        Closing(store, registry, seal, now),
        CheckIns(store, registry, seal, now),
        Drafts(store, seal, now, family.draft_days * 86_400.0),
        Reviews(store, registry, now, time.sleep),
        Counts(store, now),
        Epidemic(store, registry, seal, now, time.sleep),
        Dossiers(store, registry, seal, now),
        made,
        NumberProposals(store, corrections, made, now),
        Policies(store, registry, now),
        Apps(store, now),
        AppPeople(store, households, handovers, seal, now, config.apps.waiting),
        Replays(store, seal, now),
        Appeals(store, registry, made, seal, now),
        Deadlines(store, now),
        Insight(store, registry, seal, now, config.privacy.passes_days),
        Retention(store, config.privacy, now),
        FleetWatch(store, now),
        Desires(store, now),
    )


def _tell_older(config: Config, registry: Registry) -> None:
    """Rules that two people put in force at the desk stay where the configuration names older ones: the log says so."""
    named = load_policy(config.policy).version
    with registry.store.read() as tx:
        held = registry.rulings.policy(tx).version
    if config.policy and named < held:
        log.info("policy %d of the configuration is older than %d, which was put in force at the desk: %d rules", named, held, held)
