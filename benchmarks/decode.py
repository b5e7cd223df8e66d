"""Tokens drawn a second: goa, transformers' generate, and CTranslate2 where it is installed.

    python benchmarks/decode.py POLICY SOURCES [--sources 64] [--candidates 8] [--repeats 5]

POLICY is a policy's folder, SOURCES a file of lines, the first of which are taken. Draws are from
the whole distribution, of at most --max-tokens tokens, with their log-probabilities; all have the
same weights, in float32, and the same threads, and take turns. Medians. The policy is of Marian's
kind.
"""

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

sys.path.insert(0, str(Path(__file__).parent.parent))
from goa.decoding.generation import generate
from goa.decoding.settings import SampleSettings
from goa.policies.policy import Policy
from goa.policies.storage import load_policy

Side = Callable[[int], int]
"""Draws once, by a seed; gives the tokens that were written, end tokens included."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--sources", dest="num_sources", type=int, default=64)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the numbers, too")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    policy = load_policy(given.policy, torch.device("cpu"))
    policy.model.eval()
    texts = _lines(given.sources)[: given.num_sources]
    strategy = SampleSettings(
        kind="sample", num_candidates=given.candidates, max_tokens=given.max_tokens
    )
    sides: dict[str, Side] = {
        "goa": _goa(policy, texts, strategy),
        "transformers": _transformers(policy, texts, strategy),
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            sides["CTranslate2"] = _ctranslate2(
                policy, texts, strategy, Path(folder), given.threads
            )
        except ImportError:
            print("CTranslate2 is not installed: without it\n")
        runs = _take_turns(sides, given.repeats)
    _show(runs, len(texts) * given.candidates)
    if given.json:
        given.json.write_text(json.dumps(runs, indent=2) + "\n")


def _take_turns(sides: dict[str, Side], repeats: int) -> dict[str, list[dict[str, float]]]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for repeat in range(-1, repeats):  # the first is not counted
        for name, side in sides.items():
            start = time.perf_counter()
            tokens = side(repeat + 1)
            run = {"seconds": time.perf_counter() - start, "tokens": tokens}
            if repeat >= 0:
                runs[name].append(run)
    return runs


def _show(runs: dict[str, list[dict[str, float]]], num_candidates: int) -> None:
    speed = {
        name: statistics.median(run["tokens"] / run["seconds"] for run in found)
        for name, found in runs.items()
    }
    print("| who | seconds | tokens | tokens/s | goa against it |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, found in runs.items():
        seconds = statistics.median(run["seconds"] for run in found)
        tokens = statistics.median(run["tokens"] for run in found)
        ratio = speed["goa"] / speed[name]
        print(f"| {name} | {seconds:.2f} | {tokens:.0f} | {speed[name]:.0f} | {ratio:.2f} |")
    print(f"\n{num_candidates} candidates.")


def _goa(policy: Policy, texts: Sequence[str], strategy: SampleSettings) -> Side:
    def draw(seed: int) -> int:
        sources = policy.tokenize_sources(texts)
        return int(generate(policy, sources, strategy, seed, texts).mask.sum())

    return draw


def _transformers(policy: Policy, texts: Sequence[str], strategy: SampleSettings) -> Side:
    config = GenerationConfig(
        do_sample=True,
        top_k=0,
        num_return_sequences=strategy.num_candidates,
        max_length=1 + strategy.max_tokens,
        output_logits=True,
        return_dict_in_generate=True,
        **policy.special_tokens(),
    )
    model: Any = policy.model

    @torch.no_grad()
    def draw(seed: int) -> int:
        torch.manual_seed(seed)
        sources = policy.tokenize_sources(texts)
        written = model.generate(
            input_ids=sources.ids,
            attention_mask=sources.mask.long(),
            generation_config=config,
        )
        model.compute_transition_scores(written.sequences, written.logits, normalize_logits=True)
        tokens = written.sequences[:, policy.num_leading(sources) :]
        policy.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        ends = (tokens == policy.end_id).long()
        return int((ends.cumsum(dim=1) - ends == 0).sum())

    return draw


def _ctranslate2(
    policy: Policy, texts: Sequence[str], strategy: SampleSettings, folder: Path, threads: int
) -> Side:
    import ctranslate2
    from ctranslate2.converters.transformers import BartLoader

    model: Any = policy.model
    model.config.normalize_before = False
    model.config.normalize_embedding = False
    loader = BartLoader()
    with torch.no_grad():
        spec = loader.get_model_spec(model)
    names = [f"t{token}" for token in range(model.config.vocab_size)]
    loader.set_vocabulary(spec, names)
    spec.config.decoder_start_token = names[int(model.config.decoder_start_token_id)]
    spec.config.eos_token, spec.config.unk_token = names[policy.end_id], names[0]
    spec.config.bos_token = spec.config.decoder_start_token
    spec.config.add_source_eos = False
    spec.validate()
    spec.optimize(quantization=None)
    spec.save(str(folder))
    translator = ctranslate2.Translator(
        str(folder), device="cpu", compute_type="float32", intra_threads=threads
    )

    def draw(seed: int) -> int:
        ctranslate2.set_random_seed(seed + 1)
        sources = [[names[token] for token in row] for row in policy.source_ids(texts)]
        written = translator.translate_batch(
            sources,
            beam_size=1,
            num_hypotheses=strategy.num_candidates,
            sampling_topk=0,
            max_decoding_length=strategy.max_tokens,
            max_batch_size=len(sources) * strategy.num_candidates,
            return_scores=True,
            return_end_token=True,
        )
        rows = [
            [int(name[1:]) for name in hypothesis]
            for result in written
            for hypothesis in result.hypotheses
        ]
        policy.texts(rows)
        return sum(map(len, rows))

    return draw


def _lines(path: Path) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [line.strip() for line in file]


if __name__ == "__main__":
    main()
