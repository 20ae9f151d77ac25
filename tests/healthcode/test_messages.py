from __future__ import annotations

import json
import types
import typing
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta

from healthcode import messages, signed
from healthcode.messages import BadPayload, Event, EventBatch, Message, PassEvent, RangeRequest, Response, SyncAnswer, Watermark
from healthcode.terms import ClockState, Decision, Reason

ABSTRACT = (Message, Event)
STRUCTS = [found for found in vars(messages).values() if isinstance(found, type) and issubclass(found, Message) and found not in ABSTRACT]
NAMES = [kind.__name__ for kind in STRUCTS]
LIMIT = 10**7
stamps = st.integers(1, 4 * 10**12).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
texts = st.characters(codec="utf-8")
jsons = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)


def bounds(metas: tuple[Any, ...]) -> dict[str, Any]:
    """The bounds that the annotations of a field set."""
    found: dict[str, Any] = {}
    for meta in metas:
        assert isinstance(meta, Meta)
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern"):
            value = getattr(meta, name)
            if value is not None:
                found[name] = value
    return found


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values that a field of this type may hold; fails for a field whose length or size nothing bounds."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    within: dict[str, Any] = {}
    if origin is typing.Annotated:
        within = bounds(arguments[1:])
        hint = arguments[0]
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values_of(one) for one in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        assert "max_length" in within, f"{hint}: a list without an end"
        return st.lists(values_of(arguments[0]), min_size=within.get("min_length", 0), max_size=min(3, within["max_length"]))
    if origin is dict:
        assert "max_length" in within, f"{hint}: a map without an end"
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    if hint is type(None):
        return st.none()
    return plain_values_of(hint, within)


def plain_values_of(hint: Any, within: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a type that has no arguments, within its bounds."""
    if hint is bool:
        return st.booleans()
    if hint is str and "pattern" in within:
        return st.from_regex(within["pattern"])
    if hint is str:
        assert "max_length" in within, "a text without an end"
        return st.text(texts, min_size=within.get("min_length", 0), max_size=min(40, within["max_length"]))
    if hint is bytes:
        assert "max_length" in within, "bytes without an end"
        return st.binary(min_size=within.get("min_length", 0), max_size=min(within["max_length"], within.get("min_length", 0) + 40))
    if hint is int:
        return st.integers(within.get("ge", -(2**53)), within["le"] if "le" in within else within.get("lt", 2**53 + 1) - 1)
    if hint is float:
        return st.floats(within.get("ge", -1e12), within.get("le", 1e12)).map(lambda value: value + 0.0)
    if hint is datetime:
        return stamps
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    assert issubclass(hint, Message), hint
    return structs(hint)


def structs(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Any message of this kind."""
    hints = typing.get_type_hints(kind, vars(messages) | {"list": list}, include_extras=True)
    hints = {name: hint for name, hint in hints.items() if name in kind.__struct_fields__}
    return st.builds(kind, **{name: values_of(hint) for name, hint in hints.items()})


ANY = {kind: structs(kind) for kind in STRUCTS}


@pytest.mark.parametrize("kind", STRUCTS, ids=NAMES)
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_encoded_is_decoded(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(ANY[kind])
    assert messages.decode(messages.encode(message), kind, LIMIT) == message
    if not issubclass(kind, (Event, EventBatch, messages.Info, messages.Alert)):
        assert signed.unpack(signed.pack(message), kind, LIMIT) == message


@pytest.mark.parametrize("kind", STRUCTS, ids=NAMES)
@given(data=st.data())
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
def test_an_unknown_field_is_refused(kind: type[Message], data: st.DataObject) -> None:
    said = json.loads(messages.encode(data.draw(ANY[kind])))
    with pytest.raises(BadPayload, match="unknown field `more`"):
        messages.decode(json.dumps(said | {"more": 1}).encode(), kind, LIMIT)


@pytest.mark.parametrize("kind", STRUCTS, ids=NAMES)
def test_every_length_and_number_is_bounded(kind: type[Message]) -> None:
    def check(hint: Any, metas: tuple[Any, ...] = ()) -> None:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Annotated:
            check(arguments[0], arguments[1:])
            return
        within = bounds(metas)
        if hint is str or hint is bytes or origin in (list, dict):
            assert "max_length" in within or within.get("pattern", "").endswith(r"\Z"), hint
        elif hint in (int, float) and kind is not Response:
            assert {"ge", "gt"} & set(within), hint
            assert {"le", "lt"} & set(within), hint
        for argument in arguments if origin is not Literal else ():
            check(argument)

    for name, hint in typing.get_type_hints(kind, vars(messages) | {"list": list}, include_extras=True).items():
        if name in kind.__struct_fields__:
            check(hint)


@given(st.binary(max_size=200) | jsons)
def test_no_payload_raises_anything_but_bad_payload(payload: bytes) -> None:
    for kind in (EventBatch, Response, messages.UnitStatus):
        with pytest.raises(BadPayload, match=kind.__name__):
            messages.decode(payload, kind)
    with pytest.raises(BadPayload):
        messages.decode_sync_request(payload)


def batch(**changes: Any) -> bytes:
    """An event batch as JSON, with changes to its one event."""
    event = {"kind": "pass", "seq": 1, "at": "2020-03-16T08:00:00Z", "clock": "trusted", "decision": "admit", "reason": "GREEN"} | changes
    return json.dumps({"unit": "north", "boot_id": "0" * 32, "events": [event]}).encode()


def test_an_event_in_its_shortest_form() -> None:
    at = datetime(2020, 3, 16, 8, tzinfo=UTC)
    event = PassEvent(seq=1, at=at, clock=ClockState.TRUSTED, decision=Decision.ADMIT, reason=Reason.GREEN)
    assert messages.decode(batch(), EventBatch).events == [event]
    assert messages.decode(batch(at="2020-03-16T16:00:00+08:00"), EventBatch).events[0].at == at
    assert messages.stamp(1_584_345_600.0004) == at


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "passing"}, "passing"),
        ({"kind": None}, "kind"),
        ({"seq": 0}, "seq"),
        ({"seq": 2**53 + 1}, "seq"),
        ({"seq": "1"}, "seq"),
        ({"seq": 1.5}, "seq"),
        ({"seq": True}, "seq"),
        ({"at": "2020-03-16T08:00:00"}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"at": 1}, "at"),
        ({"clock": "good"}, "clock"),
        ({"decision": "ADMIT"}, "decision"),
        ({"reason": "green"}, "reason"),
        ({"code": "A" * 301}, "code"),
        ({"index": 2**26}, "index"),
        ({"index": -1}, "index"),
        ({"list": ""}, "list"),
        ({"issuer": "CN HB"}, "issuer"),
        ({"issuer": "CN-HB\n"}, "issuer"),
        ({"skin_c": 201}, "skin_c"),
        ({"skin_c": "36.5"}, "skin_c"),
        ({"ms": -1}, "ms"),
        ({"reader": "x" * 201}, "reader"),
        ({"name": "Resident"}, "name"),
    ],
)
def test_what_is_wrong_with_an_event_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadPayload, match=named):
        messages.decode(batch(**changes), EventBatch)


