"""Our own lists in the trust list: one more, and a new epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from healthcode.messages import TrustList
from healthcode.terms import Use
from healthgate import keyring_files
from healthgate.keys import app
from healthgate.rotation import rotate

NOW = 1_584_345_600
URI, NEXT_URI, OTHER_URI = "https://hb.example/s/1", "https://hb.example/s/2", "https://hn.example/s/1"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "hb", "CN-HB", URI, NOW)
    keyring_files.init(tmp_path / "hn", "CN-HN", OTHER_URI, NOW)
    keyring_files.recognise(tmp_path / "hb", keyring_files.export(tmp_path / "hn", NOW).entries, NOW)
    rotate(tmp_path / "hb", Use.LIST, NOW)
    return tmp_path / "hb"


def held(folder: Path) -> TrustList:
    return keyring_files.read_trust(folder / "trust.cbor", (keyring_files.read_root(folder / "root.pub.pem"),))


def test_one_more_list_is_signed_by_our_token_and_list_keys_and_by_nobody_else(folder: Path) -> None:
    before = held(folder).version
    assert run("open-list", folder, NEXT_URI).exit_code == 0
    trust_list = held(folder)
    assert trust_list.version == before + 1
    for entry in trust_list.entries:
        ours = [URI, NEXT_URI] if entry.use in (Use.TOKEN, Use.LIST) else []
        assert entry.uris == (ours if entry.issuer == "CN-HB" else [OTHER_URI])


@pytest.mark.parametrize(("uri", "why"), [(URI, "held for CN-HB"), (OTHER_URI, "held for CN-HN"), ("", "length >= 1")])
def test_a_list_that_is_somebody_s_already_is_not_opened(folder: Path, uri: str, why: str) -> None:
    told = run("open-list", folder, uri)
    assert told.exit_code == 2
    assert why in told.output


def test_a_new_epoch_is_that_of_all_our_list_keys_and_of_nothing_else(folder: Path) -> None:
    before = held(folder)
    assert run("new-epoch", folder).exit_code == 0
    risen = [new.epoch - old.epoch for old, new in zip(before.entries, held(folder).entries, strict=True)]
    assert risen == [int(entry.use is Use.LIST and entry.issuer == "CN-HB") for entry in before.entries]
    assert sum(risen) == 2, "the key that signs and the one that is to follow it"
