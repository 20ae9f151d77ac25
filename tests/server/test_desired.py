"""What units are to have: versions that only go up, what a change builds upon, and what goes out signed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from healthcode import topics
from healthcode.cose import SoftwareKey
from healthcode.desired import digest_settings, write_settings
from healthcode.messages import Desired, Reported, Setting, encode
from healthcode.signed import Signed, read
from healthcode.terms import SettingsState, Use
from healthcode.trust import KeyRing
from server.desired import ANEW_EVERY_S, ChangedMeanwhile, DesiredTopics, Standing, Wish, is_over
from server.fleet import Fleet
from server.intake import Incoming, Intake
from server.keys import Signers
from server.office import Office
from tests.server.office import Clock, Town, entry

KEY = SoftwareKey.generate()
RING = KeyRing(1, [entry(KEY, Use.CONFIG)])
HELD: dict[str, Setting] = {"sound.volume": 1.0, "camera.fps": 15.0}


@pytest.fixture
def units(office: Office) -> Office:
    for unit in ("north", "south", "west"):
        Fleet(office.store, office.now).add(unit)
    return office


def wish(office: Office, unit: str, **settings: object) -> int:
    """Sets keys of one unit, `sound_volume` for sound.volume, upon what it has."""
    wanted = office.desires.see()[unit]
    _, base = office.desires.base(wanted)
    text = write_settings({**base, **{name.replace("_", ".", 1): value for name, value in settings.items()}})
    return office.desires.set([Wish(unit, text, wanted.version)], "li", "trial")[unit]


def report(
    office: Office,
    unit: str,
    version: int,
    state: SettingsState,
    in_force: int,
    held: Mapping[str, Setting] = HELD,
    faults: tuple[str, ...] = (),
) -> int:
    """The unit reports; how many messages were refused."""
    intake = Intake(office.store, office.registry, lambda: RING, office.now, 10)
    said = Reported(
        unit=unit, version=version, state=state, in_force=in_force, digest=digest_settings(held), settings=dict(held), faults=list(faults)
    )
    return intake.take([Incoming(topics.up(unit, "reported"), encode(said))]).refused


def standing(office: Office, unit: str = "north") -> Standing:
    return office.desires.see()[unit].standing


def test_from_nothing_to_applied(units: Office) -> None:
    assert standing(units) is Standing.OWN
    assert wish(units, "north", sound_volume=0.5) == 1
    assert standing(units) is Standing.UNHEARD
    for state in (SettingsState.WAITING, SettingsState.TRIAL, SettingsState.APPLIED):
        report(units, "north", 1, state, 1, {**HELD, "sound.volume": 0.5})
        assert standing(units) is Standing(state.value)
    assert units.desires.see()["north"].differences == {}
    assert standing(units, "south") is Standing.OWN


def test_versions_go_up_above_what_the_unit_says_too(units: Office) -> None:
    report(units, "north", 41, SettingsState.APPLIED, 41)
    assert standing(units) is Standing.AHEAD, "a database restored from a backup"
    assert wish(units, "north", sound_volume=0.5) == 42
    assert wish(units, "north", sound_volume=0.6) == 43
    assert [row.version for row in units.desires.history("north")] == [43, 42]
    assert [(row.set_by, row.reason) for row in units.desires.history("north", 1)] == [("li", "trial")]


def test_a_change_builds_upon_what_is_in_force_where_the_last_one_came_to_nothing(units: Office) -> None:
    wish(units, "north", sound_volume=0.5)
    report(units, "north", 1, SettingsState.APPLIED, 1, {**HELD, "sound.volume": 0.5})
    wish(units, "north", camera_source="/dev/video9")
    report(units, "north", 2, SettingsState.FELL_BACK, 1, {**HELD, "sound.volume": 0.5}, ("version 2 was taken back: the camera",))
    assert standing(units) is Standing.FELL_BACK
    assert units.desires.see()["north"].differences == {"camera.source": ("/dev/video9", None)}
    assert wish(units, "north", camera_fps=20) == 3
    assert units.desires.history("north", 1)[0].settings == "[camera]\nfps = 20\n\n[sound]\nvolume = 0.5\n"


def test_two_who_set_at_once_do_not_overwrite_each_other(units: Office) -> None:
    before = units.desires.see()
    wish(units, "south", sound_volume=0.5)
    wishes = [Wish(unit, "[sound]\nvolume = 0.1\n", before[unit].version) for unit in ("north", "south")]
    with pytest.raises(ChangedMeanwhile, match="south is to have version 1 meanwhile by li: trial: nothing was set"):
        units.desires.set(wishes, "wang", "night")
    assert standing(units, "north") is Standing.OWN, "all or nothing"


def test_a_unit_speaks_for_itself_alone(units: Office) -> None:
    intake = Intake(units.store, units.registry, lambda: RING, units.now, 10)
    said = Reported(unit="south", version=1, state=SettingsState.APPLIED, in_force=1, digest="0" * 64, settings={})
    taken = intake.take([Incoming(topics.up("north", "reported"), encode(said)), Incoming(topics.up("north", "reported"), b"{}")])
    assert taken.refused == 2
    assert units.desires.see()["north"].reported is None


def test_the_newest_of_each_unit_goes_out_signed_once_and_again_when_forgotten(units: Office) -> None:
    topic = DesiredTopics(units.store, lambda: KEY, units.now)
    assert topic.due(0.0) == []
    wish(units, "north", sound_volume=0.5)
    wish(units, "north", sound_volume=0.6)
    wish(units, "south", sound_volume=0.7)
    out = topic.due(1.0)
    assert [(each.topic, each.retain) for each in out] == [(topics.down(unit, "desired"), True) for unit in ("north", "south")]
    said = read(out[0].payload, Desired, RING, units.now())
    assert isinstance(said, Signed)
    assert (said.message.unit, said.message.version, said.message.settings) == ("north", 2, "[sound]\nvolume = 0.6\n")
    assert topic.due(2.0) == []
    topic.again()
    assert len(topic.due(3.0)) == 2
    wish(units, "west", sound_volume=0.1)
    assert [each.topic for each in topic.due(4.0)] == [topics.down("west", "desired")]
    assert len(topic.due(3.0 + ANEW_EVERY_S)) == 3, "signed anew each day"


def test_without_a_key_nothing_goes_out_and_it_is_said_once(units: Office, caplog: pytest.LogCaptureFixture) -> None:
    keys: list[SoftwareKey | None] = [None]
    topic = DesiredTopics(units.store, lambda: keys[0], units.now)
    with caplog.at_level(logging.WARNING):
        assert topic.due(0.0) == []
        wish(units, "north", sound_volume=0.5)
        assert (topic.due(1.0), topic.due(2.0)) == ([], [])
    assert caplog.text.count("keys rotate FOLDER config") == 1
    keys[0] = KEY
    assert len(topic.due(3.0)) == 1


def test_a_keys_folder_without_that_key_goes_on_serving(town: Town, clock: Clock) -> None:
    signers = Signers(Path(town.folder) / "keys", town.ring, clock)
    assert signers.find_config() is None
    assert signers.signer(Use.ACK).kid == town.keys[Use.ACK].kid


@pytest.mark.parametrize(
    ("version", "state", "over"),
    [
        (0, SettingsState.APPLIED, None),
        (2, SettingsState.WAITING, None),
        (2, SettingsState.TRIAL, None),
        (2, SettingsState.APPLIED, True),
        (2, SettingsState.REJECTED, False),
        (2, SettingsState.FELL_BACK, False),
        (3, SettingsState.APPLIED, False),
    ],
)
def test_when_a_version_is_over(version: int, state: SettingsState, over: bool | None) -> None:
    said = Reported(unit="north", version=version, state=state, in_force=1, digest="0" * 64, settings={})
    assert is_over(said, 2) is over
    assert is_over(None, 2) is None
