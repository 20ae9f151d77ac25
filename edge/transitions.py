"""The transition table of `edge.passage`: stages, happenings, and what each happening leads to in each stage. Pure data."""

from __future__ import annotations

from enum import StrEnum

from healthcode.terms import LaneMode


class Stage(StrEnum):
    """Where the lane is. LOCKED is its rest in the modes controlled and locked."""

    LOCKED = "locked"
    GRANTED = "granted"
    PASSING = "passing"
    RELEASED = "released"
    HELD_OPEN = "held_open"
    FORCED = "forced"
    TAILGATE = "tailgate"
    FREE = "free"
    FIRE = "fire"
    OUT_OF_SERVICE = "out_of_service"


OPENING = frozenset({Stage.GRANTED, Stage.PASSING, Stage.RELEASED})
ALARMS = frozenset({Stage.FORCED, Stage.TAILGATE, Stage.HELD_OPEN})
REST = None
"""As a next stage: where the lane rests in its mode."""


class Happening(StrEnum):
    """What an input amounts to in the state it meets."""

    GRANT = "grant"
    CROSS = "cross"
    CROSS_AGAIN = "cross_again"
    INTRUDE = "intrude"
    CLEAR = "clear"
    WINDOW_OVER = "window_over"
    HELD = "held"
    ALARM_OVER = "alarm_over"
    RELEASE = "release"
    EXIT = "exit"
    FIRE = "fire"
    FIRE_OVER = "fire_over"
    TO_CONTROLLED = "to_controlled"
    TO_LOCKED = "to_locked"
    TO_FREE = "to_free"
    TO_OUT_OF_SERVICE = "to_out_of_service"


class Act(StrEnum):
    """What is done on the way to the next stage. GIVE_BACK ends what was lawful: an open grant is not used, and the window closes."""

    TAKE = "take"
    GIVE_BACK = "give_back"
    USE = "use"
    PULSE = "pulse"
    WINDOW = "window"
    LONG_WINDOW = "long_window"
    SHORTEN = "shorten"
    REPORT_FORCED = "report_forced"
    REPORT_TAILGATE = "report_tailgate"
    REPORT_HELD = "report_held"


S, H, A = Stage, Happening, Act
Cell = tuple[Stage | None, tuple[Act, ...]]
_GRANT: Cell = (S.GRANTED, (A.GIVE_BACK, A.TAKE, A.PULSE, A.WINDOW))
_RELEASE: Cell = (S.RELEASED, (A.PULSE, A.LONG_WINDOW))
_LEAVE: dict[Happening, Cell] = {
    H.FIRE: (S.FIRE, (A.GIVE_BACK,)),
    H.TO_FREE: (S.FREE, ()),
    H.TO_OUT_OF_SERVICE: (S.OUT_OF_SERVICE, (A.GIVE_BACK,)),
}
_ALARM: dict[Happening, Cell] = {H.GRANT: _GRANT, H.RELEASE: _RELEASE, **_LEAVE}

TABLE: dict[Stage, dict[Happening, Cell]] = {
    S.LOCKED: {
        H.GRANT: _GRANT,
        H.RELEASE: _RELEASE,
        H.EXIT: (S.RELEASED, (A.WINDOW,)),
        H.CROSS: (S.PASSING, ()),
        H.CROSS_AGAIN: (S.TAILGATE, (A.REPORT_TAILGATE,)),
        H.INTRUDE: (S.FORCED, (A.REPORT_FORCED,)),
        H.HELD: (S.HELD_OPEN, (A.REPORT_HELD,)),
        **_LEAVE,
    },
    S.GRANTED: {
        H.GRANT: _GRANT,
        H.RELEASE: _RELEASE,
        H.CROSS: (S.PASSING, (A.USE,)),
        H.WINDOW_OVER: (REST, (A.GIVE_BACK,)),
        H.TO_LOCKED: (REST, (A.GIVE_BACK,)),
        **_LEAVE,
    },
    S.PASSING: {
        H.GRANT: _GRANT,
        H.RELEASE: _RELEASE,
        H.CROSS_AGAIN: (S.TAILGATE, (A.REPORT_TAILGATE,)),
        H.CLEAR: (REST, ()),
        H.HELD: (S.HELD_OPEN, (A.REPORT_HELD,)),
        **_LEAVE,
    },
    S.RELEASED: {
        H.GRANT: _GRANT,
        H.RELEASE: _RELEASE,
        H.EXIT: (S.RELEASED, (A.WINDOW,)),
        H.CROSS: (S.RELEASED, (A.USE,)),
        H.CROSS_AGAIN: (S.RELEASED, (A.USE,)),
        H.CLEAR: (S.RELEASED, (A.SHORTEN,)),
        H.WINDOW_OVER: (REST, (A.GIVE_BACK,)),
        H.HELD: (S.HELD_OPEN, (A.REPORT_HELD, A.GIVE_BACK)),
        **_LEAVE,
    },
    S.HELD_OPEN: {H.CLEAR: (REST, ()), **_ALARM},
    S.FORCED: {H.ALARM_OVER: (REST, ()), **_ALARM},
    S.TAILGATE: {H.ALARM_OVER: (REST, ()), **_ALARM},
    S.FREE: {
        H.GRANT: (S.FREE, (A.GIVE_BACK, A.TAKE, A.WINDOW)),
        H.CROSS: (S.FREE, (A.USE,)),
        H.WINDOW_OVER: (S.FREE, (A.GIVE_BACK,)),
        H.TO_CONTROLLED: (REST, (A.GIVE_BACK,)),
        H.TO_LOCKED: (REST, (A.GIVE_BACK,)),
        H.FIRE: (S.FIRE, (A.GIVE_BACK,)),
        H.TO_OUT_OF_SERVICE: (S.OUT_OF_SERVICE, (A.GIVE_BACK,)),
    },
    S.FIRE: {H.GRANT: (S.FIRE, (A.GIVE_BACK, A.TAKE, A.GIVE_BACK)), H.FIRE_OVER: (REST, ())},
    S.OUT_OF_SERVICE: {
        H.GRANT: (S.OUT_OF_SERVICE, (A.GIVE_BACK, A.TAKE, A.GIVE_BACK)),
        H.RELEASE: _RELEASE,
        H.TO_CONTROLLED: (REST, ()),
        H.TO_LOCKED: (REST, ()),
        H.TO_FREE: (S.FREE, ()),
        H.FIRE: (S.FIRE, ()),
    },
}

REST_OF_MODE = {
    LaneMode.CONTROLLED: Stage.LOCKED,
    LaneMode.LOCKED: Stage.LOCKED,
    LaneMode.FREE: Stage.FREE,
    LaneMode.OUT_OF_SERVICE: Stage.OUT_OF_SERVICE,
}
