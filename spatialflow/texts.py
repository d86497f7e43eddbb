"""What texts must be like wherever people read them."""

import unicodedata

from rest_framework.serializers import ValidationError

VISIBLE = "LNPS"  # the first letters of Unicode's categories that can stand alone: no marks, separators, controls
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # of these categories, and blank all the same
# A character that is left of a text once its outer blanks are off, as ECMA's regular expressions and Python's strip()
# both see it.
NOT_BLANK = r"[^\s\u001c-\u001f\u0085]"


def refuse_invisible(text: str) -> None:
    """Raise `ValidationError` for a name in which there is nothing to see, nor to press on a page. Empty is not
    judged: whether a name may be left out is said by its field.
    """
    if text and not any(unicodedata.category(letter)[0] in VISIBLE and letter not in BLANK for letter in text):
        raise ValidationError("Use at least one character that can be seen.")
