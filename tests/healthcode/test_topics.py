from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healthcode import topics
from healthcode.topics import DOWN_PLAIN, ROOT, UP_NAMED, UP_PLAIN, DownTopic, ListTopic, UpTopic

ids = st.from_regex(topics.ID_PATTERN, fullmatch=True)
Named = UpTopic | DownTopic | ListTopic


def build(topic: Named) -> str:
    """The topic again, from its parts."""
    match topic:
        case UpTopic(unit, channel, name):
            return topics.up(unit, channel, name)
        case DownTopic(unit, channel, name):
            return topics.down(unit, channel, name)
        case ListTopic(issuer, mark, channel):
            return f"{ROOT}/all/lists/{issuer}/{mark}/{channel}"


named = (
    st.builds(UpTopic, ids, st.sampled_from(sorted(UP_PLAIN)))
    | st.builds(UpTopic, ids, st.sampled_from(sorted(UP_NAMED)), ids)
    | st.builds(DownTopic, ids, st.sampled_from(sorted(DOWN_PLAIN)))
    | st.builds(DownTopic, ids, st.just("request"), ids)
    | st.builds(ListTopic, ids, st.from_regex("[0-9a-f]{8}", fullmatch=True), st.sampled_from(["head", "delta"]))
)


def test_each_list_of_an_issuer_has_topics_of_its_own() -> None:
    first, second = (topics.list_topic("CN-HB", uri, "head") for uri in ("https://hb.example/s/1", "https://hb.example/s/2"))
    assert first == "healthgate/v1/all/lists/CN-HB/f78773b9/head"
    assert second != first
    assert topics.parse(first) == ListTopic("CN-HB", topics.list_mark("https://hb.example/s/1"), "head")


@given(named)
def test_what_is_built_is_parsed(topic: Named) -> None:
    assert topics.parse(build(topic)) == topic


@given(st.text(max_size=60) | st.lists(st.sampled_from(ROOT.split("/")) | st.text("ab/+#$\0", max_size=4), max_size=7).map("/".join))
@example(f"{ROOT}/gates/north/up/state")
def test_a_topic_that_is_parsed_is_the_only_one_for_its_parts(text: str) -> None:
    found = topics.parse(text)
    if isinstance(found, str):
        assert found == text
    elif found is not None:
        assert build(found) == text


@pytest.mark.parametrize("topic", [topics.TRUST_HEAD, topics.BRIDGE_STATE])
def test_topics_without_parts(topic: str) -> None:
    assert topics.parse(topic) == topic


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        ROOT,
        ROOT + "/",
        "healthgate/v2/gates/north/up/state",
        f"/{ROOT}/gates/north/up/state",
        f"{ROOT}/gates/north/up/state/",
        f"{ROOT}/gates/north/up/state/more",
        f"{ROOT}/gates/north/up/state\n",
        f"{ROOT}/gates/north\n/up/state",
        f"{ROOT}/gates//up/state",
        f"{ROOT}/gates/+/up/state",
        f"{ROOT}/gates/#",
        f"{ROOT}/gates/no rth/up/state",
        f"{ROOT}/gates/n\u00f6rd/up/state",
        f"{ROOT}/gates/\uff4e/up/state",
        f"{ROOT}/gates/-north/up/state",
        f"{ROOT}/gates/{'n' * 33}/up/state",
        f"{ROOT}/gates/../up/state",
        f"{ROOT}/gates/north\0/up/state",
        f"{ROOT}/gates/north/UP/state",
        f"{ROOT}/gates/north/up/alert",
        f"{ROOT}/gates/north/up/alert/",
        f"{ROOT}/gates/north/up/alert/a/b",
        f"{ROOT}/gates/north/up/desired",
        f"{ROOT}/gates/north/up/events/x",
        f"{ROOT}/gates/north/down/events",
        f"{ROOT}/gates/north/down/request",
        f"{ROOT}/gates/north/down/request/+",
        f"{ROOT}/all/lists/CN-HB/snapshot",
        f"{ROOT}/all/lists//head",
        f"{ROOT}/all/trust/head/",
        f"$SYS/{ROOT}/gates/north/up/state",
        f"{ROOT}/gates/north/up/alert/" + "a" * 10_000,
    ],
)
def test_hostile_topics_are_not_ours(topic: str) -> None:
    assert topics.parse(topic) is None


@pytest.mark.parametrize("unit", ["", "+", "#", "a/b", "north\n", "a b", "-a", "n" * 33, "\u00e4"])
def test_names_that_cannot_stand_in_a_topic(unit: str) -> None:
    makes: list[Callable[[], str]] = [lambda: topics.up(unit, "state"), lambda: topics.down(unit, "ack"), lambda: topics.down_all(unit)]
    for make in makes:
        with pytest.raises(ValueError, match="unit"):
            make()
    with pytest.raises(ValueError, match="issuer"):
        topics.list_topic(unit, "https://hb.example/s/1", "head")


def test_channels_that_there_are_not() -> None:
    makes: list[Callable[[], str]] = [
        lambda: topics.up("north", "desired"),
        lambda: topics.up("north", "state", "x"),
        lambda: topics.up("north", "alert"),
        lambda: topics.down("north", "events"),
        lambda: topics.down("north", "request"),
        lambda: topics.down("north", "ack", "x"),
        lambda: topics.list_topic("CN-HB", "https://hb.example/s/1", "snapshot"),
    ]
    for make in makes:
        with pytest.raises(ValueError, match="channel"):
            make()
