"""The writers that are compared write the same."""

from benchmarks.decode import goa_writer, same_as_transformers, transformers_writer
from goa.decoding.settings import BeamSettings
from goa.policies.policy import Policy

TEXTS = ["the red bird sings", "a dog"]
BEAM = BeamSettings(kind="beam", num_beams=3, num_candidates=2, max_tokens=5)


def test_beams_of_both_writers_have_the_same_tokens(policy: Policy) -> None:
    ours, theirs = goa_writer(policy, TEXTS, BEAM), transformers_writer(policy, TEXTS, BEAM)
    assert ours(0) == theirs(0)
    assert len(ours(0)) == 4
    assert max(map(len, ours(0))) <= 5


def test_a_source_counts_as_the_same_only_with_all_of_its_outputs() -> None:
    writers = {
        "transformers": lambda _: [[3], [4], [5], [6]],
        "other": lambda _: [[9], [4], [5], [6]],
    }
    assert same_as_transformers(writers, BEAM) == {"transformers": 1.0, "other": 0.5}
