"""Videos as a camera: what was filmed is read, at its own pace, and what is no video says so."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edge.camera_watch import Trouble
from edge.config import Camera as CameraConfig
from edge.drivers.camera import CameraFault, open_camera
from edge.drivers.luma import Pixels
from edge.drivers.video_camera import VideoCamera
from edge.scan import Reader, Sighting
from tests.edge.codes import TEXT, qr

av = pytest.importorskip("av")

FPS = 20


def film(path: Path, pictures: list[Pixels], codec: str = "mpeg4", form: str = "yuv420p") -> Path:
    """A video of `pictures`, FPS a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt, stream.bit_rate = form, 8_000_000
        for pixels in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def pictures() -> list[Pixels]:
    lane = np.full((480, 640), 120, np.uint8)
    code = qr(TEXT)
    shown = lane.copy()
    shown[50 : 50 + code.shape[0], 100 : 100 + code.shape[1]] = code
    return [lane] * 4 + [shown] * 4


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [("a.mp4", "mpeg4", "yuv420p"), ("a.mkv", "mjpeg", "yuvj420p"), ("a.avi", "ffv1", "gray"), ("a.mkv", "ffv1", "rgb24")],
)
def test_what_was_filmed_is_read(tmp_path: Path, pictures: list[Pixels], name: str, codec: str, form: str) -> None:
    if form == "rgb24":
        form = "bgr0"
    frames = list(VideoCamera(film(tmp_path / name, pictures, codec, form), 60.0, repeat=False).frames())
    assert [frame.pixels.shape for frame in frames] == [(480, 640)] * 8
    assert [frame.at for frame in frames] == sorted(frame.at for frame in frames)
    seen = [Reader(["zxing_local"]).sight(frame) for frame in frames]
    assert seen[0] is None
    assert isinstance(seen[-1], Sighting)
    assert seen[-1].text == TEXT


def test_it_goes_at_its_own_pace_and_leaves_out_what_is_too_much(tmp_path: Path, pictures: list[Pixels]) -> None:
    path = film(tmp_path / "a.mp4", pictures)
    frames = list(VideoCamera(path, 60.0, repeat=False).frames())
    assert frames[-1].at - frames[0].at >= 7 / FPS - 0.02
    assert len(list(VideoCamera(path, FPS / 2, repeat=False).frames())) == 4


def test_a_gate_sees_it_again_and_again_until_it_closes(tmp_path: Path, pictures: list[Pixels]) -> None:
    camera = open_camera(CameraConfig(source=str(film(tmp_path / "a.mp4", pictures)), fps=60), None)
    frames = camera.frames()
    assert len([next(frames) for _ in range(20)]) == 20
    camera.close()
    assert list(frames) == []


def test_what_is_no_video_says_so_in_one_line(tmp_path: Path, pictures: list[Pixels]) -> None:
    whole = film(tmp_path / "whole.mp4", pictures).read_bytes()
    made = {"empty.mp4": b"", "text.mkv": b"hello" * 100, "cut.mp4": whole[: len(whole) // 2], "null.avi": bytes(10_000)}
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CameraFault) as told:
            list(open_camera(CameraConfig(source=str(tmp_path / name)), None).frames())
        assert "\n" not in str(told.value)
        assert name in str(told.value)
    with pytest.raises(CameraFault, match="no such file") as told:
        open_camera(CameraConfig(source=str(tmp_path / "absent.mp4")), None)
    assert told.value.trouble is Trouble.MISSING


def test_without_the_package_the_line_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CameraFault, match=r"expected the package av \(extra video\)"):
        open_camera(CameraConfig(source=str(tmp_path / "a.mp4")), None)
