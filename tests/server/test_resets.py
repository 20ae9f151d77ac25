"""Resets of units' clocks in the keys folder, and what the bridge makes of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from healthcode import topics
from healthcode.cose import SoftwareKey
from healthcode.messages import ClockReset
from healthcode.signed import read_rooted, write
from server.lists import Publication
from server.resets import ClockResets

ROOT, STRANGER = SoftwareKey.generate(), SoftwareKey.generate()
NOON = 1_583_323_200
ANYBODY = frozenset({"north", "south", "west"}).__contains__


def lay(folder: Path, name: str, unit: str, serial: int = 1, key: SoftwareKey = ROOT) -> bytes:
    data = write(ClockReset(unit=unit, serial=serial, floor=NOON), key)
    (folder / "clock-resets").mkdir(exist_ok=True)
    (folder / "clock-resets" / f"{name}.cbor").write_bytes(data)
    return data


def test_each_reset_goes_out_once_on_its_unit_s_retained_topic_and_again_when_the_broker_has_forgotten(tmp_path: Path) -> None:
    resets = ClockResets(tmp_path, lambda: (ROOT.public_key,), ANYBODY)
    assert resets.due(0.0) == [], "no folder, no resets"
    first = lay(tmp_path, "north", "north")
    assert resets.due(0.5) == [], "it is looked once a second"
    expected = Publication(topics.down("north", "clock"), first, retain=True)
    assert resets.due(1.0) == [expected]
    assert resets.due(2.0) == []
    second = lay(tmp_path, "north", "north", serial=2)
    assert resets.due(3.0) == [Publication(topics.down("north", "clock"), second, retain=True)]
    resets.again()
    assert [each.payload for each in resets.due(3.1)] == [second]
    assert read_rooted(second, ClockReset, (ROOT.public_key,)) == ClockReset(unit="north", serial=2, floor=NOON)


def test_what_no_root_signed_or_names_another_unit_stays_here_and_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lay(tmp_path, "north", "north", key=STRANGER)
    lay(tmp_path, "south", "north")
    (tmp_path / "clock-resets" / "west.cbor").write_bytes(bytes(5000))
    (tmp_path / "clock-resets" / "notes.txt").write_text("not one of ours")
    resets = ClockResets(tmp_path, lambda: (ROOT.public_key,), ANYBODY)
    with caplog.at_level(logging.WARNING):
        assert resets.due(0.0) == []
        assert resets.due(1.0) == []
    assert len(caplog.records) == 3
    assert [word for word in ("UNKNOWN_KEY", "it names north", "SIZE") if word in caplog.text] == ["UNKNOWN_KEY", "it names north", "SIZE"]


def test_a_retired_unit_s_reset_is_no_ghost_on_the_broker_and_waits_for_a_unit_of_that_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    units = {"north"}
    resets = ClockResets(tmp_path, lambda: (ROOT.public_key,), units.__contains__)
    data = lay(tmp_path, "north", "north")
    assert len(resets.due(0.0)) == 1
    units.clear()
    resets.again()
    assert resets.due(1.0) == resets.due(2.0) == []
    assert caplog.messages == [f"{tmp_path / 'clock-resets' / 'north.cbor'} is not published: no unit north is in service"]
    units.add("north")
    assert [each.payload for each in resets.due(3.0)] == [data]
