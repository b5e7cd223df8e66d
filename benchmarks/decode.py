"""Tokens written a second: goa, transformers' generate, and CTranslate2 where it is installed.

    python benchmarks/decode.py POLICY SOURCES [--sources 64] [--candidates 8] [--beam N]

POLICY is a policy's folder, SOURCES a file of lines, the first of which are taken, or a project's
out/data. Draws are from the whole distribution, with their log-probabilities; with --beam the best
outputs of a beam of so many are written instead, one of each source unless --candidates says more,
and it is said how many sources have the outputs that transformers' beam gives them, token for
token. transformers and CTranslate2 then give texts alone, goa each token's log-probability besides.
An output has --max-tokens tokens at most. All have the same weights, in float32, and the same
threads, and take turns. Medians. On a GPU goa draws once more with steps recorded as CUDA graphs.
With CTranslate2, the policy is of Marian's kind.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.harness import (
    Runs,
    Side,
    arguments,
    median,
    read_examples,
    table,
    take_turns,
    write_json,
)
from benchmarks.switches import recorded
from goa.decoding.generation import generate
from goa.decoding.settings import BeamSettings, SampleSettings
from goa.policies.policy import Policy
from goa.policies.storage import load_policy
from pipelines.stage import silence_foreign_bars

Strategy = SampleSettings | BeamSettings
Rows = list[list[int]]
"""The tokens of each output, end tokens included, source by source."""
Write = Callable[[int], Rows]
"""Writes once, by a seed."""


def main() -> None:
    """Print the table."""
    given = _arguments()
    silence_foreign_bars()
    torch.set_num_threads(given.threads)
    policy = load_policy(given.policy, torch.device(given.device))
    policy.model.eval()
    texts = [example.source for example in read_examples(given.sources, given.num_sources)]
    strategy = _strategy(given)
    writers: dict[str, Write] = {
        "goa": goa_writer(policy, texts, strategy),
        "transformers": transformers_writer(policy, texts, strategy),
    }
    if given.device == "cuda" and given.beam is None:
        writers["goa, CUDA graphs"] = _recorded(policy, writers["goa"])
    with tempfile.TemporaryDirectory() as folder:
        try:
            translator = _translator(policy, Path(folder), given)
        except (ImportError, ValueError) as error:
            print(f"Without CTranslate2: {error}\n")
        else:
            writers["CTranslate2"] = _ctranslate2(policy, translator, texts, strategy)
        sides = {name: Side(work=partial(_counted, write)) for name, write in writers.items()}
        runs = take_turns(sides, given.repeats, given.device)
        same = same_as_transformers(writers, strategy) if given.beam else {}
    _show(runs, same)
    print(f"\nOutputs: {strategy.candidates} of each of {len(texts)} sources.")
    write_json(given.json, given, {"runs": runs, "same_as_transformers": same})


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__, device=True)
    parser.add_argument("policy", type=Path)
    parser.add_argument("sources", type=Path, nargs="+", help="files after the first are not read")
    parser.add_argument("--sources", dest="num_sources", type=int, default=64)
    parser.add_argument("--candidates", type=int, help="default: 8 draws, or the best of a beam")
    parser.add_argument("--beam", type=int, help="write by a beam of this width")
    parser.add_argument("--max-tokens", type=int, default=64)
    return parser.parse_args()


def _strategy(given: argparse.Namespace) -> Strategy:
    if given.beam is None:
        return SampleSettings(
            kind="sample", num_candidates=given.candidates or 8, max_tokens=given.max_tokens
        )
    return BeamSettings(
        kind="beam",
        num_beams=given.beam,
        num_candidates=given.candidates or 1,
        max_tokens=given.max_tokens,
    )


def _counted(write: Write, seed: int) -> dict[str, float]:
    return {"tokens": sum(map(len, write(seed)))}


def same_as_transformers(writers: dict[str, Write], strategy: Strategy) -> dict[str, float]:
    """Give each writer's share of sources whose outputs are transformers', token for token."""
    written = {name: _by_source(write(0), strategy.candidates) for name, write in writers.items()}
    wanted = written["transformers"]
    return {
        name: sum(own == other for own, other in zip(found, wanted, strict=True)) / len(wanted)
        for name, found in written.items()
    }


def _by_source(rows: Rows, num_candidates: int) -> list[Rows]:
    return [rows[start : start + num_candidates] for start in range(0, len(rows), num_candidates)]


def _show(runs: Runs, same: dict[str, float]) -> None:
    speed = {name: median(found, "tokens", per="seconds") for name, found in runs.items()}
    header = ["who", "seconds", "tokens", "tokens/s", "goa against it"]
    rows = [
        [
            name,
            f"{median(found, 'seconds'):.2f}",
            f"{median(found, 'tokens'):.0f}",
            f"{speed[name]:.0f}",
            f"{speed['goa'] / speed[name]:.2f}",
            *([f"{100 * same[name]:.1f} %"] if same else []),
        ]
        for name, found in runs.items()
    ]
    print(table([*header, *(["as transformers"] if same else [])], rows))


def goa_writer(policy: Policy, texts: Sequence[str], strategy: Strategy) -> Write:
    """Write by goa, with every token's log-probability."""

    def write(seed: int) -> Rows:
        sources = policy.tokenize_sources(texts)
        written = generate(policy, sources, strategy, seed, texts)
        return _rows(written.tokens.flatten(0, 1), written.mask.flatten(0, 1))

    return write


