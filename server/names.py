"""Sign-in names: a telephone number or one that was chosen, in the form in which two are compared. Pure."""

from __future__ import annotations

import re
import unicodedata


def normal_name(name: str) -> str | None:
    """A sign-in name as it is compared; None where it can be none.

    A telephone number: mainland mobile numbers of 11 digits with or without +86, others with + and 8 to 15 digits. Or a chosen name
    of 3 to 64 letters, digits, dots, dashes, underscores and @ with at least one letter, which is not an identity number.
    """
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    digits = re.sub(r"[\s()-]", "", plain)
    if re.fullmatch(r"(\+?86)?1[3-9]\d{9}", digits):
        return digits[-11:]
    if re.fullmatch(r"\+[1-9]\d{7,14}", digits):
        return digits
    if re.fullmatch(r"[\w.@-]{3,64}", plain) and any(letter.isalpha() for letter in plain) and not re.fullmatch(r"\d{17}x", plain):
        return plain
    return None
