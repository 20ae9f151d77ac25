"""docs/one_scan.md: every step that it names is a function, method or class of the file that it links to."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "one_scan.md"
STEP = re.compile(r"\[`(?P<name>\w+)`\]\((?P<path>[^)#]+\.py)\)")
STEPS = sorted(set(STEP.findall(PAGE.read_text(encoding="utf-8"))))


def test_the_page_links_into_the_code() -> None:
    assert len(STEPS) >= 25


@pytest.mark.parametrize(("step", "path"), STEPS)
def test_each_step_stands_where_the_page_says(step: str, path: str) -> None:
    tree = ast.parse((PAGE.parent / path).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert step in names, f"{path} has no {step}"


def test_every_function_of_the_path_of_one_person_is_named() -> None:
    path = {"sight", "read", "standing", "screen", "decide", "step", "append", "apply", "colour_of", "accept_delta"}
    assert path <= {name for name, _ in STEPS}
