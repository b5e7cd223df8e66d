"""Where a policy's tokenizer comes from."""

from pathlib import Path

from goa.policies.policy import Policy
from goa.policies.settings import PretrainedPolicySettings
from goa.policies.tokenizer import build_tokenizer
from tests.conftest import SENTENCES


def test_a_pretrained_model_keeps_its_own_whatever_the_texts_are(
    policy: Policy, tmp_path: Path
) -> None:
    policy.tokenizer.save_pretrained(tmp_path)
    settings = PretrainedPolicySettings(kind="pretrained", name=str(tmp_path))
    tokenizer = build_tokenizer(iter(["other words"] * 9), settings)
    assert tokenizer.get_vocab() == policy.tokenizer.get_vocab()
    assert tokenizer(SENTENCES).input_ids == policy.tokenizer(SENTENCES).input_ids
