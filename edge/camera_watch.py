"""What is wrong with a camera's picture while frames come: black, frozen, or somebody else's code in the way. Pure.

Each trouble has the name of the alert that it raises.
"""

from __future__ import annotations

from enum import StrEnum

BLACK_LUMA = 6.0
"""Mean grey level under which a picture shows nothing: a cap on the lens, or no light at all."""
BLACK_S = 10.0
"""How long it must be black to be reported, in seconds: a hand over the lens is no fault."""
FROZEN_S = 3.0
"""How long not one pixel may change, in seconds: a sensor's noise changes some in every frame."""
OBSTRUCTED_GAP_S = 5.0
"""How long a code that is not ours may be out of sight and still count as the same: people walk through the picture."""


class Trouble(StrEnum):
    """What keeps a camera from seeing; the value is the name of the alert."""

    MISSING = "camera_missing"
    BUSY = "camera_busy"
    BLACK = "camera_black"
    FROZEN = "camera_frozen"
    BROKEN = "camera"


class PictureWatch:
    """Judges one camera's pictures in their order. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._dark_since: float | None = None
        self._same_since: float | None = None

    def judge(self, luma: float, same: bool, at: float) -> Trouble | None:
        """What is wrong at `at`: `luma` is the picture's mean grey level, `same` whether it equals the one before in every pixel."""
        self._dark_since = (at if self._dark_since is None else self._dark_since) if luma < BLACK_LUMA else None
        self._same_since = (at if self._same_since is None else self._same_since) if same else None
        if self._dark_since is not None and at - self._dark_since >= BLACK_S:
            return Trouble.BLACK
        if self._same_since is not None and at - self._same_since >= FROZEN_S and self._dark_since is None:
            return Trouble.FROZEN
        return None

    def reopened(self) -> None:
        """The camera was opened anew: it has its time again."""
        self._same_since = None


class ForeignWatch:
    """Says when a code that is not ours has been in view for `limit_s`, and when it has gone. Times in monotonic seconds."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._first_at: float | None = None
        self._last_at = 0.0

    def judge(self, foreign: bool, at: float) -> bool:
        """Whether one is in the way at `at`, when a frame was decoded; `foreign` is whether it showed one."""
        if self._first_at is not None and at - self._last_at > OBSTRUCTED_GAP_S:
            self._first_at = None
        if foreign:
            self._first_at = at if self._first_at is None else self._first_at
            self._last_at = at
        return self._first_at is not None and self._last_at - self._first_at >= self._limit_s
