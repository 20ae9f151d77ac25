"""Which faults a seed has. Each kind is left out of many seeds: what hides behind one kind shows where that one is missing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random


@dataclass
class Faults:
    """Chances of one message, and how many of an event there are in an hour of one unit (or of the server, the broker, the town)."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    damage: float = 0.0
    slow: float = 0.0
    cuts_an_hour: float = 0.0
    kills_an_hour: float = 0.0
    power_cuts_an_hour: float = 0.0
    bad_spells_an_hour: float = 0.0
    new_cards_an_hour: float = 0.0
    unit_clock_jumps_an_hour: float = 0.0
    server_crashes_an_hour: float = 0.0
    server_clock_jumps_an_hour: float = 0.0
    restores_an_hour: float = 0.0
    broker_crashes_an_hour: float = 0.0
    new_trust_an_hour: float = 0.0
    new_epochs_an_hour: float = 0.0
    key_rotations_an_hour: float = 0.0
    withdrawals_an_hour: float = 0.0
    root_rotations_an_hour: float = 0.0
    wrong_times_an_hour: float = 0.0

    @classmethod
    def drawn(cls, random: Random) -> Faults:
        """Those of a seed: every kind with a chance of 0.6, weak or strong."""
        most = {
            "drop": 0.3,
            "duplicate": 0.2,
            "reorder": 0.3,
            "damage": 0.1,
            "slow": 0.1,
            "cuts_an_hour": 120.0,
            "kills_an_hour": 40.0,
            "power_cuts_an_hour": 60.0,
            "bad_spells_an_hour": 30.0,
            "new_cards_an_hour": 6.0,
            "unit_clock_jumps_an_hour": 20.0,
            "server_crashes_an_hour": 60.0,
            "server_clock_jumps_an_hour": 20.0,
            "restores_an_hour": 6.0,
            "broker_crashes_an_hour": 20.0,
            "new_trust_an_hour": 20.0,
            "new_epochs_an_hour": 20.0,
            "key_rotations_an_hour": 120.0,
            "withdrawals_an_hour": 60.0,
            "root_rotations_an_hour": 60.0,
            "wrong_times_an_hour": 60.0,
        }
        drawn = {}
        for field in fields(cls):
            is_on, strength = random.random() < 0.6, random.random() ** 2
            drawn[field.name] = most[field.name] * strength if is_on else 0.0
        return cls(**drawn)

    def calm(self) -> None:
        """No fault from now on."""
        for field in fields(self):
            setattr(self, field.name, 0.0)
