"""The one-time secret: what people carry, and what it proves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.admission import NotASecret, Secret, fingerprint, mark_of_roots, mark_of_server, proves

SECRET = Secret(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)))
SIXTEEN = st.binary(min_size=16, max_size=16)


@given(SIXTEEN, SIXTEEN, SIXTEEN)
def test_a_secret_comes_back_from_its_text_however_it_was_typed(key: bytes, roots: bytes, server: bytes) -> None:
    secret = Secret(key, roots, server)
    text = str(secret)
    assert Secret.parse(text) == Secret.parse(text.upper().replace("-", " ")) == Secret.parse(f" {text.replace('-', '')}\n") == secret


@pytest.mark.parametrize("place", [place for place, letter in enumerate(str(SECRET)) if letter != "-"])
def test_a_letter_that_is_wrong_is_noticed(place: int) -> None:
    text = str(SECRET)
    with pytest.raises(NotASecret):
        Secret.parse(text[:place] + ("b" if text[place] == "a" else "a") + text[place + 1 :])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "secret of 0 letters"),
        ("hg1-abcde", "expected 83 that begin with hg1"),
        (str(SECRET).replace("hg1", "hg2"), "begin with hg1"),
        (str(SECRET)[:-1] + "1", "the digits 2 to 7"),
        (str(SECRET)[:4] + "z" + str(SECRET)[5:], "mistyped"),
    ],
)
def test_what_is_no_secret_is_told_in_one_line(typed: str, said: str) -> None:
    with pytest.raises(NotASecret, match=said) as wrong:
        Secret.parse(typed)
    assert "\n" not in str(wrong.value)


def test_the_secret_s_key_is_in_no_trace() -> None:
    assert SECRET.key.hex() not in repr(SECRET)
    assert SECRET.key not in SECRET.public + SECRET.mark + SECRET.prove(b"csr", bytes(32))


def test_a_proof_holds_for_its_request_and_its_server_alone() -> None:
    seen = fingerprint(b"the server's key")
    proof = SECRET.prove(b"csr", seen)
    assert proves(SECRET.public, proof, b"csr", seen)
    assert not proves(SECRET.public, proof, b"another's csr", seen)
    assert not proves(SECRET.public, proof, b"csr", fingerprint(b"a key in the middle"))
    assert not proves(Secret(bytes(16), SECRET.roots, SECRET.server).public, proof, b"csr", seen)
    assert not proves(b"short", proof, b"csr", seen)


def test_marks_are_fingerprints_cut_short() -> None:
    assert mark_of_server(b"key") == mark_of_roots([b"key"]) == fingerprint(b"key")[:16]
    assert len({mark_of_roots([b"a", b"b"]), mark_of_roots([b"b", b"a"]), mark_of_roots([b"a"]), mark_of_roots([b"b"])}) == 4


def test_the_text_of_a_known_secret_stays() -> None:
    assert str(SECRET) == ("hg1-aaaqe-ayeau-daoca-jbifq-ydiob-4ibce-qtcqk-rmfyy-denbw-ha5dy-psaij-cemsc-kjrhf-ausuk-zmfux-c6quo"), (
        "units and servers of two versions know it by this"
    )
    assert SECRET.mark.hex() == "01352f55ad29f0a1941798ae0855ff3e"
