"""The unit's configuration: every key says what it is, and nothing that cannot be gets through."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from edge.config import ALL_RULES, PIN_NAMES, Config, ConfigError, load, parse
from healthcode.setting_keys import Key, example_toml, list_keys
from healthgate.edge import app

UNIT = 'unit = "north"\nhardware = "pi"\ndata = "/d"\nroots = ["r"]\n'
SIMULATED = UNIT.replace("pi", "simulated")
KEYS = list(list_keys(Config))
BY_PATH = {key.path: key for key in KEYS}


def faults(text: str) -> list[str]:
    """What is wrong with `text`, line by line."""
    with pytest.raises(ConfigError, match=r".") as caught:
        parse(text, "gate.toml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_every_key_has_one_sentence_and_a_unit_if_it_measures(key: Key) -> None:
    assert re.fullmatch(r"[A-Z0-9`].*[^.]\.", key.meaning), "one sentence, as description= beside the key"
    assert key.default is not None or key.example != '""', "a key that must be given has an example"
    share = key.bounds.endswith(("from 0 to 1", "0.3 to 1", "from 0.8 to 1"))
    assert key.unit or share or not key.bounds.startswith("a number"), "a number with a fraction has a unit in its name or is a share"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_every_key_refuses_what_it_is_not_and_says_what_it_is(key: Key) -> None:
    head = UNIT.replace(f"{key.name} =", f"# {key.name} =") + (f"[{key.section}]\n" if key.section else "")
    (line,) = faults(f"{head}{key.name} = 1979-05-27\n")
    number = len(head.splitlines()) + 1
    assert line == f'gate.toml:{number}: {key.path} = "1979-05-27": expected {key.expected}'


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.bounds.startswith(("a number from", "a whole number from"))], ids=lambda key: key.path
)
def test_a_number_just_outside_its_bounds_is_refused(key: Key) -> None:
    bounds = re.search(r"from (\S+) to (\S+)$", key.bounds)
    assert bounds, "a number has two bounds"
    step = 1 if key.bounds.startswith("a whole") else 1e-9
    for value in (float(bounds[1]) - step, float(bounds[2]) + step):
        said = faults(f"{UNIT}[{key.section}]\n{key.name} = {int(value) if step == 1 else value}\n")
        assert said[0].endswith(f": expected {key.expected}")


@pytest.mark.parametrize(("one", "other"), list(combinations(PIN_NAMES, 2)))
def test_a_pin_carries_one_signal(one: str, other: str) -> None:
    first, second = one.partition(".")[2], other.partition(".")[2]
    for above, below in ((first, second), (second, first)):
        (line,) = faults(f"{UNIT}[pins]\n{above} = 10\n{below} = 10\n")
        assert line.startswith(f"gate.toml:7: pins.{below} = 10: expected a pin of its own, not that of pins.{above} = 10 (line 6), ")


def test_a_pin_that_another_signal_has_by_default_is_taken_too() -> None:
    (line,) = faults(f"{UNIT}[pins]\nled_red = 23\n")
    assert line.startswith("gate.toml:6: pins.led_red = 23: expected a pin of its own, not that of pins.relay = 23 (by default), ")


@pytest.mark.parametrize("pin", [2, 3, 4, 5, 6, 7, 8, 14])
def test_a_relay_never_hangs_where_power_on_is_high(pin: int) -> None:
    assert faults(f"{UNIT}[pins]\nrelay = {pin}\n")[0].startswith(f"gate.toml:6: pins.relay = {pin}: expected ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{UNIT}[camera]\nidle_fps = 20\n", "gate.toml:6: camera.idle_fps = 20.0: expected at most camera.fps = 15.0 (by default)"),
        (f"{UNIT}[statements]\nlimit_s = 60\n", "gate.toml:6: statements.warn_s = 86400.0 (by default): expected at most"),
        (
            f"{UNIT}[screening]\nfever_c = 36.9\n",
            "gate.toml:6: screening.recheck_c = 37.0 (by default): expected at most screening.fever_c",
        ),
        (f"{SIMULATED}", 'gate.toml:2: world = "" (by default): expected the path of a world\'s socket, because hardware = '),
        (f'{UNIT}world = "/w"\n', 'gate.toml:5: world = "/w": expected nothing, because hardware = "pi" has no world'),
        (f'{UNIT}camera.source = "simulated"\n', 'gate.toml:5: camera.source = "simulated": expected a real camera'),
    ],
)
def test_what_cannot_be_together_is_said_with_both_places(text: str, line: str) -> None:
    assert faults(text)[0].startswith(line)


@pytest.mark.parametrize("key", [key for key in KEYS if key.default is None], ids=lambda key: key.path)
def test_a_rule_never_looks_at_a_required_key_that_is_missing(key: Key) -> None:
    text = "".join(line for line in UNIT.splitlines(keepends=True) if not line.startswith(f"{key.name} ="))
    assert faults(text) == [f"gate.toml: {key.path} is missing: expected {key.expected}"]


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: f"{','.join(rule.keys)}: {rule.expected}")
def test_every_rule_names_keys_that_exist_and_says_why(rule: object) -> None:
    keys, expected, because = (getattr(rule, name) for name in ("keys", "expected", "because"))
    assert set(keys) <= BY_PATH.keys()
    assert expected.count("{}") <= len(keys) - 1
    assert because.startswith("because ")


def test_the_example_is_a_configuration_and_its_comments_are_the_defaults() -> None:
    text = example_toml(Config)
    given = parse(text)
    assert given == parse(re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE))
    bare = Config(unit=given.unit, hardware=given.hardware, data=given.data, roots=given.roots)
    assert given == bare
    assert len(re.findall(r"^#?\w+ = ", text, re.MULTILINE)) == len(KEYS)


def test_the_commands_print_the_example_and_all_faults_at_once(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(CliRunner().invoke(app, ["example"]).output)
    assert load(path).hardware == "pi"
    path.write_text(UNIT.replace('"r"', f'"{tmp_path}/absent.pem"') + f'[link]\npassword_file = "{tmp_path}/absent"\n')
    done = CliRunner().invoke(app, ["check", "--config", str(path)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert [line.partition("/absent")[0] for line in done.stderr.splitlines()] == [
        f"{path}: roots: {tmp_path}",
        f"{path}: link.password_file: {tmp_path}",
    ]
    path.write_text(f"{UNIT}color = 1\n[lane]\npulse_s = 50.0\n")
    done = CliRunner().invoke(app, ["check", "--config", str(path)])
    assert [line.partition(": expected")[0] for line in done.stderr.splitlines()] == [
        f"{path}:5: unknown key color",
        f"{path}:7: lane.pulse_s = 50.0",
    ]


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        parse(UNIT).lane.pulse_s = 1.0  # type: ignore[misc]
    assert msgspec.structs.replace(parse(UNIT), unit="south").unit == "south"
