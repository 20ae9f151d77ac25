"""A simulated gate's configuration, as far as the tests that start commands have it in common."""

from __future__ import annotations

GATE = """\
unit = "north"
hardware = "simulated"
data = "{folder}/data"
roots = ["{folder}/root.pub.pem"]
world = "{folder}/w"
"""
