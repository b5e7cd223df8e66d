"""Headlines from Multi30k: a German caption beside the gist of its English translation.

    python experiments/headlines.py data/multi30k data/headlines

The English side is cut down by a rule: asides are cut off, articles and auxiliaries left out, eight
words kept, or as many of them as end in a whole phrase. The same files in give the same files out.
"""

import argparse
import gzip
import re
from pathlib import Path

SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
"""What a split is called here, and in Multi30k."""
MIN_WORDS, MAX_WORDS = 2, 8
ASIDES = {"while", "as", "wearing", "with", "who", "that", "which", "whose", "dressed"}
"""An aside begins with one of these, or after a comma."""
ARTICLES = {"a", "an", "the", "some", "his", "her", "their", "its"}
AUXILIARIES = {"is", "are", "was", "were", "be", "being", "there"}
FILLERS = ARTICLES | AUXILIARIES
OPENERS = {"of", "in", "on", "and", "to", "at", "for", "from", "by", "into", "near", "over", "or"}
"""Words that a headline does not end with."""


def headline(sentence: str) -> str:
    """Cut a sentence down to what happens in it, in lower case.

    >>> headline("A man in a red shirt is playing the guitar, while two dogs sleep.")
    'man in red shirt playing guitar'
    """
    words = re.findall(r"[\w'-]+|,", sentence.lower())
    kept: list[str] = []
    for word in words:
        # Before that there is nothing to be aside of: "two young, white men".
        if len(kept) > MIN_WORDS and (word == "," or word in ASIDES):
            break
        if word != "," and word not in FILLERS:
            kept.append(word)
    kept = kept[:MAX_WORDS]
    while kept and kept[-1] in OPENERS:
        kept.pop()
    return " ".join(kept)


def make(multi30k: Path, folder: Path) -> None:
    """Write the pairs of each split; a sentence of which nothing is left has none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, theirs in SPLITS.items():
        german, english = (_lines(multi30k / f"{theirs}.{end}.gz") for end in ("de", "en"))
        pairs = [
            (source.strip().lower(), headline(target))
            for source, target in zip(german, english, strict=True)
        ]
        pairs = [pair for pair in pairs if all(pair)]
        _write(folder / f"{name}.de.gz", [source for source, _ in pairs])
        _write(folder / f"{name}.en.gz", [target for _, target in pairs])


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")


def _write(path: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make headlines of Multi30k.")
    parser.add_argument("multi30k", type=Path, help="the folder that Multi30k's files are in")
    parser.add_argument("folder", type=Path, help="where to write")
    given = parser.parse_args()
    make(given.multi30k, given.folder)
