"""Learned tests of whether a person wrote a text."""

import json
import math
import random
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from goa.errors import EvaluatorError
from goa.evaluators.composite import CompositePartSettings, CompositeSettings
from goa.evaluators.contract import checked_score
from goa.evaluators.discriminator import (
    Discriminator,
    DiscriminatorSettings,
    Energy,
    EnergySettings,
    area_under_curve,
    balanced_accuracy,
)
from goa.evaluators.text_pair_network import word_features
from goa.records import Example, Sample

SMALL = {"embedding": 16, "channels": 16, "buckets": 512}
WORDS = [f"{first}{second}{third}" for first in "bdfkl" for second in "aeiou" for third in "mnst"]


def group(key: int, source: str, reference: str, *candidates: str) -> list[Sample]:
    example = Example(id=str(key), source=source, references=(reference,))
    return [Sample(example=example, candidate=candidate) for candidate in candidates]


def marked(count: int, *, seed: int = 1) -> list[Sample]:
    """Write references that end in a full stop, and candidates that do not."""
    rng = random.Random(seed)
    samples = []
    for key in range(count):
        text = " ".join(rng.choices(WORDS, k=4))
        samples += group(key, "s", f"{text} .", " ".join(rng.choices(WORDS, k=4)), text)
    return samples


def copies(count: int) -> list[Sample]:
    """Write references that say a word of their source, and candidates that say another."""
    rng = random.Random(2)
    samples = []
    for key in range(count):
        word, other, filler = rng.sample(WORDS, 3)
        samples += group(key, f"{word} {filler}", word, other)
    return samples


def make(**settings: object) -> Discriminator:
    return DiscriminatorSettings(**{**SMALL, **settings}).build("tested")  # type: ignore[arg-type]


def test_it_does_not_score_before_it_has_learnt() -> None:
    with pytest.raises(EvaluatorError, match="tested: has not learnt .* its score stage"):
        make().score(marked(1))


def test_it_learns_what_tells_people_from_the_policy() -> None:
    discriminator = make(epochs=15, learning_rate=5e-3)
    found = discriminator.learn(marked(200), 3, anew=True)
    assert found["accuracy"] > 0.95
    assert found["auc"] > 0.99
    person, policy = group(0, "s", "r", "bam den .", "bam den")
    by_person, by_policy = checked_score(discriminator, [person, policy]).values
    assert by_person is not None
    assert by_policy is not None
    assert by_person > by_policy + 0.6


def test_it_sees_whether_a_text_belongs_to_its_source() -> None:
    settings = {"epochs": 60, "learning_rate": 5e-3, "dropout": 0.1}
    assert make(**settings).learn(copies(400), 3, anew=True)["auc"] > 0.8
    blind = make(**settings, reads_source=False).learn(copies(400), 3, anew=True)
    assert 0.3 < blind["auc"] < 0.7


def test_what_it_learns_follows_from_seed_and_samples() -> None:
    def learnt(seed: int, samples: Sequence[Sample]) -> str:
        discriminator = make(epochs=2)
        discriminator.learn(samples, seed, anew=True)
        return discriminator.signature

    samples = marked(20)
    assert learnt(1, samples) == learnt(1, samples)
    assert learnt(1, samples) != learnt(2, samples)
    assert learnt(1, samples) != learnt(1, samples[:-2])


def test_learning_anew_forgets_what_was_learnt() -> None:
    fresh, used = make(epochs=1), make(epochs=1)
    used.learn(marked(30, seed=9), 4, anew=True)
    for discriminator in (fresh, used):
        discriminator.learn(marked(20), 1, anew=True)
    assert used.signature == fresh.signature


def test_the_network_and_its_steps_are_as_the_settings_say() -> None:
    def learnt(**settings: object) -> Discriminator:
        discriminator = make(epochs=1, **settings)
        discriminator.learn(marked(20), 1, anew=True)
        return discriminator

    state = learnt(embedding=8, channels=12, buckets=64).state()
    assert state["embed.weight"].shape == (64, 8)
    assert state["judge.1.weight"].shape == (12, 4 * 12)
    plain = learnt().signature
    for changed in ({"weight_decay": 0.5}, {"learning_rate": 0.1}, {"dropout": 0.1}):
        assert learnt(**changed).signature.rpartition("|")[2] != plain.rpartition("|")[2]


def test_learning_again_goes_on_and_says_how_it_did_on_what_it_had_not_seen() -> None:
    discriminator = make(epochs=15, learning_rate=5e-3, refit_epochs=1)
    discriminator.learn(marked(200), 3, anew=True)
    before = discriminator.signature
    fooled = [
        Sample(example=sample.example, candidate=f"{sample.candidate} .")
        for sample in marked(100, seed=5)
    ]
    first = discriminator.learn(fooled, 4, anew=False)
    assert first["accuracy"] < 0.6  # candidates end in a full stop now
    assert discriminator.signature != before


