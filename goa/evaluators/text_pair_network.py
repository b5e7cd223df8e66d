"""A small network that reads a source and a text, and gives one number."""

import itertools
import zlib
from collections.abc import Sequence
from functools import lru_cache

import regex  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

WIDTHS = (1, 2, 3, 5)
"""Words that a filter sees at a time."""
_WORDS = regex.compile(r"\w+|[^\w\s]")
_CHARACTERS = 3


class TextPairNetwork(nn.Module):
    """Filters over the words of a text, each beside what the source says to it (Kim, 2014).

    A word's vector is the mean of the vectors of the word and of its runs of three characters, each
    found by hash (Bojanowski et al., 2017), so that any script and any misspelling is read, and no
    vocabulary has to be kept. Every word of the text looks for its like in the source by attention.
    """

    def __init__(self, embedding: int, channels: int, buckets: int, dropout: float) -> None:
        """Make the network, with weights drawn by torch's generator.

        Args:
            embedding: numbers in a word's vector.
            channels: filters of each width.
            buckets: vectors that words and runs of characters share.
            dropout: share of words, and of what filters found, that is left out in training.
        """
        super().__init__()
        self.buckets = buckets
        self.embed = nn.EmbeddingBag(buckets, embedding, mode="mean")
        nn.init.normal_(self.embed.weight, std=embedding**-0.5)
        self.word_dropout = nn.Dropout1d(dropout)
        self.query = nn.Linear(embedding, embedding, bias=False)
        self.filters = nn.ModuleList(nn.Conv1d(2 * embedding, channels, width) for width in WIDTHS)
        self.judge = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(channels * len(WIDTHS), channels),
            nn.ReLU(),
            nn.Linear(channels, 1),
        )

    def forward(self, texts: Sequence[Sequence[str]], sources: Sequence[Sequence[str]]) -> Tensor:
        """Judge B texts, as words, each beside its source: [B]."""
        words, mask = self._look_up(texts)
        words = self.word_dropout(words)
        source, source_mask = self._look_up(sources)
        weights = self.query(words) @ source.transpose(1, 2)
        weights = weights.masked_fill(~source_mask.unsqueeze(1), -1e9).softmax(dim=-1)
        heard = weights @ source
        both = torch.cat([words, heard], dim=-1) * mask.unsqueeze(-1)
        columns = both.transpose(1, 2)
        found = []
        for reach, convolution in zip(WIDTHS, self.filters, strict=True):
            # As many zeros in front as a filter reaches back: every place is the last of a run.
            rows = convolution(pad(columns, (reach - 1, 0))).relu()
            found.append((rows * mask.unsqueeze(1)).amax(dim=-1))
        judged: Tensor = self.judge(torch.cat(found, dim=-1)).squeeze(-1)
        return judged

    def _look_up(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Give the vectors of words, [B, T, d], zero beyond a text's end, and the mask [B, T]."""
        places: dict[str, int] = {}
        rows = [[places.setdefault(word, len(places)) for word in text] for text in texts]
        features = [word_features(word, self.buckets) for word in places] or [(0,)]
        lengths = torch.tensor([len(found) for found in features])
        flat = torch.tensor([number for found in features for number in found])
        vectors = self.embed(flat, lengths.cumsum(0) - lengths)
        width = max(1, *(len(row) for row in rows))
        table = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        mask = torch.arange(width) < torch.tensor([[len(row)] for row in rows])
        return vectors[table] * mask.unsqueeze(-1), mask


def split_words(text: str, max_words: int) -> list[str]:
    """Cut a text into words and marks, as they are written."""
    return [match.group() for match in itertools.islice(_WORDS.finditer(text), max_words)]


@lru_cache(maxsize=1 << 16)
def word_features(word: str, buckets: int) -> tuple[int, ...]:
    """Give the buckets of a word and of its runs of three characters."""
    edged = f"<{word[:64]}>"
    runs = [edged[at : at + _CHARACTERS] for at in range(len(edged) - _CHARACTERS + 1)]
    names = [edged, *runs]
    return tuple(zlib.crc32(name.encode("utf-8", "surrogatepass")) % buckets for name in names)
