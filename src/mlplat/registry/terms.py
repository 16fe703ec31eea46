"""The words that a model is found by."""

import re
import unicodedata
from collections.abc import Iterable

MOST_TERMS = 1000
"""Words of one model; of a longer description the rest is not searched."""

LONGEST = 63
"""Characters of a word; of a longer one the rest is not compared."""

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text, each once, in order: letters and digits, without regard to case and width."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return list(dict.fromkeys(word[:LONGEST] for word in _WORD.findall(folded)))


def terms_of(texts: Iterable[str | None]) -> set[str]:
    """The words of a model's texts, the first `MOST_TERMS` of them."""
    found: dict[str, None] = {}
    for text in filter(None, texts):
        for word in words(text):
            if len(found) == MOST_TERMS:
                return set(found)
            found[word] = None
    return set(found)


def after(prefix: str) -> str:
    """The end of the range of words that begin with `prefix`: all of them are before it, and no other word."""
    return prefix + "\U0010ffff"
