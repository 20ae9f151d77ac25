"""Times as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

LATEST = 253_402_300_799
"""The last second of the year 9999, beyond which RFC 3339 cannot write a time."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadTime(ValueError):
    """A time that cannot be read; the text is one line."""


def moment(text: str, option: str, now: float) -> float:
    """ISO 8601 as seconds since 1970, UTC where no zone is given; `now` for no text. BadTime names the `option` that it was."""
    if not text:
        return now
    try:
        said = datetime.fromisoformat(text)
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadTime(f"{option} {text[:40]!r}: expected a time such as 2020-03-16T08:00:00Z") from None


def rfc3339(seconds: float) -> str:
    """`seconds` since 1970 as RFC 3339 in UTC, with milliseconds where they are not whole; a time beyond LATEST is cut to it."""
    moment = _EPOCH + timedelta(milliseconds=round(min(seconds, LATEST) * 1000))
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")
