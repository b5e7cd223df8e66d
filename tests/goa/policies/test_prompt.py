"""Prompts: what a decoder-only policy reads before it writes."""

from collections.abc import Callable

import pytest

from goa.errors import PolicyError
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings

CHAT = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}[reply]{% endif %}"
)


@pytest.fixture
def llama(make_policy: Callable[..., Policy]) -> DecoderOnly:
    policy = make_policy("llama")
    assert isinstance(policy, DecoderOnly)
    return policy


def test_the_source_takes_its_place_whatever_is_in_it(llama: DecoderOnly) -> None:
    prompt = PromptSettings(template="de: {source} en:")
    assert prompt.fill("a {source} {0} %s", llama.tokenizer) == "de: a {source} {0} %s en:"


def test_a_template_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="says the same whatever the source"):
        PromptSettings(template="translate")


def test_a_chat_has_its_turns_and_opens_the_reply(llama: DecoderOnly) -> None:
    llama.tokenizer.chat_template = CHAT
    prompt = PromptSettings(template="say {source}", chat=True, system="be brief")
    expected = "[system] be brief [user] say hello [reply]"
    assert prompt.fill("hello", llama.tokenizer) == expected


def test_a_chat_gets_no_special_tokens_besides_its_own(llama: DecoderOnly) -> None:
    llama.tokenizer.chat_template = CHAT
    plain = llama.source_ids(["a bird"])[0]
    assert plain[-1] == llama.end_id  # our tokenizer's own mark of the end of a text
    llama.prompt = PromptSettings(chat=True)
    assert llama.end_id not in llama.source_ids(["a bird"])[0]


def test_a_chat_without_a_template_is_refused(llama: DecoderOnly) -> None:
    with pytest.raises(PolicyError, match="tokenizer has no chat template"):
        PromptSettings(chat=True).fill("hello", llama.tokenizer)


def test_a_target_goes_on_from_the_prompt(llama: DecoderOnly) -> None:
    ids = llama.target_ids(["a bird"])[0]
    assert ids[-1] == llama.end_id
    assert ids.count(llama.end_id) == 1


def test_the_end_token_pads_where_there_is_no_other(llama: DecoderOnly) -> None:
    llama.tokenizer.pad_token = None
    assert llama.pad_id == llama.end_id
    padded = llama.pad_sources([[5, 6, 7], [5]])
    assert padded.mask.tolist() == [[True] * 3, [False, False, True]]
    assert padded.ids[1].tolist() == [llama.end_id] * 2 + [5]


def test_each_prompt_leaves_its_own_room(llama: DecoderOnly) -> None:
    sources = llama.pad_sources([[5] * 20, [5] * 3])
    room = llama.room(sources)
    assert room is not None
    assert room.tolist() == [12, 29]
    with pytest.raises(PolicyError, match="leaves none of the model's 32 positions"):
        llama.room(llama.pad_sources([[5] * 32]))
