"""The unit's side of the simulated world: the scene around the gate comes in, what the simulated hardware did goes out.

Only `hardware = "simulated"` comes here. The world (`healthgate/world.py`) listens on a Unix stream socket and speaks JSON lines, one
connection a unit. When that connection ends, the simulated parts fail as real ones do: `scene` and `journal` raise WorldLost, an OSError
with the errno of a device that is gone, and nothing invents a value.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.mlx90614 import SKIN_EMISSIVITY

MAX_LINE = 256 * 1024
"""Longest line in bytes, either way; a longer one ends the connection."""

FIRST_SCENE_S = 5.0
"""How long the world may take to send the first scene after the greeting."""

SEND_LIMIT_S = 2
"""How long a write may wait for a world that does not read, in seconds."""

log = logging.getLogger(__name__)

SensorCondition = Literal[
    "ok",
    "unplugged",
    "io_error",
    "timeout",
    "bus_low",
    "bad_pec",
    "error_flag",
    "all_ones",
    "floating",
    "zero",
    "stuck",
    "wrong_id",
    "noisy",
    "hang",
]
CameraCondition = Literal["ok", "stopped", "unplugged", "hang"]
"""A camera that is stopped is still there and gives no frames; where it hangs its driver does not even return."""
RelayCondition = Literal["ok", "hang"]
"""What happens where the relay's line is to change."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what travels: unknown fields are refused."""


class Shown(Part, frozen=True):
    """A code that is held up to the camera now."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    text: Annotated[str, Meta(max_length=4296)]


class Scene(Part, frozen=True):
    """The world around one unit. Temperatures in degrees Celsius; a true input is a broken beam, a pressed button, an alarm.

    `skin_c` is what the sensor looks at, None where nobody stands there, `emissivity` that of its surface (a black body's is nearly 1).
    `sensor`, `camera` and `relay` name a fault of theirs. `supply_v` is the sensor's supply, `error_c` what its words are off by,
    `powered_s` how long it had had power when the unit connected. `tilt` (degrees), `blur` and `noise` (0 to 1) and `brightness` (1 is
    normal) spoil the picture. `picture` is an image file that fills the camera's view, in front of which the codes of `shown` stand.
    """

    shown: tuple[Shown, ...] = ()
    picture: Annotated[str, Meta(max_length=4096)] = ""
    tilt: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    brightness: float = 1.0
    camera: CameraCondition = "ok"
    relay: RelayCondition = "ok"
    skin_c: float | None = None
    emissivity: Annotated[float, Meta(ge=0.1, le=1.0)] = SKIN_EMISSIVITY
    error_c: float = 0.0
    ambient_c: float = 25.0
    sensor: SensorCondition = "ok"
    supply_v: float = 3.3
    powered_s: Annotated[float, Meta(ge=0)] = 7200.0
    beam: bool = False
    arm: bool = False
    staff: bool = False
    exit: bool = False
    tamper: bool = False
    fire: bool = False


class _FromWorld(Part, frozen=True):
    scene: Scene


class WorldLost(OSError):
    """The simulated world is gone: to the simulated hardware this is what a pulled cable is to the real one."""

    def __init__(self, detail: str) -> None:
        super().__init__(errno.ENXIO, f"the simulated world is gone: {detail}")


class WorldClient:
    """One unit's connection to the world. Thread-safe; a thread of its own reads, and calls what `on_change` and `on_lost` registered."""

    def __init__(self, path: str, unit: str) -> None:
        """Connects to the socket at `path` as `unit` and waits for the first scene; WorldLost where there is no world."""
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._news = threading.Condition()
        self._scene: Scene | None = None
        self._lost: str | None = None
        self._changed: list[Callable[[Scene], None]] = []
        self._gone: list[Callable[[], None]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as wrong:
            self._socket.close()
            raise WorldLost(f"{path}: {wrong.strerror or wrong}") from None
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_LIMIT_S, 0))
        self._reader = threading.Thread(target=self._read, name="world", daemon=True)
        self._reader.start()
        self.journal({"hello": unit, "pid": os.getpid()})
        if not self._arrived.wait(FIRST_SCENE_S) or self.lost:
            self.close()
            raise WorldLost(f"{path}: no scene for {unit} within {FIRST_SCENE_S:.0f} s")

    @property
    def lost(self) -> bool:
        """Whether the connection has ended."""
        return self._lost is not None

    @property
    def scene(self) -> Scene:
        """The newest scene; WorldLost where the connection has ended."""
        if self._lost is not None:
            raise WorldLost(self._lost)
        assert self._scene is not None
        return self._scene

    def on_change(self, callback: Callable[[Scene], None]) -> None:
        """Calls `callback` with each later scene, on the reader's thread."""
        self._changed.append(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once when the connection ends, on the reader's thread (at once where it has ended already)."""
        with self._lock:
            if self._lost is None:
                self._gone.append(callback)
                return
        callback()

    def hang_while(self, hangs: Callable[[Scene], bool]) -> None:
        """Does not return while `hangs` holds for the scene, as a driver stays in the kernel; WorldLost where the connection has ended."""
        if hangs(self.scene):
            with self._news:
                self._news.wait_for(lambda: self._lost is not None or not hangs(self.scene))

    def journal(self, entry: Mapping[str, object]) -> None:
        """Tells the world what the hardware did, one JSON object; WorldLost where nobody is there to be told."""
        if self._lost is not None:
            raise WorldLost(self._lost)
        line = msgspec.json.encode(dict(entry)) + b"\n"
        with self._lock:
            try:
                self._socket.sendall(line)
            except OSError as wrong:
                raise WorldLost(wrong.strerror or str(wrong)) from None

    def close(self) -> None:
        """Ends the connection and the reader."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("the world had already hung up")
        if threading.current_thread() is not self._reader:
            self._reader.join(SEND_LIMIT_S)
        self._socket.close()

    def _read(self) -> None:
        detail = "connection closed"
        try:
            with self._socket.makefile("rb") as lines:
                while line := lines.readline(MAX_LINE):
                    scene = msgspec.json.decode(line, type=_FromWorld).scene
                    with self._news:
                        self._scene = scene
                        self._news.notify_all()
                    self._arrived.set()
                    for callback in tuple(self._changed):
                        callback(scene)
        except (OSError, ValueError, msgspec.DecodeError) as wrong:
            detail = str(wrong)
        finally:
            with self._lock:
                self._lost = detail
                gone, self._gone = self._gone, []
            self._arrived.set()
            with self._news:
                self._news.notify_all()
            for left in gone:
                left()
