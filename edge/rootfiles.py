"""The root keys that were put on the unit at enrolment, from their files."""

from __future__ import annotations

from pathlib import Path

from edge.config import Config, ConfigError
from healthcode.cose import PublicKey
from healthcode.settings import why_unread


def load_roots(config: Config) -> tuple[PublicKey, ...]:
    """The root keys that were put on the unit at enrolment; ConfigError names the file that is none."""
    roots = []
    for path in config.roots:
        try:
            roots.append(PublicKey.from_pem(Path(path).read_bytes()))
        except (OSError, ValueError) as wrong:
            raise ConfigError(f"roots: {path}: {why_unread(wrong)}: expected a public key in PEM") from None
    return tuple(roots)
