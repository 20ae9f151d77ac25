"""The readers that ours is measured against: each takes a picture and gives the texts of the QR codes that it read there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TypeAlias

import cv2
import zxingcpp
from pyzbar.pyzbar import ZBarSymbol, decode

from edge.drivers.luma import Pixels

Peer: TypeAlias = Callable[[Pixels], list[str]]


def pyzbar(pixels: Pixels) -> list[str]:
    """pyzbar as its README uses it: every symbology, nothing set. Texts of QR codes, as UTF-8."""
    return _texts(pixels, None)


def pyzbar_qr(pixels: Pixels) -> list[str]:
    """pyzbar told to look for QR codes alone, which reads the same and is faster."""
    return _texts(pixels, [ZBarSymbol.QRCODE])


def zxing(pixels: Pixels) -> list[str]:
    """zxing-cpp with its defaults, told to look for QR codes alone."""
    return [code.text for code in zxingcpp.read_barcodes(pixels, formats=_QR) if code.valid]


def opencv(pixels: Pixels) -> list[str]:
    """OpenCV's QRCodeDetector, detect and decode."""
    try:
        text, _, _ = _DETECTOR.detectAndDecode(pixels)
    except (cv2.error, UnicodeDecodeError):
        return []
    return [text] if text else []


PEERS: Mapping[str, Peer] = {"pyzbar": pyzbar, "pyzbar_qr": pyzbar_qr, "zxing": zxing, "opencv": opencv}
"""All of them. Over frames pyzbar_qr is left out: what it reads is what pyzbar reads."""

FRAME_PEERS = ("pyzbar", "zxing", "opencv")


def versions() -> str:
    """The packages compared, with their versions."""
    return ", ".join(f"{name} {version(name)}" for name in ("pyzbar", "zxing-cpp", "opencv-python-headless", "numpy", "Pillow"))


_DETECTOR = cv2.QRCodeDetector()
_QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])


def _texts(pixels: Pixels, symbols: list[object] | None) -> list[str]:
    return [code.data.decode("utf-8", "replace") for code in decode(pixels, symbols=symbols) if code.type == "QRCODE"]
