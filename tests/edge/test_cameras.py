"""Cameras: luma from every pixel format, files, the restart of a frozen capture, and the simulated camera's pictures."""

import errno
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from edge.camera_watch import Trouble
from edge.config import Camera as CameraConfig
from edge.drivers.camera import CameraFault, Frame, open_camera
from edge.drivers.file_camera import FileCamera, find_sources
from edge.drivers.luma import MAX_PIXELS, ImageFault, LumaError, Pixels, from_image, from_mjpg, from_plane, from_yuyv, images_in, load_luma
from edge.drivers.picamera2_camera import keep_known, luma_of
from edge.drivers.simulated_camera import draw
from edge.drivers.v4l2_camera import _trouble
from edge.drivers.world import Scene, Shown, WorldClient
from edge.scan import STAGES, Crowd, Reader, Sighting
from healthgate.world import World
from tests.edge.codes import TEXT, qr

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_grey_and_planar_luma_leave_padding_and_chroma_out() -> None:
    padded = np.hstack([RAMP, np.full((3, 2), 255, np.uint8)]).tobytes() + bytes([7]) * 9
    assert (from_plane(padded, 4, 3, 6) == RAMP).all()
    assert (from_plane(RAMP.tobytes(), 4, 3, 0) == RAMP).all()


def test_a_last_row_without_padding_is_enough() -> None:
    padded = np.hstack([RAMP, np.full((3, 2), 255, np.uint8)]).tobytes()[:-2]
    assert (from_plane(padded, 4, 3, 6) == RAMP).all()


def test_yuyv_luma_is_every_second_byte() -> None:
    data = np.full((3, 10), 128, np.uint8)
    data[:, 0:8:2] = RAMP
    assert (from_yuyv(data.tobytes(), 4, 3, 10) == RAMP).all()


@pytest.mark.parametrize(("width", "height", "stride"), [(4, 4, 4), (4, 3, 5), (4, 3, 3), (0, 3, 4), (4, -1, 4)])
def test_a_short_or_impossible_buffer_is_an_error_in_one_line(width: int, height: int, stride: int) -> None:
    with pytest.raises(LumaError, match="12 bytes: expected"):
        from_plane(RAMP.tobytes(), width, height, stride)


def test_frames_own_their_pixels() -> None:
    buffer = bytearray(RAMP.tobytes())
    taken = from_plane(memoryview(buffer), 4, 3, 4)
    buffer[:] = bytes(12)
    assert (taken == RAMP).all()


def test_motion_jpeg() -> None:
    target = io.BytesIO()
    Image.fromarray(qr(TEXT)).convert("RGB").save(target, "JPEG", quality=90)
    assert np.abs(from_mjpg(target.getvalue()).astype(int) - qr(TEXT)).max() < 60
    with pytest.raises(LumaError, match="not a JPEG frame"):
        from_mjpg(target.getvalue()[:200])
    with pytest.raises(LumaError):
        from_mjpg(b"")


def test_transparent_is_white_and_sixteen_bits_are_eight() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (from_image(clear) == 255).all()
    deep = Image.fromarray(np.full((4, 4), 0x8000, np.uint16))
    assert (from_image(deep) == 0x80).all()
    palette = Image.new("P", (4, 4))
    palette.putpalette([10, 10, 10, 20, 20, 20])
    assert (from_image(palette) == 10).all()


def test_the_orientation_of_a_photograph_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.vstack([np.zeros((8, 16), np.uint8), np.full((8, 16), 255, np.uint8)]))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    pixels = load_luma(tmp_path / "turned.png")
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (16, 16)
    assert pixels[8, 0] == 255
    assert pixels[8, 15] == 0


