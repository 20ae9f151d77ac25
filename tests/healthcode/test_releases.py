from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.messages import Release, ReleaseVersion
from healthcode.releases import Unfit, find_unfit, order

RELEASE = Release(version="0.10.0", after="0.9.1", size=1, sha256=bytes(32), platforms=["cp311-aarch64"], signed_at=0)
numbers = st.tuples(*[st.integers(0, 999_999)] * 3)


@pytest.mark.parametrize(
    ("running", "platform", "unfit"),
    [
        ("0.9.1", "cp311-aarch64", None),
        ("0.9.2", "cp311-aarch64", None),
        ("0.10.0", "cp311-aarch64", Unfit.NOT_NEWER),
        ("0.11.0", "cp311-aarch64", Unfit.NOT_NEWER),
        ("1.0.0", "cp311-aarch64", Unfit.NOT_NEWER),
        ("0.9.0", "cp311-aarch64", Unfit.STEP_MISSING),
        ("0.2.30", "cp311-aarch64", Unfit.STEP_MISSING),
        ("0.9.1", "cp311-x86_64", Unfit.PLATFORM),
        ("0.9.1", "cp313-aarch64", Unfit.PLATFORM),
    ],
)
def test_a_unit_goes_forward_from_where_it_can_on_what_it_is(running: str, platform: str, unfit: Unfit | None) -> None:
    found = find_unfit(RELEASE, running, platform)
    assert (found[0] if found else None) is unfit
    assert found is None or RELEASE.version in found[1]


@given(numbers, numbers)
def test_versions_are_ordered_as_their_numbers_are(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    first, second = ".".join(map(str, one)), ".".join(map(str, other))
    assert msgspec.convert(first, ReleaseVersion) == first
    assert (order(first) < order(second)) is (one < other)


@pytest.mark.parametrize("text", ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0a1", "1.0.-1", "../..", "1.0.0\n", "٣.0.0", "1000000.0.0"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, ReleaseVersion)
