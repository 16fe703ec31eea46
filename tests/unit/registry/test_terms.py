"""What a model is found by."""

from hypothesis import given
from hypothesis import strategies as st

from mlplat.registry.terms import MOST_TERMS, after, terms_of, words


def test_words_are_letters_and_digits_without_case() -> None:
    assert words("Iris-v2_BIG, the Größe & the ﬁne ÀB") == ["iris", "v2", "big", "the", "grösse", "fine", "àb"]


def test_there_are_no_words_in_nothing() -> None:
    assert words("-- _ !") == []
    assert terms_of([None, ""]) == set()


def test_a_long_text_and_a_long_word_have_an_end() -> None:
    assert len(terms_of([" ".join(f"w{number}" for number in range(5000))])) == MOST_TERMS
    assert words("x" * 1000) == ["x" * 63]


@given(st.text())
def test_words_of_words_are_themselves_and_every_prefix_finds_them(text: str) -> None:
    for word in words(text):
        assert words(word) == [word]
        for end in range(1, len(word) + 1):
            assert word[:end] <= word < after(word[:end])
