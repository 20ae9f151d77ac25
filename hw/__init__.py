"""The drawings of hw/wiring.md, made from the pins in edge/config.py: `python -m hw.draw`."""