def test_weights_come_back_from_a_folder(tmp_path: Path) -> None:
    first, second = make(epochs=1), make(epochs=1)
    first.learn(marked(10), 1, anew=True)
    first.save(tmp_path)
    second.load(tmp_path)
    assert second.signature == first.signature
    assert second.score(marked(10)) == first.score(marked(10))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError, match="tested: .*tested.safetensors.*score stage"):
        make().load(tmp_path)
    other = make(channels=8, epochs=1)
    other.learn(marked(10), 1, anew=True)
    other.save(tmp_path)
    with pytest.raises(EvaluatorError, match="no weights of this evaluator"):
        make().load(tmp_path)


def test_a_score_hangs_on_its_text_and_source_alone(samples) -> None:
    discriminator = make(epochs=1)
    discriminator.learn(marked(10), 1, anew=True)
    pairs = [
        sample
        for key, source in enumerate(["", "bam", "bam den fis", "den " * 12])
        for sample in group(key, source, "r", "", "bam", "den den den den den", "fis bam " * 9)
    ]
    together = discriminator.score([*pairs, *samples]).values
    alone = [discriminator.score([sample]).values[0] for sample in (*pairs, *samples)]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    assert (
        len(set(together[: len(pairs)])) == 12 + 1
    )  # of a text without words the source says nothing


def test_a_word_is_known_by_itself_and_by_its_runs_of_three_characters() -> None:
    def buckets(*names: str) -> tuple[int, ...]:
        return tuple(zlib.crc32(name.encode()) % 512 for name in names)

    assert word_features("dens", 512) == buckets("<dens>", "<de", "den", "ens", "ns>")
    assert word_features("a", 512) == buckets("<a>", "<a>")
    assert word_features("d" * 100, 512) == word_features("d" * 64, 512)


@pytest.mark.parametrize(
    "text", ["", " ", "\x00\ud800", "😀" * 1000, "a" * 100_000, "مرحبا", "我们"]
)
def test_any_text_has_a_score(text: str) -> None:
    discriminator = make(epochs=1)
    discriminator.learn(marked(10), 1, anew=True)
    (value,) = checked_score(discriminator, group(1, text, "r", text)).values
    assert value is not None


def test_it_leaves_torch_as_it_was() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    make(epochs=1).learn(marked(10), 1, anew=True)
    assert torch.rand(1) == expected
    assert torch.get_num_threads() == 2


def test_an_energy_estimates_what_people_write_beyond_the_policy() -> None:
    people, policy = {"bam": 0.6, "den": 0.3, "fis": 0.1}, {"bam": 0.2, "den": 0.3, "fis": 0.5}
    rng = random.Random(7)

    def draw(chances: dict[str, float], count: int) -> list[str]:
        return rng.choices(list(chances), list(chances.values()), k=count)

    samples = [
        sample
        for key in range(2000)
        for sample in group(key, "s", draw(people, 1)[0], *draw(policy, 3))
    ]
    settings = EnergySettings(**SMALL, dropout=0, epochs=4, learning_rate=3e-3, weight_decay=0)  # type: ignore[arg-type]
    energy = settings.build("energy")
    energy.learn(samples, 1, anew=True)
    values = energy.score(group(1, "s", "r", *people)).values
    found = [math.log(value / (1 - value)) for value in values if value is not None]
    expected = [math.log(people[text] / policy[text]) for text in people]
    np.testing.assert_allclose(found, expected, atol=0.25)


def test_an_energy_never_learns_again_and_a_discriminator_does_where_told() -> None:
    energy: Energy = EnergySettings().build("energy")
    assert energy.refit_every is None
    assert make().refit_every == 10
    assert make(refit_every=None).refit_every is None


def test_the_parts_of_a_composite_learn() -> None:
    part = CompositePartSettings(evaluator=DiscriminatorSettings(**SMALL, epochs=1))  # type: ignore[arg-type]
    composite = CompositeSettings(parts={"person": part}).build("whole")
    (learner,) = composite.learners()
    before = composite.signature
    learner.learn(marked(10), 1, anew=True)
    assert learner.name == "whole.person"
    assert composite.signature != before
    assert checked_score(composite, marked(3)).values == checked_score(learner, marked(3)).values


def test_the_area_under_a_curve_is_the_share_of_pairs_in_order() -> None:
    assert area_under_curve(np.array([3.0, 1.0]), np.array([2.0, 1.0])) == (2 + 0.5) / 4


def test_accuracy_is_that_of_both_sides_alike() -> None:
    positive, negative = np.array([3.0, 1.0, 0.5, -1.0]), np.array([2.0, 0.0])
    assert balanced_accuracy(positive, negative) == (3 / 4 + 1 / 2) / 2


def test_settings_survive_a_record() -> None:
    settings = DiscriminatorSettings()
    again = DiscriminatorSettings.model_validate(json.loads(json.dumps(settings.model_dump())))
    assert again == settings
