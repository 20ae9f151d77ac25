"""What keys of a unit's configuration must be together, as a table: the key at fault, what it must be, and why.

Each rule is given the whole of edge/config.py's Config; the first of its keys is the one at fault.
"""

from __future__ import annotations

from itertools import combinations
from operator import attrgetter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from healthcode.settings import Rule

SMALLEST_ROI = 0.2
"""Share of the picture's width or height below which no code could be read in it."""


def pin_rules(names: tuple[str, ...]) -> tuple[Rule, ...]:
    """A pin carries one signal, and not the bus; `names` are the keys of all pins."""
    return (*(_apart(one, other) for one, other in combinations(names, 2)), *map(_off_the_bus, names))


def _apart(one: str, other: str) -> Rule:
    """No two signals on one pin."""
    return Rule(
        (one, other),
        "a pin of its own, not that of {}",
        "because a pin carries one signal",
        lambda c: attrgetter(one)(c) != attrgetter(other)(c),
        swap=True,
    )


def _off_the_bus(name: str) -> Rule:
    """No signal on the thermometer's bus."""
    return Rule((name,), "another pin than 2 and 3", "because those are the thermometer's bus", lambda c: attrgetter(name)(c) not in (2, 3))


def _is_zone(name: str) -> bool:
    """Whether the time zone is known here."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


RULES: tuple[Rule, ...] = (
    Rule(
        ("pins.relay",),
        "a pin from 9 up, and not 14",
        "because 2 to 8 and 14 power up high and would open the barrier",
        lambda c: c.pins.relay > 8 and c.pins.relay != 14,
    ),
    Rule(
        ("camera.roi",),
        f"left, top, right, bottom, and at least {SMALLEST_ROI} of the picture each way",
        "because no code could be read in less",
        lambda c: c.camera.roi[2] - c.camera.roi[0] >= SMALLEST_ROI and c.camera.roi[3] - c.camera.roi[1] >= SMALLEST_ROI,
    ),
    Rule(
        ("camera.idle_fps", "camera.fps"),
        "at most {}",
        "because no more frames come than the camera is asked for",
        lambda c: c.camera.idle_fps <= c.camera.fps,
    ),
    Rule(
        ("screening.recheck_c", "screening.fever_c"),
        "at most {}",
        "because the second look comes before a suspected fever",
        lambda c: c.screening.recheck_c <= c.screening.fever_c,
    ),
    Rule(
        ("screening.retest_within_s", "screening.retest_after_s"),
        "more than {}",
        "because the second measurement needs time between the two",
        lambda c: c.screening.retest_within_s > c.screening.retest_after_s,
    ),
    Rule(
        ("screening.give_up_s", "sensor.part"),
        "time for all samples of one measurement with {}",
        "because otherwise every measurement would end before it is done",
        lambda c: c.screening.give_up_s > c.screening.samples * c.sensor.cycle_s,
    ),
    Rule(
        ("screening.retest_within_s", "sensor.part"),
        "time for all samples of the second measurement with {}",
        "because otherwise no suspicion could ever end",
        lambda c: c.screening.retest_within_s - c.screening.retest_after_s > c.screening.samples * c.sensor.cycle_s,
    ),
    Rule(
        ("lane.accessible_window_s", "lane.window_s"),
        "at least {}",
        "because whom the staff lets in has no less time than others",
        lambda c: c.lane.accessible_window_s >= c.lane.window_s,
    ),
    Rule(
        ("sound.zone",),
        "a time zone such as Asia/Shanghai or UTC",
        "because the night's hours are local time",
        lambda c: _is_zone(c.sound.zone),
    ),
    Rule(
        ("statements.warn_s", "statements.limit_s"),
        "at most {}",
        "because a warning comes before what it warns of",
        lambda c: c.statements.warn_s <= c.statements.limit_s,
    ),
    Rule(
        ("link.certificate", "link.key"),
        "given together with {}",
        "because the broker knows the unit by both",
        lambda c: bool(c.link.certificate) == bool(c.link.key),
    ),
    Rule(
        ("link.ca", "link.certificate"),
        "given where {} is",
        "because without it the broker could be anybody",
        lambda c: bool(c.link.ca) or not c.link.certificate,
    ),
    Rule(
        ("trial.lost_s", "trial.length_s"),
        "less than {}",
        "because a device that is lost must end a trial before its time",
        lambda c: c.trial.lost_s < c.trial.length_s,
    ),
    Rule(
        ("world", "hardware"),
        "the path of a world's socket",
        'because hardware = "simulated" has its pins and its sensor in a world',
        lambda c: bool(c.world) or c.hardware != "simulated",
    ),
    Rule(
        ("world", "hardware"),
        "nothing",
        'because hardware = "pi" has no world',
        lambda c: not c.world or c.hardware != "pi",
    ),
    Rule(
        ("camera.source", "hardware"),
        "a real camera",
        'because hardware = "pi" is a real gate',
        lambda c: c.camera.source != "simulated" or c.hardware != "pi",
    ),
)
