"""An EU certificate before the camera of a real unit's process, with a real broker: it passes, and nothing of it is left or sent."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge.cache import Cache
from healthcode import base45, topics
from healthcode.messages import EventBatch, PassEvent, decode
from healthcode.terms import Decision, Reason
from tests.broker import Broker, listening
from tests.certificates import BORN, DAY_S, IDENTIFIER, NAME, POLICY, a_vaccination, certificate, entry, make_dsc
from tests.edge.province import ROOTS, Province, list_entry, trust_list
from tests.edge.test_process import LIMIT_S, Site

pytestmark = pytest.mark.slow


class Border(Site):
    """A site whose trust list knows a signer of certificates, and a policy."""

    def _enrol(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.dsc = make_dsc(self.key, begins=self.now - 30 * DAY_S, ends=self.now + 300 * DAY_S)
        trust = trust_list(1, list_entry(), entry(self.dsc), expires_at=self.now + 86_400 * 30)
        province = Province(trust=msgspec.structs.replace(trust, certificates=POLICY))
        province.at = self.now - 60
        province.compact()
        cache = Cache(self.folder / "data" / "cache", ROOTS)
        province.fill(cache)
        cache.close()
        (self.folder / "data" / "floor").write_text(f"{self.now - 60}\n")

    def certificate(self) -> str:
        day = (datetime.fromtimestamp(self.now, UTC) - timedelta(days=30)).date().isoformat()
        return certificate(self.key, self.dsc, a_vaccination(dt=day), said={4: self.now + 90 * DAY_S, 6: self.now - DAY_S})


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Border]:
    site = Border(tmp_path, broker, (sys.executable,))
    yield site
    site.close()


def test_a_certificate_passes_and_leaves_a_hash(site: Border, broker: Broker) -> None:
    text = site.certificate()
    sent: list[bytes] = []
    passes: list[PassEvent] = []
    with listening(broker, "#") as heard:
        site.start()
        assert site.process is not None
        assert resource.prlimit(site.process.pid, resource.RLIMIT_CORE) == (0, 0), "not even a crash writes down what is in the memory"
        site.world.set("north", skin_c=34.0)
        site.world.show("north", text)
        assert site.world.wait_for("north", lambda entry: entry.get("pin") == "relay" and bool(entry["value"]), LIMIT_S)
        while not passes:
            topic, payload = heard.next(LIMIT_S)
            sent.append(topic.encode() + payload)
            if topic == topics.up("north", "events"):
                passes += [event for event in decode(payload, EventBatch).events if isinstance(event, PassEvent)]
        status, log = site.end(signal.SIGTERM)
    assert status == 0
    assert "admit GREEN" in log
    assert [(event.decision, event.reason, event.code) for event in passes] == [(Decision.ADMIT, Reason.GREEN, None)]
    stored = {path.name: path.read_bytes() for path in sorted((site.folder / "data").rglob("*")) if path.is_file()}
    assert (site.folder / "data" / "certificate.key").stat().st_mode & 0o777 == 0o600
    places = {**stored, "log": log.encode(), "sent": b"\n".join(sent)}
    secrets = [NAME, NAME.upper(), BORN, IDENTIFIER, text[4:30], text[100:130]]
    hidden = [*(secret.encode() for secret in secrets), base45.decode(text[4:])[:40]]
    assert [(place, secret) for place, content in places.items() for secret in hidden if secret in content] == []
    known = passes[0].certificate
    assert known is not None
    assert known.encode() in places["sent"]
