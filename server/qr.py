"""A code as a picture: PNG, SVG and characters for a terminal. QR model 2 at error correction level M (ISO/IEC 18004)."""

from __future__ import annotations

import io

import segno

BORDER = 4
"""The quiet zone in modules that the standard asks for."""


def png(text: str, scale: int = 8) -> bytes:
    """`text` as a PNG of `scale` pixels a module."""
    out = io.BytesIO()
    _make(text).save(out, kind="png", scale=scale, border=BORDER)
    return out.getvalue()


def svg(text: str, scale: int = 8) -> bytes:
    """`text` as an SVG document of `scale` units a module."""
    out = io.BytesIO()
    _make(text).save(out, kind="svg", scale=scale, border=BORDER, xmldecl=True)
    return out.getvalue()


def terminal(text: str) -> str:
    """`text` for a dark or light terminal with 24-bit colours or half blocks: two modules in height a line."""
    out = io.StringIO()
    _make(text).terminal(out, border=BORDER, compact=True)
    return out.getvalue()


def _make(text: str) -> segno.QRCode:
    return segno.make(text, error="m", boost_error=False, micro=False)