@pytest.mark.parametrize("unit", ["", "north\n", "a/b", "+", "n" * 33, "\u00e4"])
@pytest.mark.parametrize("boot", ["0" * 32, "0" * 32 + "\n", "0" * 31, "G" * 32])
def test_names_that_are_none(unit: str, boot: str) -> None:
    with pytest.raises(BadPayload):
        messages.decode(json.dumps({"unit": unit, "boot_id": boot, "events": json.loads(batch())["events"]}).encode(), EventBatch)
    with pytest.raises(BadPayload):
        messages.decode(json.dumps({"unit": "north", "boot_id": boot if boot != "0" * 32 else "x", "events": []}).encode(), EventBatch)


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_1_to_100_events(count: int) -> None:
    event = json.loads(batch())["events"][0]
    with pytest.raises(BadPayload, match="events"):
        messages.decode(json.dumps({"unit": "north", "boot_id": "0" * 32, "events": [event] * count}).encode(), EventBatch)


@pytest.mark.parametrize("payload", [b"", b"[", b"[" * 100_000, b'"\xff"', b"\xff\xfe", b"NaN", b"1e999", b'{"a":1}{', b'"\\ud800"'])
def test_payloads_that_are_no_json(payload: bytes) -> None:
    with pytest.raises(BadPayload):
        messages.decode(payload, EventBatch)


def test_a_payload_is_measured_before_it_is_read() -> None:
    with pytest.raises(BadPayload, match="expected at most 262144"):
        messages.decode(bytes(messages.MAX_BATCH + 1), EventBatch)
    with pytest.raises(BadPayload, match="expected at most 1024"):
        messages.decode_sync_request(bytes(1025))
    with pytest.raises(BadPayload, match="expected at most 9"):
        signed.unpack(bytes(10), Watermark, 9)


def test_sync_requests_and_answers_are_told_apart() -> None:
    asked = RangeRequest(uri="https://hb.example/s/1", epoch=1, from_version=3, to_version=5)
    assert messages.decode_sync_request(messages.encode(asked)) == asked
    answer = messages.DeltaAnswer(body=b"\x01")
    found: Any = signed.unpack(signed.pack(answer), typing.cast("type[Any]", SyncAnswer), 100)
    assert found == answer
    with pytest.raises(BadPayload):
        signed.unpack(b"\xa2dkindedelta\x64bodycx==", typing.cast("type[Any]", SyncAnswer), 100)


def test_a_delta_says_from_on_the_wire() -> None:
    delta = messages.Delta(uri="u", epoch=1, start=3, to=4, as_of=5, gaps=b"", values=b"", digest=bytes(32))
    assert msgspec.to_builtins(delta, builtin_types=(bytes,))["from"] == 3


def test_stamps_are_utc_to_the_millisecond() -> None:
    east = timezone(timedelta(hours=8))
    assert messages.stamp(0.0004) == datetime(1970, 1, 1, tzinfo=UTC) == datetime(1970, 1, 1, 8, tzinfo=east)
