"""What may be set from afar, above the unit's own file: a table of refusals, and what comes of the rest."""

from __future__ import annotations

import json

import pytest

from edge.afar import FROM_AFAR, OTHERWISE, lay_over, settable
from edge.config import Config, ConfigError
from healthcode.messages import Reported, decode, encode
from healthcode.setting_keys import list_keys
from healthcode.settings import Layer
from healthcode.terms import SettingsState

OWN = Layer(
    """\
unit = "north"
hardware = "simulated"
data = "/var/lib/healthgate"
roots = ["/etc/healthgate/root.pub.pem"]
world = "/run/world"

[screening]
fever_c = 37.5
recheck_c = 37.2

[lane]
window_s = 8.0
""",
    "gate.toml",
)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        lay_over(OWN, text, 8)
    return str(wrong.value).splitlines()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[camera]\nfsp = 20\n", "desired 8:2: unknown key camera.fsp (did you mean camera.fps?): expected one of fps"),
        ("[camera]\nfps = 90\n", "desired 8:2: camera.fps = 90: expected a number from 1 to 60 1/s"),
        ("[camera]\n\nfps = 'fast'\n", 'desired 8:3: camera.fps = "fast": expected a number from 1 to 60 1/s'),
        ("camera = 3\n", "desired 8:1: camera = 3: expected a section, [camera]"),
        ("[camera\n", "desired 8:1: Expected ']' at the end of a table declaration at column 8: expected TOML, key = value"),
        (
            '[camera]\nsource = "/srv/pictures"\n',
            'desired 8:2: camera.source = "/srv/pictures": expected from afar picamera2, simulated or',
        ),
        (
            "[screening]\nrecheck_c = 37.6\n",
            "desired 8:2: screening.recheck_c = 37.6: expected at most screening.fever_c = 37.5 (line 8 of gate.toml), because",
        ),
        (
            "[screening]\nfever_c = 37.0\n",
            "desired 8:2: screening.recheck_c = 37.2 (line 9 of gate.toml): expected at most screening.fever_c = 37.0 (line 2), because",
        ),
        (
            "[screening]\nfever_c = 38.0\nspread_c = 1.0\n",
            "desired 8: screening.fever_c = 38 with screening.spread_c = 1, sensor.part = DCC",
        ),
        ("[lane]\naccessible_window_s = 7.0\n", "desired 8:2: lane.accessible_window_s = 7.0: expected at least lane.window_s = 8.0"),
        ('[sound]\nzone = "Mars/Olympus"\n', 'desired 8:2: sound.zone = "Mars/Olympus": expected a time zone such as Asia/Shanghai or UTC'),
        *(
            (text, f"desired 8:{text.count(chr(10))}: {text.splitlines()[-1] if '[' not in text else path + ' = ' + value}: {OTHERWISE}")
            for path, value, text in (
                ("unit", '"south"', 'unit = "south"\n'),
                ("hardware", '"pi"', 'hardware = "pi"\n'),
                ("data", '"/tmp"', 'data = "/tmp"\n'),
                ("world", '"/tmp/w"', 'world = "/tmp/w"\n'),
                ("pins.relay", "24", "[pins]\nrelay = 24\n"),
                ("sensor.address", "91", "[sensor]\naddress = 91\n"),
                ("sensor.calibration", '"/x"', '[sensor]\ncalibration = "/x"\n'),
                ("link.host", '"evil"', '[link]\nhost = "evil"\n'),
                ("link.username", '"south"', '[link]\nusername = "south"\n'),
                ("link.password_file", '"/x"', '[link]\npassword_file = "/x"\n'),
                ("lane.debounce_s", "0.2", "[lane]\ndebounce_s = 0.2\n"),
                ("watchdog.decision_s", "600", "[watchdog]\ndecision_s = 600\n"),
                ("trial.length_s", "5", "[trial]\nlength_s = 5\n"),
            )
        ),
        ('roots = ["/x"]\n', f'desired 8:1: roots = ["/x"]: {OTHERWISE}'),
    ],
)
def test_what_is_refused_is_one_line_with_its_place(text: str, line: str) -> None:
    (said,) = faults(text)
    assert said.startswith(line)


def test_every_fault_is_named_at_once_in_the_order_of_the_lines() -> None:
    said = faults('unit = "south"\n\n[camera]\nfps = 90\nfsp = 1\n\n[lane]\nwindow_s = 20.0\n')
    assert [line.split(": ")[0] for line in said] == ["desired 8:1", "desired 8:4", "desired 8:5", "desired 8:8"]


def test_what_is_set_from_afar_stands_above_the_file_and_the_rest_is_the_file_s() -> None:
    config = lay_over(OWN, '[camera]\nsource = "/dev/video2"\nfps = 20\n\n[lane]\nwindow_s = 9\n', 8)
    assert (config.camera.source, config.camera.fps, config.lane.window_s) == ("/dev/video2", 20.0, 9.0)
    assert (config.unit, config.screening.fever_c, config.camera.width) == ("north", 37.5, 640)


def test_at_the_unit_a_folder_may_be_the_camera() -> None:
    own = Layer(OWN.text + '\n[camera]\nsource = "/srv/pictures"\n', "gate.toml")
    assert lay_over(own, "[sound]\nvolume = 0.5\n", 8).camera.source == "/srv/pictures"


def test_the_list_names_keys_that_there_are_and_none_that_make_a_gate_another_one() -> None:
    keys = {key.path for key in list_keys(Config)}
    assert set(FROM_AFAR) <= keys
    assert len(set(FROM_AFAR)) == len(FROM_AFAR)
    closed = ("pins.", "watchdog.", "trial.")
    assert not [key for key in FROM_AFAR if key.startswith(closed) or "." not in key]
    words = ("host", "port", "user", "pass", "cert", "key", "file", "address", "bus", "part", "issuer", "root", "calibration")
    named = [key for key in FROM_AFAR if any(word in key.partition(".")[2].split("_") for word in words)]
    assert named == ["sensor.calibration_due_days"], "how long a calibration lasts, not where it is"


def test_what_is_in_force_travels_as_a_report() -> None:
    config = lay_over(OWN, "[sound]\nvolume = 0.5\n", 8)
    said = Reported(unit="north", version=8, state=SettingsState.APPLIED, in_force=8, digest="0" * 64, settings=settable(config))
    read = decode(encode(said), Reported)
    assert read.settings["sound.volume"] == 0.5
    assert read.settings["camera.roi"] == [0.0, 0.0, 1.0, 1.0]
    assert list(json.loads(encode(said))["settings"]) == list(FROM_AFAR)
