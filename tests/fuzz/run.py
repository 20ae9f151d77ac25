"""Runs one target under atheris, guided by what its bytes reach: `python -m tests.fuzz.run NAME [--seconds 60] [--corpus FOLDER]`.

Ends with status 0 where nothing was found; else the input that did it lies in the corpus folder, and its name and the error are printed.
What was found becomes a seed or a golden file. `--corpus` keeps what was learnt for the next time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["healthcode"]):
    from tests.fuzz.targets import TARGETS

LONGEST = 4096
"""Bytes of an input at most."""
ONE_S = 5
"""Seconds that one input may take before it counts as a hang."""
MEMORY_MB = 1024


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Fuzz one parser.")
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        corpus = options.corpus or Path(fresh)
        corpus.mkdir(parents=True, exist_ok=True)
        target = TARGETS[options.name]
        for number, seed in enumerate(target.seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        limits = [f"-max_total_time={options.seconds}", f"-max_len={LONGEST}", f"-timeout={ONE_S}", f"-rss_limit_mb={MEMORY_MB}"]
        atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={corpus}/", "-print_final_stats=1", *limits], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
