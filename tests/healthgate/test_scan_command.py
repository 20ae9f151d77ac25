"""`healthgate scan`: what it prints and the status that it ends with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from healthgate.scan import app
from tests.edge.codes import TEXT, beside, long_code, qr


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    Image.fromarray(qr(TEXT)).save(tmp_path / "ours.png")
    Image.fromarray(beside(qr("one"), qr("zwei \x1b[31m[red]"))).save(tmp_path / "more" / "two.png")
    Image.new("L", (100, 100), 200).save(tmp_path / "more" / "blank.png")
    (tmp_path / "index.json").write_text("[]")
    return tmp_path


def test_a_folder_is_one_json_object_a_line(folder: Path) -> None:
    result = run(folder, "--json")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["path"] for line in lines] == [str(folder / name) for name in ("more/blank.png", "more/two.png", "ours.png")]
    assert all(list(line) == ["path", "texts", "reader", "ms"] for line in lines)
    assert lines[0]["texts"] == []
    assert lines[0]["reader"] is None
    assert set(lines[1]["texts"]) == {"one", "zwei \x1b[31m[red]"}
    assert lines[2]["texts"] == [TEXT]
    assert lines[2]["reader"] == "zxing_local"
    assert lines[2]["ms"] > 0


def test_what_is_no_image_is_told_after_which_the_others_are_read(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"hello")
    result = run(folder / "absent.png", folder / "index.json", folder / "broken.png", folder / "ours.png", "--json")
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [sorted(line) for line in lines] == [["error", "path"]] * 3 + [["ms", "path", "reader", "texts"]]
    assert lines[0]["error"] == "there is no such file"


def test_a_broken_image_in_a_folder_is_an_error(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"hello")
    result = run(folder, "--json")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path, "--json")
    assert result.exit_code == 1
    assert "no images in this folder" in json.loads(result.stdout)["error"]


def test_the_table_shows_texts_and_obeys_none(folder: Path) -> None:
    result = run(folder)
    assert result.exit_code == 0
    assert "\x1b[31m" not in result.stdout
    assert "[red]" in result.stdout
    assert "zxing_local" in result.stdout
    assert "no code" in result.stdout


def test_a_very_long_text_is_shortened_in_the_table_and_whole_for_programs(tmp_path: Path) -> None:
    Image.fromarray(long_code()).save(tmp_path / "long.png")
    (text,) = json.loads(run(tmp_path, "--json").stdout)["texts"]
    table = run(tmp_path).stdout
    assert len(text) == 7000
    assert table.count("7") < 1000
    assert "".join(table.split()).count(f"({len(text)}characters;--jsonprintsall)") == 1


def test_one_stage_can_be_chosen(folder: Path) -> None:
    assert json.loads(run(folder / "ours.png", "--json", "--stages", "zbar").stdout)["reader"] == "zbar"
    assert run(folder, "--stages", "wechat").exit_code == 2
    assert run().exit_code == 2


def test_it_runs_as_a_command_with_ascii_output(folder: Path) -> None:
    named = folder / "gr\u00fcn.png"
    Image.fromarray(qr("\u5065\u5eb7\u7801".encode())).save(named)
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "healthgate", "scan", str(named), "--json"]
    outcome = subprocess.run(command, capture_output=True, timeout=60, check=True, env=environment)
    assert json.loads(outcome.stdout)["texts"] == ["\u5065\u5eb7\u7801"]
