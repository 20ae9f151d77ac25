"""The tables of docs/configuration.md, made from the structs that read the file: `python -m tests.configuration_page` writes them anew."""

import re
from itertools import groupby
from pathlib import Path

from edge.afar import CAMERA, FROM_AFAR
from edge.config import ALL_RULES, Config, ConfigError, parse
from healthcode.setting_keys import Key, list_keys, list_sections
from healthcode.settings import Rule

DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"
BLOCK = re.compile(r"(?P<mark><!-- made: (?P<name>[a-z]+) -->\n).*?(?P<end><!-- end -->\n)", re.DOTALL)


def cell(text: str) -> str:
    """`text` as it stands in a table."""
    return text.replace("|", r"\|")


def key_row(key: Key) -> str:
    """One key."""
    default = "must be given" if key.default is None else f"`{key.default}`"
    bounds = re.sub(r"(matches )(.+)$", r"\1`\2`", key.bounds.removeprefix("a "))
    afar = "yes" if key.path in FROM_AFAR else ""
    return "| " + " | ".join(cell(one) for one in (f"`{key.name}`", key.unit, bounds, default, afar, key.meaning)) + " |"


def render_keys() -> str:
    """A table a section."""
    keys = list(list_keys(Config))
    lines = []
    for section, kind in list_sections(Config):
        title = f"[{section}]" if section else "Above the first section"
        about = " ".join((kind.__doc__ or "").split())
        lines += ["", f"## {title}", "", about, "", "| key | unit | bounds | default | from afar | meaning |", "|---|---|---|---|---|---|"]
        lines += [key_row(key) for key in keys if key.section == section]
    return "\n".join([*lines, "", ""])


def rule_row(alike: list[Rule]) -> str:
    """One rule, or one that is the same for many keys."""
    first, others = alike[0].keys[0], [f"`{key}`" for key in alike[0].keys[1:]]
    if len(alike) > 1:
        first, others = f"{first.partition('.')[0]}.*", ["another"] * len(others)
    return f"| `{first}` | {cell(alike[0].expected.format(*others))} | {cell(alike[0].because)} |"


def render_rules() -> str:
    """What keys must be together, and why."""
    alike = [
        list(group)
        for _, group in groupby((*ALL_RULES, CAMERA), key=lambda rule: (rule.expected, rule.because, rule.keys[0].partition(".")[0]))
    ]
    return "\n".join(["", "| key | must be | why |", "|---|---|---|", *map(rule_row, alike), "", ""])


FAULTY = """\
unit = "north"
hardware = "pi"
data = "/var/lib/healthgate"
roots = ["/etc/healthgate/root.pub.pem"]

[camera]
fsp = 30

[lane]
pulse_s = 50.0

[pins]
led_red = 17
relay = 17
"""
"""A file with a few faults; the page shows it, and what is said of it."""


def render_faults() -> str:
    """What is said of FAULTY."""
    try:
        parse(FAULTY, "gate.toml")
    except ConfigError as wrong:
        return f"\n```\n{wrong}\n```\n\n"
    raise AssertionError("FAULTY has no faults")


MADE = {"faults": render_faults, "keys": render_keys, "rules": render_rules}


def main() -> None:
    """Writes the page's tables anew."""
    old = DOCUMENT.read_text(encoding="utf-8")
    new = BLOCK.sub(lambda found: found["mark"] + MADE[found["name"]]() + found["end"], old)
    DOCUMENT.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
