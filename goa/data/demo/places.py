"""The places of the demo corpus: kinds, whereabouts, company and names."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of place."""

    word: str
    """What the meaning calls it."""
    nouns: tuple[str, ...]
    """What the sentence calls it, the likeliest first."""
    visited: tuple[str, ...]
    """Past-tense verbs for going there, each ready for the name to follow."""
    aspects: tuple[str, ...]
    """Keys of the aspects that make sense here."""
    travels: bool = False
    """Whether it has a route, not an area."""
    likes_crowds: bool = False
    """Whether a crowd is good for it: a busy pub is lively, a busy museum is noisy."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KINDS: tuple[Kind, ...] = (
    Kind(
        word="restaurant",
        nouns=("restaurant", "place to eat"),
        visited=("ate at", "went to", "had dinner at"),
        aspects=("food", "service", "staff", "view", "music"),
        likes_crowds=True,
    ),
    Kind(
        word="cafe",
        nouns=("cafe", "coffee house"),
        visited=("stopped at", "went to", "had lunch at"),
        aspects=("coffee", "cakes", "service", "staff", "seats", "music"),
    ),
    Kind(
        word="pub",
        nouns=("pub", "tavern"),
        visited=("went to", "drank at", "spent an evening at"),
        aspects=("beer", "food", "service", "music", "staff"),
        likes_crowds=True,
    ),
    Kind(
        word="hotel",
        nouns=("hotel", "inn"),
        visited=("stayed at", "spent a weekend at", "slept at"),
        aspects=("rooms", "beds", "breakfast", "staff", "view", "showers"),
    ),
    Kind(
        word="campsite",
        nouns=("campsite", "camping ground"),
        visited=("camped at", "stayed at", "spent a week at"),
        aspects=("view", "showers", "staff", "food"),
    ),
    Kind(
        word="museum",
        nouns=("museum", "gallery"),
        visited=("visited", "went to", "spent an afternoon at"),
        aspects=("collection", "guides", "coffee", "staff"),
    ),
    Kind(
        word="theatre",
        nouns=("theatre", "playhouse"),
        visited=("went to", "saw a play at", "spent an evening at"),
        aspects=("acting", "seats", "music", "staff"),
        likes_crowds=True,
    ),
    Kind(
        word="bookshop",
        nouns=("bookshop", "bookstore"),
        visited=("went to", "visited", "spent an afternoon at"),
        aspects=("collection", "staff", "coffee", "seats"),
    ),
    Kind(
        word="train",
        nouns=("train", "railway line"),
        visited=("took", "travelled on", "rode on"),
        aspects=("seats", "staff", "view", "food", "coffee"),
        travels=True,
    ),
    Kind(
        word="ferry",
        nouns=("ferry", "boat"),
        visited=("took", "travelled on", "sailed on"),
        aspects=("view", "seats", "staff", "food", "beds"),
        travels=True,
    ),
)

AREAS: Mapping[str, tuple[str, ...]] = {
    "river": ("by the river", "on the river", "beside the river"),
    "station": ("near the station", "next to the station"),
    "old town": ("in the old town", "in the heart of the old town"),
    "harbour": ("at the harbour", "by the harbour", "overlooking the harbour"),
    "park": ("next to the park", "near the park", "at the edge of the park"),
    "high street": ("on the high street", "just off the high street"),
    "cathedral": ("behind the cathedral", "near the cathedral"),
    "university": ("near the university", "opposite the university"),
    "beach": ("on the beach", "right on the beach", "near the beach"),
    "hill": ("on the hill", "at the top of the hill"),
    "market square": ("on the market square", "in the market square"),
    "village": ("in the village", "in the middle of the village"),
    "castle": ("below the castle", "near the castle"),
    "lake": ("by the lake", "on the shore of the lake"),
}

ROUTES: Mapping[str, tuple[str, ...]] = {
    "coast": ("to the coast", "along the coast"),
    "islands": ("to the islands", "that goes to the islands"),
    "capital": ("to the capital", "that runs to the capital"),
    "border": ("to the border", "that goes to the border"),
    "north": ("to the north", "that runs to the north"),
    "valley": ("through the valley", "along the valley"),
    "airport": ("to the airport", "that runs to the airport"),
    "lakes": ("to the lakes", "that goes to the lakes"),
}

COMPANY: Mapping[str, tuple[str, ...]] = {
    "children": ("the children", "our children", "the kids"),
    "colleagues": ("colleagues", "some colleagues", "people from work"),
    "parents": ("my parents", "my mother and father"),
    "sister": ("my sister",),
    "neighbours": ("our neighbours", "the neighbours"),
    "students": ("a group of students", "my students"),
}

NAME_ADJECTIVES = _words(
    "Blue Silver Golden Crooked Red Green Old Little Wandering Hidden Sleepy Black White Copper "
    "Velvet Paper Crimson Salty Wooden Northern Amber Flying Striped Painted Round Midnight "
    "Winter Scarlet Ivory Marble Spotted Emerald Rusty Drifting Whistling Singing"
)
NAME_NOUNS = _words(
    "Fig Lantern Anchor Fox Kettle Pear Compass Otter Orchard Sparrow Bell Piper Barrel Thistle "
    "Clock Mill Acorn Swan Whale Rose Crown Ladder Window Candle Spoon Garden Violin Owl Pine "
    "Cloud Drum Apple Mirror Badger Feather Wheel Arrow Star Moon Hare Stag Goose Saddle Teapot "
    "Umbrella Magpie Walnut Button Turtle Juniper Plum"
)
