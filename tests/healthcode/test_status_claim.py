"""The standard's claim: its published examples, and what is no such claim."""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.status_claim import WIDTHS, Entries, inflate, inflate_into, read_entries

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "vectors" / "token_status_list.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_published_examples(vector: dict[str, Any]) -> None:
    compressed = base64.urlsafe_b64decode(vector["lst"] + "=" * (-len(vector["lst"]) % 4))
    entries = read_entries({"bits": vector["bits"], "lst": compressed})
    assert entries is not None
    assert len(entries) == vector["count"]
    expected = {int(index): value for index, value in vector["entries"].items()}
    assert {index: entries.get(index) for index in expected} == expected
    others = vector["count"] - len(expected)
    assert entries.counts() == dict(sorted((Counter(expected.values()) + Counter({0: others})).items()))
    for outside in (-1, vector["count"]):
        with pytest.raises(IndexError, match=f"index {outside}: expected 0 to {vector['count'] - 1}"):
            entries.get(outside)


@given(st.sampled_from(WIDTHS), st.binary(min_size=1, max_size=64))
def test_each_entry_is_what_the_whole_says(bits: int, packed: bytes) -> None:
    entries = read_entries({"bits": bits, "lst": zlib.compress(packed), "aggregation_uri": "https://example.com"})
    assert entries is not None
    every = [entries.get(index) for index in range(len(entries))]
    assert entries.counts() == Counter(every)
    number = int.from_bytes(packed, "little")
    assert every == [number >> bits * index & (1 << bits) - 1 for index in range(len(entries))]


@pytest.mark.parametrize(
    "claim",
    [
        None,
        [],
        {"bits": 2},
        {"bits": 3, "lst": zlib.compress(b"1")},
        {"bits": True, "lst": zlib.compress(b"1")},
        {"bits": 2, "lst": "eJw"},
        {"bits": 2, "lst": b""},
        {"bits": 2, "lst": zlib.compress(b"")},
        {"bits": 2, "lst": zlib.compress(b"1")[:-1]},
        {"bits": 2, "lst": zlib.compress(b"1") + b"1"},
        {"bits": 2, "lst": zlib.compress(bytes(101))},
    ],
)
def test_what_is_no_claim(claim: object) -> None:
    assert read_entries(claim, most_bytes=100) is None


@given(st.binary(max_size=300) | st.binary(max_size=300).map(zlib.compress), st.integers(0, 400))
def test_inflating_gives_all_or_nothing(data: bytes, size: int) -> None:
    inflater = zlib.decompressobj()
    try:
        whole = inflater.decompress(data)
    except zlib.error:
        whole = b""
    is_whole = inflater.eof and not inflater.unused_data
    limited = inflate(data, size)
    assert limited == (whole if is_whole and len(whole) <= size else None)
    exact = bytearray(size)
    if inflate_into(exact, data):
        assert limited is not None
        assert exact == limited
    else:
        assert limited is None or len(limited) != size


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_long_list_is_inflated_piece_by_piece(level: int) -> None:
    plain = np.random.default_rng(1).integers(0, 256, 300_000, dtype=np.uint8).tobytes() + bytes(1_000_000)
    data = zlib.compress(plain, level)
    exact = bytearray(len(plain))
    assert inflate_into(exact, data)
    assert exact == plain
    assert not inflate_into(bytearray(len(plain) - 1), data)
    assert not inflate_into(bytearray(len(plain) + 1), data)
    for other in (data[:-1], data + b"1", data + bytes(2**16)):
        assert not inflate_into(bytearray(len(plain)), other)


def test_inflating_stops_at_the_limit() -> None:
    data = zlib.compress(bytes(1000))
    assert inflate(data, 1000) == bytes(1000)
    assert inflate(data, 999) is None
    assert inflate(data[:-1], 1000) is None
    assert inflate(data + b"\0", 1000) is None


def test_entries_of_eight_bits_are_bytes() -> None:
    assert Entries(8, bytes(range(256))).get(200) == 200
