"""Releases over HTTPS from a server that does what it should, and from one that does not."""

from __future__ import annotations

import errno
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge.fetching import Server
from edge.files import CALLS, Calls
from edge.updates import Failed, Fate
from healthcode.messages import Release
from tests.tls import self_signed

BUNDLE = bytes(range(256)) * 2000
RELEASE = Release(
    version="0.2.0", after="0.1.0", size=len(BUNDLE), sha256=hashlib.sha256(BUNDLE).digest(), platforms=["cp311-aarch64"], signed_at=0
)
Answer = Callable[[BaseHTTPRequestHandler, int], tuple[int, dict[str, str], bytes]]


def whole(_: BaseHTTPRequestHandler, begin: int) -> tuple[int, dict[str, str], bytes]:
    if not begin:
        return 200, {"content-length": str(len(BUNDLE))}, BUNDLE
    rest = BUNDLE[begin:]
    return 206, {"content-range": f"bytes {begin}-{len(BUNDLE) - 1}/{len(BUNDLE)}", "content-length": str(len(rest))}, rest


def cut_off(number: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler, begin: int) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = whole(request, begin)
        return status, headers, body[:number]

    return answer


def without_ranges(request: BaseHTTPRequestHandler, _: int) -> tuple[int, dict[str, str], bytes]:
    return whole(request, 0)


def another_part(_: BaseHTTPRequestHandler, begin: int) -> tuple[int, dict[str, str], bytes]:
    return 206, {"content-range": f"bytes {begin - 1}-{len(BUNDLE) - 1}/{len(BUNDLE)}"}, BUNDLE[begin - 1 :]


def too_much(_: BaseHTTPRequestHandler, __: int) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, BUNDLE + b"more"


def other_bytes(_: BaseHTTPRequestHandler, __: int) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, bytes(len(BUNDLE))


def not_found(_: BaseHTTPRequestHandler, __: int) -> tuple[int, dict[str, str], bytes]:
    return 404, {}, b""


class Site:
    """A server with TLS on this machine; `answers` is what it does next, the last again and again; `begins`: from where it was asked."""

    def __init__(self, folder: Path) -> None:
        self.answers: list[Answer] = [whole]
        self.begins: list[int] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                begin = int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
                site.begins.append(begin)
                answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
                status, headers, body = answer(self, begin)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.certificate, key = self_signed(folder, "127.0.0.1")
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.httpd.server_address[1]}"

    def unit(self, calls: Calls = CALLS, room: int = 10**12) -> Server:
        return Server(self.address, str(self.certificate), calls, lambda _: room)

    def close(self) -> None:
        self.httpd.shutdown()
        self.thread.join()
        self.httpd.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def assert_failed(found: object, said: str) -> None:
    assert isinstance(found, Failed)
    assert found.fate is Fate.AGAIN
    assert said in found.why
    assert "\n" not in found.why


def test_a_bundle_comes_whole(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "incoming" / "bundle"
    assert site.unit().fetch(RELEASE, path) is None
    assert path.read_bytes() == BUNDLE
    assert site.unit().fetch(RELEASE, path) is None
    assert site.begins == [0], "what is there whole is not asked for again"


def test_what_is_cut_off_goes_on_from_there(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    site.answers = [cut_off(100_000), cut_off(50_000), whole]
    assert_failed(site.unit().fetch(RELEASE, path), f"cut off after 100000 of {len(BUNDLE)} bytes")
    assert_failed(site.unit().fetch(RELEASE, path), f"cut off after 150000 of {len(BUNDLE)} bytes")
    assert site.unit().fetch(RELEASE, path) is None
    assert (site.begins, path.read_bytes()) == ([0, 100_000, 150_000], BUNDLE)


def test_a_server_that_knows_no_ranges_sends_it_anew(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(b"x" * 1000)
    site.answers = [without_ranges]
    assert site.unit().fetch(RELEASE, path) is None
    assert path.read_bytes() == BUNDLE


@pytest.mark.parametrize(
    ("answer", "held", "said"),
    [
        (another_part, 1000, "another part than from byte 1000"),
        (too_much, 0, f"more than the {len(BUNDLE)} bytes"),
        (other_bytes, 0, "its bundle has the SHA-256 "),
        (not_found, 0, "answers 404, expected the bundle"),
    ],
)
def test_a_server_that_sends_something_else_is_told_apart(site: Site, tmp_path: Path, answer: Answer, held: int, said: str) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(BUNDLE[:held])
    site.answers = [answer, whole]
    assert_failed(site.unit().fetch(RELEASE, path), said)
    assert site.unit().fetch(RELEASE, path) is None, "and the next try mends it"


def test_a_part_that_a_power_cut_spoilt_is_thrown_away_at_the_end(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(bytes(4096))
    assert_failed(site.unit().fetch(RELEASE, path), "its bundle has the SHA-256")
    assert not path.exists()
    assert site.unit().fetch(RELEASE, path) is None


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_does_not_take_it_is_named_and_what_came_is_kept(site: Site, tmp_path: Path, error: int) -> None:
    written = 0

    def write(file: int, data: bytes | memoryview) -> int:
        nonlocal written
        if written > 200_000:
            raise OSError(error, "No space left on device" if error == errno.ENOSPC else "Input/output error")
        written += len(data)
        return CALLS.write(file, data)

    path = tmp_path / "bundle"
    failed = site.unit(Calls(write=write)).fetch(RELEASE, path)
    assert_failed(failed, "the disk is full" if error == errno.ENOSPC else "Input/output error")
    assert site.unit().fetch(RELEASE, path) is None
    assert site.begins[1] > 200_000


def test_a_disk_without_room_is_not_even_begun(site: Site, tmp_path: Path) -> None:
    assert_failed(site.unit(room=60 * 2**20).fetch(RELEASE, tmp_path / "bundle"), "the disk has 60 MB free, expected 66 MB")
    assert site.begins == []


def test_another_certificate_is_not_believed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other, _ = self_signed(tmp_path / "other", "127.0.0.1")
    server = Server(site.address, str(other), CALLS, lambda _: 10**12)
    assert_failed(server.fetch(RELEASE, tmp_path / "bundle"), "certificate verify failed")
    assert_failed(server.learn("0.2.0"), "certificate verify failed")
    assert_failed(Server(site.address, str(tmp_path / "absent")).learn("0.2.0"), "updates.ca")


def test_nobody_there_is_no_more_than_a_line(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    site = Site(tmp_path / "made")
    site.close()
    assert_failed(site.unit().learn("0.2.0"), "Connection refused")


def test_a_signed_message_is_read_as_far_as_one_may_be(site: Site) -> None:
    site.answers = [lambda *_: (200, {}, bytes(5000))]
    found = site.unit().learn("0.2.0")
    assert isinstance(found, bytes)
    assert len(found) == 1025, "more than a signed release may have: it is refused by its size"
    site.answers = [not_found]
    assert_failed(site.unit().learn("0.2.0"), "answers 404")
