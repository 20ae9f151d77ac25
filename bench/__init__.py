"""Measurements: one file a figure, each prints JSON and says what it was compared with in the same run."""