def test_files_that_are_no_image_say_why(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(qr(TEXT)).save(whole, "JPEG")
    made = {
        "text.png": b"hello",
        "empty.png": b"",
        "cut.jpg": whole.getvalue()[:900],
        "null.gif": bytes(100),
    }
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
        fault = load_luma(tmp_path / name)
        assert isinstance(fault, ImageFault), name
        assert "\n" not in str(fault)
        assert str(fault).startswith(str(tmp_path / name))
    assert "no such file" in str(load_luma(tmp_path / "absent.png"))
    assert "not an image file" in str(load_luma(tmp_path))


def test_a_huge_image_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "wide.png")
    assert "expected at most 64 million" in str(load_luma(tmp_path / "wide.png"))
    Image.new("1", (side * 2, side * 2)).save(tmp_path / "bomb.png")
    assert "expected at most 64 million" in str(load_luma(tmp_path / "bomb.png"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for number, name in enumerate(["b.png", "a.PNG", "deep/c.png"]):
        Image.new("L", (8 + number, 8), 50).save(tmp_path / name)
    (tmp_path / "index.json").write_text("[]")
    return tmp_path


def test_a_folder_gives_its_images_in_order(folder: Path) -> None:
    assert [str(path.relative_to(folder)) for path in images_in(folder)] == ["a.PNG", "b.png", "deep/c.png"]


def test_sources_are_a_file_a_folder_or_several(folder: Path) -> None:
    assert find_sources(str(folder)) == images_in(folder)
    assert find_sources(f"{folder / 'b.png'}:{folder / 'deep'}") == [folder / "b.png", folder / "deep" / "c.png"]
    with pytest.raises(CameraFault, match=r"camera\.source: 'webcam': expected picamera2, simulated, a device"):
        find_sources("webcam")
    (folder / "none").mkdir()
    with pytest.raises(CameraFault, match="expected a folder with images"):
        find_sources(str(folder / "none"))


def test_the_file_camera_passes_over_what_is_no_image(folder: Path) -> None:
    camera = FileCamera([*images_in(folder), folder / "index.json"], fps=1000, repeat=False)
    frames = list(camera.frames())
    assert [frame.pixels.shape[1] for frame in frames] == [9, 8, 10]
    assert [frame.at for frame in frames] == sorted(frame.at for frame in frames)
    assert [fault.path.name for fault in camera.faults] == ["index.json"]


def test_the_file_camera_with_no_image_at_all_is_a_fault(folder: Path) -> None:
    with pytest.raises(CameraFault, match="expected at least one image"):
        next(FileCamera([folder / "index.json"], fps=30, repeat=True).frames())


def test_a_gate_sees_files_again_and_again_until_it_closes(folder: Path) -> None:
    camera = open_camera(CameraConfig(source=str(folder / "b.png"), fps=60), None)
    frames = camera.frames()
    assert [next(frames).pixels.shape for _ in range(3)] == [(8, 8)] * 3
    camera.close()
    assert list(frames) == []


@pytest.mark.parametrize(
    ("source", "message", "trouble"),
    [
        ("/dev/video99", "/dev/video99: there is no such camera", Trouble.MISSING),
        ("/nowhere/at/all", "an image file or folder that exists", Trouble.MISSING),
        ("simulated", "expected a simulated world", Trouble.BROKEN),
        ("picamera2", "python3-picamera2", Trouble.BROKEN),
    ],
)
def test_a_camera_that_cannot_be_had_is_one_line_and_one_alert(source: str, message: str, trouble: Trouble) -> None:
    with pytest.raises(CameraFault, match=message) as told:
        open_camera(CameraConfig(source=source), None)
    assert "\n" not in str(told.value)
    assert told.value.trouble is trouble


@pytest.mark.parametrize(
    ("wrong", "trouble"),
    [
        (OSError(errno.EBUSY, "busy"), Trouble.BUSY),
        (OSError(errno.ENODEV, "gone"), Trouble.MISSING),
        (OSError(errno.EACCES, "no"), Trouble.BROKEN),
        (ValueError("?"), Trouble.BROKEN),
    ],
)
def test_what_the_kernel_says_of_a_camera_is_an_alert(wrong: Exception, trouble: Trouble) -> None:
    assert _trouble(wrong) is trouble


def test_a_device_that_is_no_camera_is_one_line() -> None:
    with pytest.raises(CameraFault, match="/dev/null"):
        open_camera(CameraConfig(source="/dev/null"), None)


def test_controls_that_the_camera_lacks_are_left_out() -> None:
    assert keep_known({"AfMode": 2, "AeExposureMode": 1}, {"AeExposureMode": (0, 3, 0)}) == {"AeExposureMode": 1}


def test_the_luma_of_a_picamera2_array() -> None:
    planes = np.zeros((6, 8), np.uint8)
    planes[:4, :6] = 9
    assert (luma_of(planes, 6, 4) == 9).all()
    assert luma_of(planes, 6, 4).base is planes
    with pytest.raises(CameraFault, match="expected at least 7 rows"):
        luma_of(planes, 6, 7)


SPOILT = [
    {},
    {"tilt": 20.0},
    {"tilt": -40.0},
    {"blur": 0.3},
    {"noise": 0.4},
    {"brightness": 0.25},
    {"brightness": 1.8},
    {"tilt": 30.0, "blur": 0.15, "noise": 0.1, "brightness": 0.6},
]


def seen(pose: dict[str, float], *texts: str) -> Pixels:
    shown = tuple(Shown(f"c{number}", text) for number, text in enumerate(texts))
    return draw(msgspec.structs.replace(Scene(shown=shown), **pose), 640, 480)


@pytest.mark.parametrize("pose", SPOILT)
def test_what_the_simulated_camera_draws_can_be_read(pose: dict[str, float]) -> None:
    pixels = seen(pose, TEXT)
    assert pixels.shape == (480, 640)
    assert Reader(list(STAGES)).sight(Frame(pixels, 1.0)) == Sighting(TEXT, 1.0, "zxing_local")


@pytest.mark.parametrize("pose", SPOILT[:3])
def test_two_telephones_are_a_crowd(pose: dict[str, float]) -> None:
    pixels = seen(pose, TEXT, TEXT[:-1] + "Z")
    assert isinstance(Reader(list(STAGES)).sight(Frame(pixels, 1.0)), Crowd)


@pytest.mark.parametrize("pose", [{"blur": 1.0}, {"brightness": 0.0}, {"brightness": -1.0}, {"tilt": 1e9}, {"blur": 1e9}])
def test_a_spoilt_picture_is_not_read(pose: dict[str, float]) -> None:
    assert not isinstance(Reader(list(STAGES)).sight(Frame(seen(pose, TEXT), 1.0)), Sighting)


def test_the_empty_lane_and_a_text_that_no_code_holds_show_nothing() -> None:
    assert Reader(list(STAGES)).sight(Frame(seen({}), 1.0)) is None
    assert Reader(list(STAGES)).sight(Frame(seen({}, "ä" * 4000), 1.0)) is None


def test_a_photograph_of_a_code_is_read_whatever_its_shape(tmp_path: Path) -> None:
    for name, side in (("wide.png", (1600, 500)), ("tall.jpg", (500, 1600)), ("small.png", (260, 260))):
        photograph = Image.new("RGB", side, (120, 130, 140))
        photograph.paste(Image.fromarray(qr(TEXT)).resize((240, 240)), (10, 10))
        photograph.save(tmp_path / name)
        pixels = draw(Scene(picture=str(tmp_path / name)), 1280, 960)
        assert pixels.shape == (960, 1280)
        assert Reader(list(STAGES)).sight(Frame(pixels, 1.0)) == Sighting(TEXT, 1.0, "zxing_local")


def test_a_photograph_that_is_none_breaks_the_camera(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    for name in ("text.png", "absent.png"):
        with pytest.raises(CameraFault, match=name):
            draw(Scene(picture=str(tmp_path / name)), 640, 480)


def test_a_small_picture_of_many_telephones_does_no_harm() -> None:
    draw(Scene(shown=tuple(Shown(str(number), TEXT) for number in range(40))), 160, 120)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "w") as world:
        yield world


def test_the_simulated_camera_follows_the_world(world: World, tmp_path: Path) -> None:
    client = WorldClient(str(tmp_path / "w"), "north")
    camera = open_camera(CameraConfig(source="simulated", fps=60), client)
    reader = Reader(list(STAGES))
    frames = camera.frames()
    first, second = next(frames), next(frames)
    assert reader.sight(first) is None
    assert (first.pixels != second.pixels).any()
    assert first.at < second.at <= time.monotonic()
    arrived = threading.Event()
    client.on_change(lambda scene: arrived.set())
    (shown,) = world.show("north", TEXT)
    assert arrived.wait(5)
    frame = next(frames)
    assert reader.sight(frame) == Sighting(TEXT, frame.at, "zxing_local")
    told = world.wait_for("north", lambda entry: entry.get("shown") == [shown], 5)
    assert told is not None
    assert told["frame"] == 3
    assert told["at"] == pytest.approx(frame.at)
    camera.close()
    assert list(frames) == []
    client.close()


def test_a_lost_world_is_a_camera_fault(world: World, tmp_path: Path) -> None:
    client = WorldClient(str(tmp_path / "w"), "north")
    frames = open_camera(CameraConfig(source="simulated", fps=60), client).frames()
    next(frames)
    gone = threading.Event()
    client.on_lost(gone.set)
    world.close()
    assert gone.wait(5)
    with pytest.raises(CameraFault, match="simulated camera: the simulated world is gone"):
        next(frames)
    client.close()
