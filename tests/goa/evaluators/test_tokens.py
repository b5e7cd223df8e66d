"""Words in any script."""

import pytest

from goa.evaluators.tokens import ngrams, tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("  \t\n", []),
        ("A man, riding; a HORSE.", ["a", "man", "riding", "a", "horse"]),
        ("don't – it’s 3.5 o'clock", ["don't", "it’s", "3", "5", "o'clock"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("e\u0301te\u0301 été", ["été", "été"]),
        ("我们go公园", ["我", "们", "go", "公", "园"]),
        ("カタカナとひらがな", list("カタカナとひらがな")),
        ("한국어 문장", ["한국어", "문장"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("مرحبا، بالعالم", ["مرحبا", "بالعالم"]),
        ("nice😀😀 day", ["nice", "😀", "😀", "day"]),
        ("a\x00b\ud800c", ["a", "b", "c"]),
    ],
)
def test_a_text_is_split_into_words(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


def test_ngrams_are_listed_in_order_with_repetitions() -> None:
    assert ngrams(["a", "b", "a", "b"], 2) == [("a", "b"), ("b", "a"), ("a", "b")]


def test_a_text_shorter_than_n_has_no_ngrams() -> None:
    assert ngrams(["a"], 2) == []
