"""Which release a unit may go to from the one that it runs. Pure."""

from __future__ import annotations

from enum import StrEnum

from healthcode.messages import Release


class Unfit(StrEnum):
    """Why a unit does not take a release that is signed as it should be; each has its own sentence."""

    NOT_NEWER = "NOT_NEWER"
    STEP_MISSING = "STEP_MISSING"
    PLATFORM = "PLATFORM"


def order(version: str) -> tuple[int, ...]:
    """What versions are compared by: 0.10.0 comes after 0.9.2. `version` is a ReleaseVersion."""
    return tuple(map(int, version.split(".")))


def find_unfit(release: Release, running: str, platform: str) -> tuple[Unfit, str] | None:
    """Why a unit that runs `running` on `platform` (cp311-aarch64, say) does not take `release`, and a line for people; None: it may."""
    if order(release.version) <= order(running):
        return Unfit.NOT_NEWER, f"release {release.version}: {running} runs, expected a newer one"
    if order(running) < order(release.after):
        return Unfit.STEP_MISSING, f"release {release.version}: {running} runs, expected {release.after} or newer first"
    if platform not in release.platforms:
        return Unfit.PLATFORM, f"release {release.version}: has no wheels for {platform}, has them for {', '.join(release.platforms)}"
    return None
