"""The description of all topics: as the code has them, as the protocol's page has them, valid, and true of the examples."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from healthcode import messages, topics
from healthcode.channels import CHANNELS, full_address
from healthgate import fleet
from healthgate.asyncapi import describe
from tests import protocol_examples as examples

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.json"
PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
BROKEN = {
    "a misspelt field": lambda told: told["channels"]["state"].update(adress="x"),
    "no title": lambda told: told["info"].pop("title"),
    "an action that there is not": lambda told: told["operations"]["receive_state"].update(action="listen"),
    "a channel without an address of text": lambda told: told["channels"]["state"].update(address=7),
}


def told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(describe())
    return found


def check(document: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's own
        from asyncapi3 import AsyncAPI3

        AsyncAPI3.model_validate(document)


def test_the_document_is_what_the_code_says(tmp_path: Path) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == describe(), "write it anew: healthgate fleet asyncapi --out docs/asyncapi.json"
    made = CliRunner().invoke(fleet.app, ["asyncapi", "--out", str(tmp_path / "x.json")])
    assert made.exit_code == 0
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == describe()
    assert CliRunner().invoke(fleet.app, ["asyncapi"]).output == describe()
    assert CliRunner().invoke(fleet.app, ["asyncapi", "--out", str(tmp_path / "no" / "x.json")]).exit_code == 2


def test_the_document_is_valid() -> None:
    check(told())


@pytest.mark.parametrize("how", BROKEN.values(), ids=BROKEN)
def test_a_document_with_a_mistake_is_not(how: Any) -> None:
    document = told()
    how(document)
    with pytest.raises(ValueError):
        check(document)


def test_every_topic_that_the_code_knows_is_described() -> None:
    plain = {
        channel.address.split("/", 2)[2] for channel in CHANNELS if channel.address.startswith("gates/") and channel.address.count("{") == 1
    }
    assert plain == {f"up/{name}" for name in topics.UP_PLAIN} | {f"down/{name}" for name in topics.DOWN_PLAIN}
    named = {
        channel.address.split("/")[3] for channel in CHANNELS if channel.address.startswith("gates/") and channel.address.count("{") == 2
    }
    assert named == topics.UP_NAMED | {"request"}
    for channel in CHANNELS:
        example = full_address(channel).format(id="north", name="sensor", command="selftest", issuer="CN-HB", mark="0123abcd")
        assert topics.parse(example) is not None, example


def test_the_protocols_page_says_the_same() -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([01], \w+) \|", PROTOCOL.read_text(encoding="utf-8"), re.MULTILINE))
    retained = {True: "yes", False: "no"}
    mine = {channel.address: f"{channel.qos}, {retained[channel.retained]}" for channel in CHANNELS}
    assert {address: words.replace("never", "no") for address, words in rows.items()} == mine


def test_every_message_that_travels_alone_is_on_a_topic() -> None:
    shown = {part.kind for channel in CHANNELS for part in channel.parts if isinstance(part.kind, type)}
    unions = {*messages.SyncRequest.__args__, *messages.SyncAnswer.__args__}
    signed_in_chunks = {messages.TrustList, messages.TimeAnswer, messages.RootRotation}  # they travel inside of others
    over_https = {messages.Release}
    assert shown | unions | signed_in_chunks | over_https == examples.payload_classes()


def schema_of(document: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind}", "components": document["components"]}


@pytest.mark.parametrize("name", examples.JSON)
def test_the_examples_are_what_the_document_says(name: str) -> None:
    example, document = examples.JSON[name], told()
    kind = type(example).__name__
    if kind not in document["components"]["schemas"]:
        pytest.fail(f"{kind} is not described")
    body = json.loads(messages.encode(example))
    assert jsonschema_rs.is_valid(schema_of(document, kind), body)
    assert not jsonschema_rs.is_valid(schema_of(document, kind), {**body, "unit": "-"} if "unit" in body else [body])
