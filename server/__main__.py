"""The server process: wires store, keys, lists and bridge together and runs until SIGTERM or SIGINT."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from healthcode.terms import Use
from server import authority
from server.admissions import Admissions
from server.answers import Answers
from server.audit_heads import AuditHeads
from server.authority import Authority
from server.config import Config, load
from server.desired import DesiredTopics
from server.fleet import Fleet
from server.intake import Intake
from server.keys import WARNING_S, Signers, TrustFiles, load_roots
from server.lists import Publisher
from server.metrics import BridgeFigures, Listener, UnitFigures, make_registry
from server.mqtt_bridge import Bridge
from server.office import STARTING_ERRORS, Office, open_office
from server.renewals import Renewals
from server.resets import ClockResets
from server.rounds import Parts
from server.seen_units import SeenUnits

log = logging.getLogger("server")


def build(office: Office, now: Callable[[], float] = time.time) -> Parts:
    """The bridge's parts, with keys from the keys folder; what the trust list does not say of them is warned of."""
    config, store, registry = office.config, office.store, office.registry
    folder = Path(config.keys)
    roots = load_roots(config.roots)
    trust = TrustFiles(folder, roots)
    signers = Signers(folder, lambda: trust.current.ring, now)

    files = config.broker.files

    def find_warnings() -> list[str]:
        ending = [*ending_certificates(config, now()), *ending_operators(Admissions(store, now), now())]
        return [*trust.warnings(now()), *signers.warnings(config.uris), *ending]

    def rule(limit: int) -> int:
        """Those whose ruling is due, and beside them those whom an import names: neither waits for the other."""
        due = registry.rule_due(limit)
        return limit if office.epidemic.rule_waiting(limit) else due

    return Parts(
        store=store,
        intake=Intake(store, registry, lambda: trust.current.ring, now, config.intake.fevers_an_hour),
        answers=Answers(store, partial(signers.signer, Use.TIME), lambda: trust.current, now, fetch_mbit=config.lists.fetch_mbit),
        publishers=[
            Publisher(
                store,
                partial(signers.signer, Use.LIST),
                issuer=config.issuer,
                uri=uri,
                capacity=capacity,
                keys=lambda: trust.current.ring,
                settings=config.lists,
                now=now,
            )
            for uri, capacity in registry.capacities.items()
        ],
        trust=trust,
        resets=ClockResets(folder, lambda: trust.current.roots, Fleet(store, now).is_in_service),
        desired=DesiredTopics(store, signers.find_config, now),
        audit=AuditHeads(store, partial(signers.signer, Use.ACK), config.issuer, now),
        watch=office.watch,
        rule_due=rule,
        chores=office.chores,
        ack_key=partial(signers.signer, Use.ACK),
        warnings=find_warnings,
        now=now,
        renewals=Renewals(
            Admissions(store, now), partial(find_authority, folder), Path(files) if files else None, config.home_assistant.prefix
        ),
        seen=SeenUnits(office.watch, config.home_assistant.prefix if config.home_assistant.enabled else ""),
    )


def find_authority(folder: Path) -> Authority | None:
    """The fleet's authority in the keys folder; None where units are known by passwords."""
    return Authority.load(folder) if (folder / authority.KEY_FILE).exists() else None


def ending_certificates(config: Config, at: float) -> list[str]:
    """A line for each of the server's own certificates that ends within a month."""
    if not config.broker.ca:
        return []
    paths = {Path(config.broker.certificate), *([Path(config.broker.files) / "server.crt"] if config.broker.files else [])}
    return [
        f"{path} ends in {days:.0f} days: healthgate server certificate"
        for path in sorted(paths)
        if (days := (authority.ends(authority.read_certificate(path)) - at) / 86_400) < WARNING_S / 86_400
    ]


def ending_operators(admissions: Admissions, at: float) -> list[str]:
    """A line for each operator's account at the broker that ends within a month or has ended: programs with one go dark without a word."""
    return [
        f"the broker's account of the operator {name} {_when((ends - at) / 86_400)}: "
        f"healthgate fleet operator {name}, with --end where nobody needs it"
        for name, ends in admissions.ending_operators(WARNING_S)
    ]


def _when(days: float) -> str:
    return f"ends in {days:.0f} days" if days > 0 else f"ended {-days:.0f} days ago"


def serve(config: Config, stop: threading.Event) -> int:
    """Runs the server until `stop` is set; its exit status."""
    office = open_office(config)
    try:
        parts, metrics = build(office), config.metrics
        if not metrics.port:
            return _run(Bridge(config, parts), stop)
        registry = make_registry()
        bridge = Bridge(config, parts, BridgeFigures(registry))
        UnitFigures(office.watch, registry)
        listener = Listener(registry, metrics.host, metrics.port, "metrics.port")
        try:
            return _run(bridge, stop)
        finally:
            listener.close()
    finally:
        office.store.close()


def _run(bridge: Bridge, stop: threading.Event) -> int:
    gc.collect()
    gc.freeze()  # as in the web's process: no pause in which all that was imported is looked through for garbage
    return bridge.run(stop)


def main(path: Path) -> int:
    """The process: configuration from `path`, log to the standard error, a graceful end on SIGTERM and SIGINT. Its exit status.

    Whatever it writes is for its account alone: the database holds what people did.
    """
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return serve(load(path), stop)
    except STARTING_ERRORS as wrong:
        for line in str(wrong).splitlines():
            log.error("%s", line)
        return 2


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m server CONFIG")
    sys.exit(main(Path(sys.argv[1])))
