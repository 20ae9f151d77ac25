"""The description of all MQTT topics as an AsyncAPI 3.0 document, made from `healthcode.channels` and the messages' own types."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from healthcode import topics
from healthcode.channels import CHANNELS, PARAMETERS, STATE_WORDS, Channel, Part, full_address
from healthcode.signed import KINDS

REF = "#/components/schemas/{name}"
TYPES = {
    "json": "application/json",
    "cbor": "application/cbor",
    "signed": 'application/cose; cose-type="cose-sign1"',
    "word": "text/plain",
    "der": "application/pkix-cert",
}
_BYTES = {"type": "string", "format": "binary", "description": "A byte string."}


def describe() -> str:
    """The document, JSON. The application that it describes is the server."""
    kinds = [part.kind for channel in CHANNELS for part in channel.parts if part.kind is not None]
    found, components = msgspec.json.schema_components(kinds, ref_template=REF)
    schemas = dict(zip(map(id, kinds), found, strict=True))
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "healthgate over MQTT",
            "version": topics.ROOT.rpartition("/v")[2],
            "description": "What units, server and operators say to each other. Made from the code; docs/protocol.md explains it.",
        },
        "defaultContentType": TYPES["json"],
        "servers": {
            "broker": {
                "host": "{host}",
                "protocol": "secure-mqtt",
                "protocolVersion": "5",
                "variables": {"host": {"description": "Name and port of the broker that the server is configured with."}},
                "security": [{"$ref": "#/components/securitySchemes/certificate"}],
            }
        },
        "channels": {channel.name: _channel(channel, schemas) for channel in CHANNELS},
        "operations": {_operation_name(channel): _operation(channel) for channel in CHANNELS},
        "components": {
            "schemas": {name: _plain(schema) for name, schema in sorted(components.items())},
            "securitySchemes": {
                "certificate": {"type": "X509", "description": "A client certificate of the fleet's authority; its name is the account."}
            },
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _channel(channel: Channel, schemas: dict[int, Any]) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", channel.address)
    messages = {_message_name(part): _message(part, schemas) for part in channel.parts}
    if channel.empty:
        messages["empty"] = {"contentType": TYPES["word"], "payload": {"type": "string", "maxLength": 0}, "summary": channel.empty}
    return {
        "address": full_address(channel),
        "description": channel.about,
        "messages": messages,
        **({"parameters": {name: {"description": PARAMETERS[name]} for name in names}} if names else {}),
    }


def _message_name(part: Part) -> str:
    if part.kind is None:
        return part.form
    return part.kind.__name__ if isinstance(part.kind, type) else "any"


def _message(part: Part, schemas: dict[int, Any]) -> dict[str, Any]:
    if part.form == "word":
        payload: dict[str, Any] = {"type": "string", "enum": list(STATE_WORDS)}
    elif part.form == "der":
        payload = {**_BYTES, "description": "X.509 in DER."}
    else:
        payload = _plain(schemas[id(part.kind)])
    summary = {}
    if part.form == "signed":
        kind = KINDS[part.kind]
        by = "a root key" if kind.use is None else f"a key with the use {kind.use.value}"
        summary = {"summary": f"COSE_Sign1 by {by}, typ {kind.typ}, at most {kind.limit} bytes; the schema is that of its content, CBOR."}
    return {"contentType": TYPES[part.form], "payload": payload, **summary}


def _operation_name(channel: Channel) -> str:
    return f"{'receive' if channel.sender == 'unit' else 'send'}_{channel.name}"


def _operation(channel: Channel) -> dict[str, Any]:
    """As the server does it; who else publishes is a tag."""
    return {
        "action": "receive" if channel.sender == "unit" else "send",
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": f"Published by the {channel.sender}.",
        "tags": [{"name": channel.sender}],
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }


def _plain(schema: Any) -> Any:
    """JSON Schema as AsyncAPI has it: byte strings are those of CBOR, which JSON would have as base64, and unions need no discriminator."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if isinstance(schema, str):
        return schema.replace(r"\Z", "$")  # Python's end of a text; in JSON Schema `$` is that
    if not isinstance(schema, dict):
        return schema
    if schema.get("contentEncoding") == "base64":
        return dict(_BYTES)
    return {key: _plain(value) for key, value in schema.items() if key != "discriminator"}


def write_description(
    out: Annotated[Path | None, typer.Option("--out", help="The file to write; the standard output without.")] = None,
) -> None:
    """Write the description of all MQTT topics (AsyncAPI 3.0, JSON): docs/asyncapi.json is the same."""
    if out is None:
        typer.echo(describe(), nl=False)
        return
    try:
        out.write_text(describe(), encoding="utf-8")
    except OSError as wrong:
        typer.echo(f"healthgate: {out}: cannot be written: {wrong.strerror}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{out}: {len(CHANNELS)} topics")
