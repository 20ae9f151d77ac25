"""How the devices are: which work, what is wrong with the others, and what of that is worth an event. For the deciding thread."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from edge.feeds import Calibrated, Device, DeviceBack, DeviceLost, Obstructed

log = logging.getLogger(__name__)

OBSTRUCTED = "a code that is not ours stays in the camera's view: take it away"


@dataclass(frozen=True)
class Noted:
    """What to record: a stable word, and one line for people."""

    what: str
    detail: str = ""


class Devices:
    """The camera and the thermometer. `works` holds what is known of each."""

    def __init__(self) -> None:
        self.works: dict[Device, bool] = {}
        self._lost: dict[Device, tuple[str, str]] = {}
        self._obstructed = False
        self._calibration = ""

    @property
    def all_work(self) -> bool:
        """Whether no device is lost."""
        return all(self.works.values())

    @property
    def troubles(self) -> dict[str, str]:
        """What is wrong now: the alert's name, and one line that says what."""
        found = {"calibration": self._calibration} if self._calibration else {}
        found |= dict(self._lost.values())
        if self._obstructed:
            found["obstructed"] = OBSTRUCTED
        return found

    def take(self, item: DeviceLost | DeviceBack | Obstructed | Calibrated) -> Noted | None:
        """Takes in what a device posted; what to record of it, None where that is no news."""
        match item:
            case Obstructed(active=active):
                self._obstructed = active
                return None
            case Calibrated(warning=warning):
                self._calibration = warning
                if warning:
                    log.warning("%s", warning)
                return Noted("calibration", warning or "in force")
            case DeviceLost(device=device, detail=detail):
                was = self.works.get(device)
                self.works[device] = False
                self._lost[device] = (item.alert or device.value, detail)
                if was is False:
                    return None
                log.warning("%s lost: %s", device.value, detail)
                return Noted(f"{device.value}_lost", detail)
            case DeviceBack(device=device):
                was = self.works.get(device)
                self.works[device] = True
                self._lost.pop(device, None)
                if was is not False:
                    return None
                log.info("%s is back", device.value)
                return Noted(f"{device.value}_back")
