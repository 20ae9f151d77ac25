"""Documentation that cannot go stale unnoticed: its links, its commands and its examples."""

import importlib
import re
import shlex
import tomllib
from pathlib import Path
from urllib.parse import unquote

import cbor2
import msgspec
import pytest
import typer

from edge import config
from healthcode import messages, signed, topics
from healthgate.__main__ import COMMANDS
from server import mosquitto
from tests import configuration_page
from tests import protocol_examples as examples

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "hw").glob("*.md"), *(ROOT / "deploy").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    """What a test run calls a page."""
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers of Markdown make them."""
    headings = re.findall(r"^#+ +(.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_in(text: str) -> list[str]:
    """The commands that a page shows: spans of code and lines of shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`((?:\./run|healthgate) [^`]+)`", text)


def shell_lines(page: Path) -> list[str]:
    """The lines of a page's shell blocks."""
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / unquote(path)).resolve() if path else page
        assert goal.exists(), f"{name(page)}: {target} does not exist"
        lines = re.fullmatch(r"L(\d+)(?:-L(\d+))?", anchor)
        if lines:
            last = len(goal.read_text(encoding="utf-8").splitlines())
            assert all(1 <= int(line) <= last for line in lines.groups() if line), f"{name(page)}: {target} is past the end"
        elif anchor and goal.suffix == ".md":
            assert anchor in anchors(goal), f"{name(page)}: {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for word in re.findall(r"(?:\./run|healthgate) ([a-z]+)\b(?=[^\n]*(?:`|$))", "\n".join(code_in(text))):
        assert word in {*COMMANDS, "test"}, f"{name(page)}: there is no command {word}"


def test_the_readme_shows_every_command() -> None:
    shown = "\n".join(code_in((ROOT / "README.md").read_text(encoding="utf-8")))
    assert {command for command in COMMANDS if f"./run {command}" not in shown} == set()


def test_the_protocol_page_shows_what_the_code_speaks() -> None:
    found = {block["name"]: block["text"] for block in examples.BLOCK.finditer(examples.DOCUMENT.read_text(encoding="utf-8"))}
    wrong = [key for key, text in found.items() if text != examples.render(key)]
    assert not wrong, "python -m tests.protocol_examples writes the examples anew"
    assert found.keys() >= examples.JSON.keys() | examples.CBOR.keys()


def test_every_payload_has_an_example() -> None:
    shown = {type(message) for message in [*examples.JSON.values(), *examples.CBOR.values()]}
    assert shown == examples.payload_classes()
    events = examples.JSON["events"]
    assert isinstance(events, messages.EventBatch)
    assert {type(event) for event in events.events} == set(messages.AnyEvent.__args__)


def test_the_examples_are_valid() -> None:
    for message in examples.JSON.values():
        assert examples.decode_again(message) == message
    for message in examples.CBOR.values():
        assert signed.unpack(signed.pack(message), type(message), messages.MAX_TRUST) == message
        assert cbor2.loads(signed.pack(message))


def test_the_protocol_page_names_every_topic() -> None:
    text = examples.DOCUMENT.read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    assert rows >= {f"gates/{{id}}/up/{channel}" for channel in topics.UP_PLAIN - {"reported"}}
    assert rows >= {f"gates/{{id}}/down/{channel}" for channel in topics.DOWN_PLAIN - {"desired"}}
    assert f"root `{topics.ROOT}`" in text
    for row in rows:
        example = row.format(id="north", name="sensor", command="selftest", issuer="CN-HB", mark="0123abcd")
        assert topics.parse(f"{topics.ROOT}/{example}") is not None, row


def test_the_operations_page_shows_the_settings_that_are_written() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"<!-- (broker|acl|gate) -->\n```[a-z]*\n(.*?)```", text, re.DOTALL))
    assert set(shown["broker"].splitlines()) <= set(mosquitto.SETTINGS.splitlines())
    assert shown["acl"] in mosquitto.rules([mosquitto.Member("gate.north.1", "north")], [])
    assert config.parse(shown["gate"]).hardware == "pi"


def test_the_configuration_page_has_every_key_and_rule_as_the_code_has_them() -> None:
    found = {
        block["name"]: block[0] for block in configuration_page.BLOCK.finditer(configuration_page.DOCUMENT.read_text(encoding="utf-8"))
    }
    wrong = [name for name, make in configuration_page.MADE.items() if make() not in found[name]]
    assert not wrong, "python -m tests.configuration_page writes the tables anew"


@pytest.mark.parametrize("line", [line for page in PAGES for line in shell_lines(page)], ids=lambda line: line[:50])
def test_every_option_that_is_shown_exists(line: str) -> None:
    words = shlex.split(line, comments=True)
    options = {word for word in words if word.startswith("--")}
    if words[:1] != ["./run"] or words[1] == "test":
        return
    app = importlib.import_module(COMMANDS[words[1]].module).app
    command = typer.main.get_command(app)
    for word in words[2:]:
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command = inner
    known = {option for parameter in command.params for option in parameter.opts}
    assert options <= known, f"{line}: {options - known}"


def test_the_example_for_telegraf_reads_what_there_is() -> None:
    told = tomllib.loads((ROOT / "docs" / "telegraf.conf").read_text(encoding="utf-8"))
    (consumer,) = told["inputs"]["mqtt_consumer"]
    files = [Path(consumer[name]).name for name in ("tls_ca", "tls_cert", "tls_key")]
    assert files == ["ca.crt", "op.telegraf.crt", "op.telegraf.pem"], "what `fleet operator telegraf` makes"
    unit = "north"
    files = [Path(consumer[name]).name for name in ("tls_key", "tls_cert", "tls_ca")]
    assert files == ["op.telegraf.pem", "op.telegraf.crt", "ca.crt"], "as `fleet operator telegraf` writes them"
    theirs = {"status": topics.up(unit, "status"), "units": topics.unit_seen(unit)}
    assert [topic.replace("+", unit) for topic in consumer["topics"]] == list(theirs.values())
    assert [parsing["topic"] for parsing in consumer["topic_parsing"]] == consumer["topics"]
    for parsing, (measurement, topic) in zip(consumer["topic_parsing"], theirs.items(), strict=True):
        assert topic.split("/")[parsing["tags"].split("/").index("unit")] == unit
        assert topic.split("/")[parsing["measurement"].split("/").index("measurement")] == measurement
    numbers = msgspec.to_builtins(examples.JSON["status"])
    assert all(isinstance(value, int | float) for value in numbers.values()), "Telegraf drops texts and opens what is not flat"
    assert set(consumer["json_string_fields"]) <= set(messages.UnitSeen.__struct_fields__)


def test_each_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert {number for number in numbers if numbers.count(number) > 1} == set()