def _recorded(policy: Policy, write: Write) -> Write:
    """Write with steps that are recorded as CUDA graphs."""

    def write_recorded(seed: int) -> Rows:
        with recorded(policy)():
            return write(seed)

    return write_recorded


def transformers_writer(policy: Policy, texts: Sequence[str], strategy: Strategy) -> Write:
    """Write by transformers' generate; draws with every token's log-probability."""
    beam = isinstance(strategy, BeamSettings)
    how: dict[str, Any] = {"do_sample": True, "top_k": 0, "output_logits": True}
    if isinstance(strategy, BeamSettings):
        how = {"num_beams": strategy.num_beams, "length_penalty": strategy.length_penalty}
    config = GenerationConfig(
        num_return_sequences=strategy.candidates,
        return_dict_in_generate=True,
        **how,
        **policy.special_tokens(),
    )
    model: Any = policy.model

    @torch.no_grad()
    def write(seed: int) -> Rows:
        torch.manual_seed(seed)
        sources = policy.tokenize_sources(texts)
        config.max_length = policy.num_leading(sources) + strategy.max_tokens
        written = model.generate(
            input_ids=sources.ids, attention_mask=sources.mask.long(), generation_config=config
        )
        if not beam:
            model.compute_transition_scores(
                written.sequences, written.logits, normalize_logits=True
            )
        tokens = written.sequences[:, policy.num_leading(sources) :]
        policy.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        ends = (tokens == policy.end_id).long()
        return _rows(tokens, ends.cumsum(dim=1) - ends == 0)

    return write


def _rows(tokens: Tensor, mask: Tensor) -> Rows:
    """Take what masks [R, T] say of tokens [R, T]; candidates begin in the first column."""
    lengths = mask.sum(dim=1).tolist()
    return [row[:length] for row, length in zip(tokens.tolist(), lengths, strict=True)]


def _translator(policy: Policy, folder: Path, given: argparse.Namespace) -> Any:
    """Convert the policy for CTranslate2; tokens are named by their ids.

    Raises:
        ImportError: it is not installed.
        ValueError: it has no such device, or the policy is of another kind.
    """
    import ctranslate2
    from ctranslate2.converters.transformers import BartLoader

    model: Any = policy.model
    if model.config.model_type != "marian":
        raise ValueError(f"the policy is of {model.config.model_type}'s kind")
    if given.device == "cuda" and not ctranslate2.get_cuda_device_count():
        raise ValueError("it sees no GPU")
    model.config.normalize_before = False
    model.config.normalize_embedding = False
    loader = BartLoader()
    with torch.no_grad():
        spec = loader.get_model_spec(model)
    names = _names(model)
    loader.set_vocabulary(spec, names)
    spec.config.decoder_start_token = names[int(model.config.decoder_start_token_id)]
    spec.config.eos_token, spec.config.unk_token = names[policy.end_id], names[0]
    spec.config.bos_token = spec.config.decoder_start_token
    spec.config.add_source_eos = False
    spec.validate()
    spec.optimize(quantization=None)
    spec.save(str(folder))
    return ctranslate2.Translator(
        str(folder), device=given.device, compute_type="float32", intra_threads=given.threads
    )


def _names(model: Any) -> list[str]:
    return [f"t{token}" for token in range(model.config.vocab_size)]


def _ctranslate2(
    policy: Policy, translator: Any, texts: Sequence[str], strategy: Strategy
) -> Write:
    import ctranslate2

    names = _names(policy.model)
    how: dict[str, Any] = {"beam_size": 1, "sampling_topk": 0, "return_scores": True}
    if isinstance(strategy, BeamSettings):
        how = {"beam_size": strategy.num_beams, "length_penalty": strategy.length_penalty}

    def write(seed: int) -> Rows:
        ctranslate2.set_random_seed(seed + 1)
        sources = [[names[token] for token in row] for row in policy.source_ids(texts)]
        written = translator.translate_batch(
            sources,
            num_hypotheses=strategy.candidates,
            max_decoding_length=strategy.max_tokens,
            max_batch_size=len(sources) * strategy.candidates,
            return_end_token=True,
            **how,
        )
        found = itertools.chain.from_iterable(result.hypotheses for result in written)
        rows = [[int(name[1:]) for name in hypothesis] for hypothesis in found]
        policy.texts(rows)
        return rows

    return write


if __name__ == "__main__":
    main()
