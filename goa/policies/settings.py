"""What a policy is made from, and what it runs on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from goa.policies.prompt import PromptSettings
from goa.settings import Settings


class ScratchPolicySettings(Settings):
    """A model with random weights and a tokenizer trained on the corpus."""

    kind: Literal["scratch"]
    architecture: Literal["marian", "bart", "t5", "llama"] = "marian"
    """The family whose modules are used; its sizes are the settings below. All but llama, which is
    decoder-only, are encoder-decoders."""
    vocab_size: int = Field(8000, ge=16, le=1_000_000)
    """Byte-pair tokens, special ones included, shared by both sides."""
    d_model: int = Field(256, ge=8, le=65_536)
    """Width of the hidden states."""
    num_layers: int = Field(3, ge=1, le=1024)
    """Layers of the encoder, if there is one, and of the decoder."""
    num_heads: int = Field(8, ge=1, le=1024)
    """Attention heads of a layer; they divide d_model."""
    d_ff: int = Field(1024, ge=8, le=1_048_576)
    """Width of the feed-forward layers."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of the hidden states that is dropped while likelihood is learnt."""
    max_positions: int = Field(256, ge=8, le=10_000_000)
    """Longest source, and longest output, in tokens; of llama, both together."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "ScratchPolicySettings":
        if self.d_model % self.num_heads:
            raise ValueError(
                f"d_model ({self.d_model}) is not a multiple of num_heads ({self.num_heads})"
            )
        return self


class PretrainedPolicySettings(Settings):
    """A pretrained model with its own tokenizer, from a folder or a hub."""

    kind: Literal["pretrained"]
    name: str = Field(min_length=1)
    """A folder, or a name on the Hugging Face hub; DVC does not see changes behind the name."""
    revision: str | None = None
    """The hub's commit, tag or branch."""
    prompt: PromptSettings | None = None
    """How a source becomes the prompt of a decoder-only model; none named means as it was saved, or
    else the source alone."""


PolicySettings = Annotated[
    ScratchPolicySettings | PretrainedPolicySettings, Field(discriminator="kind")
]


class ThreadSettings(Settings):
    """CPU threads of each stage that computes with tensors."""

    pretrain: int = Field(1, ge=1, le=1024)
    """Of pretraining."""
    generate: int = Field(1, ge=1, le=1024)
    """Of writing the pool."""
    finetune: int = Field(1, ge=1, le=1024)
    """Of fine-tuning, controls included."""
    evaluate: int = Field(1, ge=1, le=1024)
    """Of evaluating a policy."""


class ProcessSettings(Settings):
    """Processes of each stage that can share its work, each on a device of its own."""

    pretrain: int = Field(1, ge=1, le=4096)
    """Of pretraining."""
    finetune: int = Field(1, ge=1, le=4096)
    """Of fine-tuning, controls included."""


class ComputeSettings(Settings):
    """What stages compute on. Another device or thread count changes results in the last bits."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU if there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products; weights, and all that is summed, are float32 either way."""
    gradient_checkpointing: bool = False
    """Compute the inner states of layers once more on the way back instead of keeping them: less
    memory, about a third more time an update (Chen et al., 2016)."""
    tokens_at_once: int | None = Field(None, ge=1, le=1_000_000_000)
    """Tokens that are held at a time where candidates are written, sources and room for tokens to
    come included: bounds the memory, and changes no candidate but for the last bits. None named
    means as many as memory has room for. Halved, with a warning, where that was too many."""
    cuda_graphs: bool = False
    """On a GPU, record what draws the next token once and play it from then on, instead of
    launching it operation by operation: for models and batches that take less time than their
    launches. Changes candidates in the last bits alone. Beams, constraints and models that
    transformers computes are never recorded. Not yet tried on a GPU."""
    fsdp: bool = False
    """Spread weights, gradients and moments over the processes of a stage instead of keeping all of
    them in each (fully sharded data parallelism; Rajbhandari et al., 2020)."""
    threads: ThreadSettings = ThreadSettings()
    processes: ProcessSettings = ProcessSettings()
