"""Places as filters of the desk: all, a prefecture, a district, outside the province, not declared."""

from __future__ import annotations

from server.web.language import Words
from server.web.places import OUTSIDE, Prefecture, list_places, place_name


def list_choices(words: Words) -> tuple[Prefecture, ...]:
    """What may be chosen, beside all and outside: prefectures by the first four digits of their codes, and their districts."""
    return list_places(words.language)


def choose_districts(words: Words, place: str) -> tuple[str, ...]:
    """The districts of what was chosen; none for all, and for what is no place."""
    if place == OUTSIDE:
        return (OUTSIDE,)
    for prefecture in list_places(words.language):
        if place == prefecture.codes[0][:4]:
            return prefecture.codes
        if place in prefecture.codes:
            return (place,)
    return ()


def tell_place(words: Words, place: str) -> str:
    """The name of a district, of a prefecture by its four digits, of all places for none of them."""
    if not place:
        return words("numbers.nowhere")
    if place == OUTSIDE:
        return words("place.outside")
    if len(place) == 4:
        return next((each.name for each in list_places(words.language) if each.codes[0].startswith(place)), place)
    return place_name(words.language, place)
