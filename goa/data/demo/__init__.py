"""The built-in corpus: reviews of places that do not exist, made by a seeded grammar.

A source is a meaning (``name = The Blue Fig ; place = cafe ; coffee = weak ; verdict = avoid``);
its references are two to four English texts that say it. They differ in what they leave out, in
order, connectives and words, as people's would, so likelihood alone cannot know which is wanted.
"""

from collections.abc import Iterator

from goa.data.demo.dice import Dice
from goa.data.demo.meaning import draw_meaning
from goa.data.demo.wording import write_reference
from goa.records import Example


def demo_example(seed: int, index: int) -> Example:
    """Make one example; it depends on the seed and its index, not on how many are made."""
    dice = Dice(seed, "demo", index)
    meaning = draw_meaning(dice)
    num_references = dice.pick((2, 3, 3, 4))
    references: dict[str, None] = {}
    while len(references) < num_references:
        references[write_reference(meaning, dice)] = None
    return Example(id=f"demo-{index:06d}", source=meaning.source(), references=tuple(references))


def demo_examples(seed: int, num_examples: int) -> Iterator[Example]:
    """Make the first examples of a seed, one at a time."""
    for index in range(num_examples):
        yield demo_example(seed, index)
