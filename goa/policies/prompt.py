"""Prompts: what a decoder-only policy reads before it writes."""

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from goa.errors import PolicyError
from goa.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLACE = "{source}"


class PromptSettings(Settings):
    """How a source becomes a prompt; what the policy writes after it is the candidate."""

    template: str = Field(PLACE, min_length=1)
    """Text with {source} in it."""
    chat: bool = False
    """Put it into the tokenizer's chat template, as the user's turn."""
    system: str | None = None
    """The chat's system message."""

    @field_validator("template")
    @classmethod
    def _the_source_has_its_place(cls, template: str) -> str:
        if PLACE not in template:
            raise ValueError(f"a template without {PLACE} says the same whatever the source")
        return template

    def fill(self, source: str, tokenizer: "PreTrainedTokenizerBase") -> str:
        """Make the prompt's text.

        Raises:
            PolicyError: a chat is asked for, and the tokenizer has no chat template.
        """
        text = self.template.replace(PLACE, source)
        if not self.chat:
            return text
        if tokenizer.chat_template is None:
            raise PolicyError(
                "policy.prompt.chat is true, but the tokenizer has no chat template; "
                "use policy.prompt.template alone, or an instruction-tuned model"
            )
        messages = [{"role": "user", "content": text}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        filled: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return filled
