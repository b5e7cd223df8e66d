"""Which policy a name stands for."""

import pytest

from goa.errors import PipelineError
from pipelines.arms import choose_policy

KNOWN = ["mle", "bleu-17", "bleu-18", "rule-17"]


@pytest.mark.parametrize(("name", "policy"), [("bleu-18", "bleu-18"), ("rule", "rule-17")])
def test_a_policy_goes_by_its_name_or_by_its_arm_s_where_that_has_one_seed(
    name: str, policy: str
) -> None:
    assert choose_policy(name, KNOWN) == policy


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bleu", "bleu was trained with several seeds; name one: bleu-17, bleu-18"),
        ("blue", "no policy 'blue'; known: mle, bleu-17"),
    ],
)
def test_a_name_that_stands_for_none_or_several_is_refused(name: str, told: str) -> None:
    with pytest.raises(PipelineError, match=told):
        choose_policy(name, KNOWN)
