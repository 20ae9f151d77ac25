"""The header's pins of a real Pi: gpiozero's lgpio factory on the chip that carries the header, found by its label.

Never tried on a Pi. Fails with GateFault, and then nothing at this gate moves, rather than drive some other chip's lines: on the Pi 5 the
header's chip moved from gpiochip4 to gpiochip0 in kernel 6.6.45.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, cast

HEADER_LABELS = frozenset({"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"})
"""Labels of the chip that carries the 40-pin header: Pi 0 to 3, Pi 4, Pi 5."""
HEADER_DRIVERS = ("pinctrl_bcm2835", "pinctrl_rp1")
"""The kernel's drivers of those chips."""


class GateFault(Exception):
    """The gate's hardware cannot be used; the text is one line."""


def import_lgpio() -> ModuleType:
    """The lgpio module, without the named pipe that its import leaves in the working directory and without the change of that directory.

    lgpio opens `.lgd-nfy0` at import, in LG_WD where that is set, and moves the process there.
    """
    before = os.open(".", os.O_RDONLY)
    folder = tempfile.mkdtemp(prefix="healthgate-lgpio-")
    asked = os.environ.get("LG_WD")
    os.environ["LG_WD"] = folder
    try:
        import lgpio
    except ImportError as wrong:
        raise GateFault(f"lgpio cannot be imported: {wrong}; expected the edge extra to be installed") from None
    except OSError as wrong:
        raise GateFault(f"lgpio cannot start: {wrong}") from None
    finally:
        os.fchdir(before)
        os.close(before)
        shutil.rmtree(folder, ignore_errors=True)
        if asked is None:
            os.environ.pop("LG_WD", None)
        else:
            os.environ["LG_WD"] = asked
    return cast(ModuleType, lgpio)


def find_header(labels: Iterable[tuple[int, str]], wanted: frozenset[str] = HEADER_LABELS) -> int:
    """The number of the one chip among `labels` (number, label) that carries the header; GateFault where there is none or more than one."""
    seen = list(labels)
    found = [number for number, label in seen if label in wanted]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"gpiochip{number} {label}" for number, label in seen) or "no gpiochip at all"
    raise GateFault(f"the header's pins were not found: expected one chip labelled {' or '.join(sorted(wanted))}, found {there}")


def chip_labels(lgpio: ModuleType, devices: Path = Path("/dev")) -> list[tuple[int, str]]:
    """Number and label of every GPIO chip that may be opened here."""
    found: list[tuple[int, str]] = []
    for path in sorted(devices.glob("gpiochip*")):
        number = path.name.removeprefix("gpiochip")
        if not number.isdigit():
            continue
        with suppress(lgpio.error):
            handle = lgpio.gpiochip_open(int(number))
            try:
                found.append((int(number), lgpio.gpio_get_chip_info(handle)[3]))
            finally:
                lgpio.gpiochip_close(handle)
    return found


def check_release(modules: Path = Path("/sys/module")) -> None:
    """GateFault where the kernel leaves a pin at its level when its process is gone, as Raspberry Pi's kernels do unless told otherwise.

    Kernels without that choice (raspberrypi/linux pull requests 6117 and 6150) do not say; the bench checklist does.
    """
    for path in (modules / driver / "parameters" / "persist_gpio_outputs" for driver in HEADER_DRIVERS):
        if path.is_file() and path.read_text(encoding="ascii").strip() in ("Y", "1"):
            raise GateFault(f"{path} says Y: a killed unit would leave the barrier open; expected dtparam=strict_gpiod in config.txt")


def open_pi_pins(labels: Callable[[ModuleType], list[tuple[int, str]]] = chip_labels) -> Any:
    """gpiozero's factory for this Pi's header; GateFault where there is no such header, it may not be opened or its pins outlast us."""
    lgpio = import_lgpio()
    chip = find_header(labels(lgpio))
    check_release()
    from gpiozero.exc import GPIOZeroError
    from gpiozero.pins.lgpio import LGPIOFactory

    class HeaderPins(LGPIOFactory):  # type: ignore[misc]
        """The factory, with what lgpio raises where a line fails: its errors are nobody else's."""

        errors = (lgpio.error,)

    try:
        return HeaderPins(chip=chip)
    except (OSError, GPIOZeroError, lgpio.error) as wrong:
        raise GateFault(f"gpiochip{chip}: {wrong}; expected a Pi, and a user in the group gpio") from None
