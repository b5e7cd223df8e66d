"""What goa saves, plain transformers load; what cannot be loaded says so."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.errors import PolicyError
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.settings import PretrainedPolicySettings, ScratchPolicySettings
from goa.policies.storage import create_policy, load_policy, save_policy
from tests.bomb import plant
from tests.conftest import SENTENCES

CPU = torch.device("cpu")


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5"])
def test_plain_transformers_load_it_and_generate_the_same_text(
    make_policy: Callable[..., Policy], architecture: str, tmp_path: Path
) -> None:
    policy = make_policy(architecture)
    save_policy(policy, tmp_path)
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    batch = tokenizer(SENTENCES, return_tensors="pt", padding=True)
    theirs = model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    # Their limit counts the start token, ours does not.
    limit = model.generation_config.max_length - 1
    ours = generate(
        policy,
        policy.tokenize_sources(SENTENCES),
        GreedySettings(kind="greedy", max_tokens=limit),
        seed=0,
        keys=SENTENCES,
    )
    expected = tokenizer.batch_decode(theirs, skip_special_tokens=True)
    assert [row[0] for row in ours.texts] == [text.strip() for text in expected]


def test_a_decoder_only_policy_comes_back_with_its_prompt(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    policy = make_policy("llama")
    save_policy(policy, tmp_path)
    loaded = load_policy(tmp_path, CPU)
    assert isinstance(loaded, DecoderOnly)
    assert loaded.prompt.template == "say {source} :"
    strategy = GreedySettings(kind="greedy", max_tokens=8)
    ours, theirs = (
        generate(one, one.tokenize_sources(SENTENCES), strategy, 0, SENTENCES).texts
        for one in (policy, loaded)
    )
    assert ours == theirs
    other = load_policy(tmp_path, CPU, prompt=PromptSettings(template="{source} !"))
    assert other.source_ids(["a"]) != loaded.source_ids(["a"])


def test_whoever_may_read_the_settings_may_read_the_weights(policy: Policy, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save_policy(policy, tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert "model.safetensors" in modes
    assert set(modes.values()) == {0o640}, modes


def test_plain_transformers_load_a_decoder_only_policy_and_write_on_from_its_prompt(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    policy = make_policy("llama")
    save_policy(policy, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    prompt = torch.tensor(policy.source_ids(SENTENCES[:1]))
    theirs = model.generate(input_ids=prompt, max_new_tokens=8)[0, prompt.shape[1] :]
    strategy = GreedySettings(kind="greedy", max_tokens=8)
    ours = generate(policy, policy.tokenize_sources(SENTENCES[:1]), strategy, 0, ["one"])
    assert ours.tokens[0, 0].tolist() == theirs.tolist()


@pytest.mark.parametrize("content", ['{"template": "no place"}', "[", '{"templates": "{source}"}'])
def test_a_prompt_that_is_none_is_refused(
    make_policy: Callable[..., Policy], tmp_path: Path, content: str
) -> None:
    save_policy(make_policy("llama"), tmp_path)
    (tmp_path / "prompt.json").write_text(content)
    with pytest.raises(PolicyError, match=r"prompt.json: not a prompt"):
        load_policy(tmp_path, CPU)


def test_loading_gives_back_the_same_weights_and_drops_foreign_decoding_settings(
    policy: Policy, tmp_path: Path
) -> None:
    policy.model.save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"num_beams": 7, "repetition_penalty": 3.0}')
    loaded = load_policy(tmp_path, CPU)
    for name, tensor in policy.model.named_parameters():
        assert torch.equal(tensor, loaded.model.get_parameter(name))
    assert loaded.model.generation_config.num_beams == 1
    assert not loaded.model.generation_config.repetition_penalty


def test_a_model_folder_without_a_tokenizer_is_refused(policy: Policy, tmp_path: Path) -> None:
    policy.model.save_pretrained(tmp_path)
    with pytest.raises(PolicyError, match="no tokenizer in this folder"):
        load_policy(tmp_path, CPU)


def test_a_folder_without_safetensors_weights_is_refused(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(PolicyError, match="not a language model with safetensors"):
        load_policy(tmp_path, CPU)


def test_pickled_weights_are_refused_by_name_and_never_opened(
    policy: Policy, tmp_path: Path
) -> None:
    save_policy(policy, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    plant(tmp_path / "pytorch_model.bin", tmp_path / "went_off")
    with pytest.raises(
        PolicyError, match=r"pytorch_model\.bin is a pickle, which goa does not open"
    ):
        load_policy(tmp_path, CPU)
    assert not (tmp_path / "went_off").exists()


def test_a_model_that_brings_its_own_code_is_refused_and_the_code_is_not_run(
    policy: Policy, tmp_path: Path
) -> None:
    save_policy(policy, tmp_path)
    mark = tmp_path / "went_off"
    (tmp_path / "own.py").write_text(f"open({str(mark)!r}, 'w')\nclass C: pass\nclass M: pass\n")
    path = tmp_path / "config.json"
    classes = {"AutoConfig": "own.C", "AutoModelForSeq2SeqLM": "own.M"}
    own = {"model_type": "own", "auto_map": classes}
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    with pytest.raises(PolicyError, match="contains custom code"):
        load_policy(tmp_path, CPU)
    assert not mark.exists()


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    with pytest.raises(PolicyError, match="no usable tokenizer"):
        load_policy(tmp_path, CPU)


def test_where_the_model_does_not_say_how_a_text_begins_its_decoding_settings_do(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    save_policy(make_policy("bart"), tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    start, config["decoder_start_token_id"] = config["decoder_start_token_id"], None
    path.write_text(json.dumps(config))
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    assert generation["decoder_start_token_id"] == start
    assert load_policy(tmp_path, CPU).model.config.decoder_start_token_id == start


def test_a_model_without_a_token_for_the_end_is_refused(policy: Policy, tmp_path: Path) -> None:
    policy.tokenizer.eos_token = None
    policy.model.config.eos_token_id = None
    with pytest.raises(PolicyError, match="the model or its tokenizer names no .*end.* token"):
        type(policy)(policy.model, policy.tokenizer)


def test_a_policy_starts_from_a_pretrained_folder_as_it_is(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path)
    settings = PretrainedPolicySettings(kind="pretrained", name=str(tmp_path))
    created = create_policy(settings, tmp_path / "not looked at", seed=9, device=CPU)
    for name, tensor in policy.model.named_parameters():
        assert torch.equal(tensor, created.model.get_parameter(name))


def test_a_policy_from_scratch_follows_from_its_seed(policy: Policy, tmp_path: Path) -> None:
    policy.tokenizer.save_pretrained(tmp_path)
    settings = ScratchPolicySettings(kind="scratch", d_model=16, num_heads=2, d_ff=32, num_layers=1)

    def weights(seed: int) -> torch.Tensor:
        created = create_policy(settings, tmp_path, seed, CPU)
        return torch.cat([tensor.flatten() for tensor in created.model.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_file_that_was_cut_short_is_no_policy(policy: Policy, tmp_path: Path, file: str) -> None:
    save_policy(policy, tmp_path)
    content = (tmp_path / file).read_bytes()
    for size in (0, 7, len(content) // 2, len(content) - 2):
        (tmp_path / file).write_bytes(content[:size])
        with pytest.raises(PolicyError, match=str(tmp_path)):
            load_policy(tmp_path, torch.device("cpu"))


@pytest.mark.parametrize("content", ["null", "[]", "3", '"a"'])
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_a_file_that_says_something_else_makes_no_policy(
    policy: Policy, tmp_path: Path, file: str, content: str
) -> None:
    save_policy(policy, tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(PolicyError, match=str(tmp_path)):
        load_policy(tmp_path, CPU)


def test_weights_that_cannot_be_written_are_told(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(PolicyError, match=f"{tmp_path}: cannot write the weights: "):
        save_policy(policy, tmp_path)
