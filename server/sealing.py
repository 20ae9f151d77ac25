"""Names and numbers at rest: sealed with AES-256-GCM under a key file that only its owner may read.

Sealed form: 12 random bytes of nonce, then ciphertext and tag (RFC 5116). The context (table, column and row) is authenticated
with it, so that a sealed value moved to another row does not open.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12


class SealError(ValueError):
    """A key file that cannot be used or a sealed value that does not open; the text is one line."""


class Seal:
    """What opens and closes sealed values, and makes the keyed hashes by which equal numbers are found."""

    def __init__(self, key: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        if len(key) != KEY_BYTES:
            raise SealError(f"seal key of {len(key)} bytes: expected {KEY_BYTES}")
        self._key = key
        self._random = random
        self._cipher = AESGCM(self.derive("seal"))
        self._hash_key = self.derive("fingerprint")

    def close(self, plain: bytes, context: str) -> bytes:
        """`plain` sealed, bound to `context`."""
        nonce = self._random(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What was sealed; SealError where the key or the context is another, or a bit has changed."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError):
            raise SealError(f"{context}: the sealed value does not open with this key") from None

    def fingerprint(self, text: str) -> bytes:
        """A keyed hash (HMAC-SHA-256) of `text`: equal texts have equal ones, and without the key it says nothing."""
        return hmac.digest(self._hash_key, text.encode(), "sha256")

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for `purpose` (HKDF-SHA-256, RFC 5869)."""
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"healthgate {purpose}".encode()).derive(self._key)


def write_private(path: Path, content: bytes) -> None:
    """A new file of mode 0600, on the disk with its name; SealError where it is already there. OSError leaves none behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SealError(f"{path}: exists already, expected a new file") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        path.unlink()
        raise


def read_private(path: Path) -> bytes:
    """The content of a key file; SealError where it is missing or others than its owner may touch it."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as wrong:
        raise SealError(f"{path}: cannot be read: {wrong.strerror}") from None
    if mode & 0o077:
        raise SealError(f"{path}: mode {mode & 0o777:04o}: expected 0600 (chmod 600 {path})")
    return content


def create_seal(path: Path, random: Callable[[int], bytes] = os.urandom) -> None:
    """Draw a key and write it to the new file `path`, in hexadecimal."""
    write_private(path, random(KEY_BYTES).hex().encode() + b"\n")


def load_seal(path: Path) -> Seal:
    """The seal whose key is in the file `path`."""
    try:
        return Seal(bytes.fromhex(read_private(path).decode("ascii").strip()))
    except (UnicodeDecodeError, ValueError) as wrong:
        if isinstance(wrong, SealError):
            raise
        raise SealError(f"{path}: expected {2 * KEY_BYTES} hexadecimal digits") from None
