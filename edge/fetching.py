"""Releases from the server over HTTPS: small files whole, bundles on from where they were cut off (RFC 9110, range requests).

Nothing that comes this way is believed for having come: the release is signed, and the bundle has its SHA-256. TLS keeps others from
knowing and from holding up what a unit fetches.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from edge.files import CALLS, Calls, make_folder
from edge.updates import Failed, Fate
from healthcode.messages import MAX_HEAD, Release

PIECE = 64 * 1024
SILENCE_S = 30.0
"""How long the server may say nothing."""
ROOM = 6
"""A bundle takes this many times its size at most, fetched, unpacked and installed: wheels unfold to some three times theirs."""
SPARE = 64 * 1024 * 1024
"""Bytes that the gate's own files are left in any case."""
PATH = "/fleet/releases"
NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: as on the link (`edge.identity`), a unit whose clock is wrong may fetch; what it takes is signed."""


class Cut(Exception):
    """The server was not reached, did not send what it should have, or the disk did not take it; the text is one line."""


class Server:
    """Where releases come from. `address` is https://HOST[:PORT], `ca` a file of certificates in PEM, empty for the system's."""

    def __init__(
        self, address: str, ca: str, calls: Calls = CALLS, room: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    ):
        self._address = address
        self._ca = ca
        self._calls = calls
        self._room = room if room is not None else lambda path: shutil.disk_usage(path).free

    def learn(self, version: str) -> bytes | Failed:
        """The signed message of a release, not checked yet."""
        try:
            with self._ask(f"{PATH}/{version}/release.cbor") as answer:
                if answer.status != 200:
                    return Failed(Fate.AGAIN, f"release {version}: {self._address} answers {answer.status}, expected its signed message")
                return answer.read(MAX_HEAD + 1)
        except Cut as wrong:
            return Failed(Fate.AGAIN, f"release {version}: {wrong}")

    def fetch(self, release: Release, path: Path) -> Failed | None:
        """The bundle of `release` into `path`, going on with what is there; in the end it is whole, or what was wrong is said."""
        name = f"release {release.version}"
        try:
            make_folder(path.parent, self._calls)
            held = path.stat().st_size if path.exists() else 0
            needed = release.size * ROOM - held + SPARE
            if (room := self._room(path.parent)) < needed:
                return Failed(Fate.AGAIN, f"{name}: the disk has {room // 2**20} MB free, expected {needed // 2**20} MB")
            if held > release.size:
                self._calls.unlink(path)
                held = 0
            if held < release.size:
                self._go_on(release, path, held)
        except Cut as wrong:
            return Failed(Fate.AGAIN, f"{name}: {wrong}")
        except OSError as wrong:
            return Failed(Fate.AGAIN, f"{name}: {path}: {wrong.strerror}")
        return self._check(release, path)

    def _go_on(self, release: Release, path: Path, held: int) -> None:
        headers = {"range": f"bytes={held}-"} if held else {}
        with self._ask(f"{PATH}/{release.version}/bundle.zip", headers) as answer:
            if held and answer.status == 206:
                found = re.match(r"bytes (\d+)-\d+/(\d+)\Z", answer.headers.get("content-range", ""))
                if found is None or (int(found[1]), int(found[2])) != (held, release.size):
                    raise Cut(f"the server sends another part than from byte {held} of {release.size}")
            elif answer.status == 200:
                held = 0
            else:
                raise Cut(f"{self._address} answers {answer.status}, expected the bundle")
            with _as_disk(path):
                file = self._calls.open(path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if held else os.O_TRUNC), 0o600)
            try:
                while piece := answer.read(PIECE):
                    held += len(piece)
                    if held > release.size:
                        raise Cut(f"the server sends more than the {release.size} bytes of the bundle")
                    left = memoryview(piece)
                    with _as_disk(path):
                        while left:
                            left = left[self._calls.write(file, left) :]
                with _as_disk(path):
                    self._calls.fsync(file)
            finally:
                os.close(file)
        if held < release.size:
            raise Cut(f"cut off after {held} of {release.size} bytes")

    def _check(self, release: Release, path: Path) -> Failed | None:
        """What does not have the hash is thrown away, to be fetched anew: a power cut or a bad card can have spoilt it."""
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while piece := file.read(PIECE * 16):
                    digest.update(piece)
            if digest.digest() == release.sha256:
                return None
            self._calls.unlink(path)
        except OSError as wrong:
            return Failed(Fate.AGAIN, f"release {release.version}: {path}: {wrong.strerror}")
        said = f"has the SHA-256 {digest.hexdigest()[:16]}..., expected {release.sha256.hex()[:16]}..."
        return Failed(Fate.AGAIN, f"release {release.version}: its bundle {said}")

    @contextmanager
    def _ask(self, path: str, headers: dict[str, str] | None = None) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self._address)
        try:
            context = ssl.create_default_context(cafile=self._ca or None)
            context.verify_flags |= NO_CHECK_TIME
            connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=SILENCE_S, context=context)
        except (OSError, ValueError) as wrong:
            raise Cut(f"updates.ca: {self._ca}: {wrong}") from None
        try:
            connection.request("GET", path, headers={"accept": "application/octet-stream", **(headers or {})})
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as wrong:
            raise Cut(f"{self._address}: {getattr(wrong, 'strerror', None) or wrong or type(wrong).__name__}") from None
        finally:
            connection.close()


@contextmanager
def _as_disk(path: Path) -> Iterator[None]:
    """What goes wrong in here is the disk's fault, and not the network's."""
    try:
        yield
    except OSError as wrong:
        why = "the disk is full" if wrong.errno in (errno.ENOSPC, errno.EDQUOT) else wrong.strerror
        raise Cut(f"{path}: {why}") from None
