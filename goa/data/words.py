"""Counting words, as limits, reports and length buckets do."""


def num_words(text: str) -> int:
    """Count what white space separates."""
    return len(text.split())
