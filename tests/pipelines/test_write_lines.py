"""``goa generate``."""

import gzip
import importlib
import io
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from tokenizers import processors
from typer.testing import CliRunner, Result

from goa.decoding.generation import Candidates
from goa.decoding.settings import GreedySettings, SampleSettings
from goa.errors import PolicyError
from goa.evaluators.contract import pair_samples
from goa.evaluators.discriminator import EnergySettings
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.storage import save_policy
from goa.records import Example
from pipelines.cli import app
from pipelines.decoding import decode, write
from pipelines.write_lines import Lines, write_lines
from pipelines.writer import BEAM
from tests.conftest import SENTENCES

PROJECT = Path(__file__).parents[2]
TEXT = "".join(f"{sentence}\n" for sentence in SENTENCES)
EXAMPLES = [
    Example(id=str(number), source=sentence, references=())
    for number, sentence in enumerate(SENTENCES, 1)
]
SAMPLE = SampleSettings(kind="sample", num_candidates=3)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Policy) -> None:
    """Stand in a folder with one policy."""
    monkeypatch.chdir(tmp_path)
    save_policy(policy, Path("out/policies/bleu"))


def goa(*arguments: str, given: str | bytes = TEXT, policy: str = "bleu") -> Result:
    return CliRunner().invoke(app, ["generate", "-p", policy, *arguments], input=given)


def lines_of(*arguments: str, given: str | bytes = TEXT) -> list[str]:
    result = goa(*arguments, given=given)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""  # it is no terminal
    assert result.stdout.endswith("\n")
    return result.stdout.split("\n")[:-1]


def records_of(*arguments: str, given: str | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of("--json", *arguments, given=given)]


def as_json(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def write_params(**changed: Any) -> None:
    """Write the project's parameters, and what this test has for its own."""
    content = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    content["compute"]["device"] = "cpu"
    content["evaluate"]["strategies"] |= changed.get("strategies", {})
    content["evaluators"] |= changed.get("evaluators", {})
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def test_a_beam_of_four_writes_a_line_for_each_source_in_order(policy: Policy) -> None:
    assert lines_of() == decode(policy, EXAMPLES, BEAM, 0)
    assert lines_of("-s", "greedy") == decode(policy, EXAMPLES, GreedySettings(kind="greedy"), 0)


@pytest.mark.parametrize("architecture", ["marian", "llama"])
@pytest.mark.parametrize("strategy", ["greedy", "beam", None])
def test_a_served_policy_gives_the_same_answers(
    make_policy: Callable[..., Policy], architecture: str, strategy: str | None
) -> None:
    policy = make_policy(architecture)
    with torch.no_grad():
        for weights in policy.model.parameters():
            weights.mul_(4)  # so that outputs differ from source to source
    save_policy(policy, Path("out/policies/served"))
    serving = importlib.import_module("pipelines.serving")
    served = serving.ServedPolicy()
    served.load_context(SimpleNamespace(artifacts={"policy": "out/policies/served"}))
    told, named = [], {}
    if strategy is not None:
        # Where outputs reach the last position, a served decoder-only model stops all at once.
        told = ["-s", f"{{kind: {strategy}, max_tokens: 8}}"]
        named = {"strategy": strategy, "max_tokens": 8}
    theirs = served.predict(None, pd.DataFrame(SENTENCES), named)

    assert goa(*told, policy="served").stdout.splitlines() == theirs
    assert len(set(theirs)) > 1


def test_a_json_line_keeps_what_it_has_beside_the_candidate(policy: Policy) -> None:
    given = [
        {"source": SENTENCES[0], "id": 7, "references": ["ü", "\ud800"], "candidate": "old"},
        {"source": SENTENCES[1]},
    ]
    first, second = decode(policy, EXAMPLES[:2], BEAM, 0)
    assert records_of(given=as_json(*given)) == [
        {**given[0], "candidate": first},
        {"id": "2", "source": SENTENCES[1], "candidate": second},
    ]


def test_ids_and_seed_say_what_is_drawn(policy: Policy) -> None:
    examples = [Example(id="x", source=SENTENCES[0], references=())]
    given = as_json({"id": "x", "source": SENTENCES[0]})
    drawn = {
        seed: records_of("-s", "sample", "--seed", seed, given=given)[0]["candidate"]
        for seed in ("5", "6")
    }
    strategy = SampleSettings(kind="sample")
    assert drawn == {seed: decode(policy, examples, strategy, int(seed))[0] for seed in drawn}
    assert drawn["5"] != drawn["6"]


def test_all_candidates_come_with_their_log_probs(policy: Policy) -> None:
    strategy = "{kind: sample, num_candidates: 3}"
    (found,) = records_of("-s", strategy, "--all", given=as_json({"id": "1", "source": "red"}))
    written, _ = write(policy, [Example(id="1", source="red", references=())], SAMPLE, 0)
    assert [each["candidate"] for each in found["candidates"]] == list(written.texts[0])
    assert [each["log_prob"] for each in found["candidates"]] == pytest.approx(
        written.log_probs[0].sum(dim=-1).tolist(), abs=1e-5
    )
    assert found["candidate"] == written.texts[0][0]


def test_files_are_read_and_written_by_their_suffixes(policy: Policy) -> None:
    written = decode(policy, EXAMPLES, BEAM, 0)
    with gzip.open("in.txt.gz", "wt", encoding="utf-8") as file:
        file.write(TEXT)
    assert lines_of("-i", "in.txt.gz", given="") == written
    goa("-i", "in.txt.gz", "-o", "out.jsonl.gz")
    with gzip.open("out.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert [each["candidate"] for each in records] == written
    assert lines_of("-i", "out.jsonl.gz", given="") == written


def test_empty_lines_are_sources_and_an_empty_stream_has_none() -> None:
    assert len(lines_of(given="\n\nred\n\n")) == 4
    assert lines_of(given="red\n\n")[0] == lines_of(given="red")[0]
    assert goa(given="").stdout == ""
    assert len(records_of(given='\n{"source": ""}\n\n{"source": "red"}\n')) == 2


@pytest.mark.parametrize("strategy", ["mbr", "best"])
def test_a_strategy_of_the_parameters_chooses_whatever_the_batch(
    strategy: str, policy: Policy
) -> None:
    settings = EnergySettings(embedding=8, channels=8, buckets=64, epochs=2)
    write_params(
        strategies={
            "mbr": {"kind": "mbr", "evaluator": "chrf", "num_candidates": 5},
            "best": {"kind": "best_of", "evaluator": "energy", "num_candidates": 5},
        },
        evaluators={"energy": settings.model_dump()},
    )
    energy = settings.build("energy")
    lesson = [Example(id=e.id, source=e.source, references=(e.source,)) for e in EXAMPLES]
    energy.learn(pair_samples(lesson, ["red", "dog", "the", "a", ""]), 1, anew=True)
    Path("out/evaluators/energy").mkdir(parents=True)
    energy.save(Path("out/evaluators/energy"))

    together = lines_of("-s", strategy)
    assert lines_of("-s", strategy, "--sources-per-batch", "2") == together
    firsts = SampleSettings(kind="sample", num_candidates=5)
    assert together != decode(policy, EXAMPLES, firsts, 17)  # the seed of the parameters
    (found,) = records_of("-s", strategy, "--all", given=as_json({"source": SENTENCES[0]}))
    assert found["candidate"] == together[0]
    assert found["candidates"][0]["candidate"] == decode(policy, EXAMPLES[:1], firsts, 17)[0]


def test_a_policy_is_a_folder_or_a_name() -> None:
    found = lines_of()
    assert goa(policy="out/policies/bleu").stdout.split("\n")[:-1] == found
    Path("bleu").mkdir()
    assert lines_of() == found  # the name means the policy, not whatever lies here


def test_an_output_is_replaced_when_all_is_done() -> None:
    Path("texts.txt").write_text(TEXT, encoding="utf-8")
    expected = goa("-i", "texts.txt").stdout
    assert goa("-i", "texts.txt", "-o", "texts.txt").exit_code == 0
    assert Path("texts.txt").read_text(encoding="utf-8") == expected
    assert goa("-o", "texts.txt", given=b"red\n\xff\n").exit_code == 2
    assert Path("texts.txt").read_text(encoding="utf-8") == expected
    assert sorted(path.name for path in Path().iterdir()) == ["out", "texts.txt"]


def test_a_pipe_is_written_to_as_it_is() -> None:
    os.mkfifo("pipe")
    read: list[str] = []
    reader = threading.Thread(
        target=lambda: read.append(Path("pipe").read_text("utf-8")), daemon=True
    )
    reader.start()
    found = goa("-o", "pipe")
    assert found.exit_code == 0
    reader.join(timeout=20)
    assert read == [goa().stdout]
    assert Path("pipe").is_fifo()


class Stub:
    """Writes what it is told to, in place of a policy."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = iter(texts)
        self.batches: list[int] = []

    def write(self, examples: Sequence[Example]) -> tuple[Candidates, list[int]]:
        self.batches.append(len(examples))
        rows = [(next(self.texts),) for _ in examples]
        blank = torch.zeros((len(rows), 1, 1))
        mask = blank == 0
        candidates = Candidates(tokens=blank.long(), mask=mask, log_probs=blank, texts=tuple(rows))
        return candidates, [0] * len(rows)


def make_lines(stdin: Any, stdout: io.BytesIO, **changed: Any) -> Lines:
    plain: dict[str, Any] = {
        "sources": None,
        "texts": None,
        "json_lines": False,
        "all_candidates": False,
        "sources_per_batch": 2,
    }
    return Lines(stdin=stdin, stdout=stdout, **{**plain, **changed})


def test_line_breaks_are_spelt_out_in_text_and_kept_in_json() -> None:
    texts = ["a\nb\r", "c\\n", "\u2028"]
    stdout = io.BytesIO()
    lines = make_lines(io.BytesIO(b"1\n2\n3\n"), stdout)
    assert write_lines(Stub(texts), lines) == 1  # type: ignore[arg-type]
    assert stdout.getvalue().decode() == "a\\nb\\r\nc\\n\n\u2028\n"
    stdout = io.BytesIO()
    lines = make_lines(
        io.BytesIO(as_json(*[{"source": "s"}] * 3).encode()), stdout, json_lines=True
    )
    assert write_lines(Stub(texts), lines) == 0  # type: ignore[arg-type]
    records = [json.loads(line) for line in stdout.getvalue().decode().split("\n")[:-1]]
    assert [each["candidate"] for each in records] == texts


def test_a_batch_is_written_before_the_next_is_read() -> None:
    stdout = io.BytesIO()

    class Stream(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            seen.append(stdout.getvalue().count(b"\n"))
            return super().readline(size)

    seen: list[int] = []
    stub = Stub("abcde")
    write_lines(stub, make_lines(Stream(b"1\n2\n3\n4\n5\n"), stdout))  # type: ignore[arg-type]
    assert seen == [0, 0, 2, 2, 4, 4]
    assert stub.batches == [2, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["-s", "beem"], TEXT, "did you mean beam"),
        (["-s", "{kind: beam, num_beam: 2}"], TEXT, "did you mean num_beams"),
        (["-s", "{kind: ["], TEXT, "not valid YAML"),
        (["-s", "{kind: mbr, evaluator: chrf}"], TEXT, "no name under evaluators"),
        (["--all"], TEXT, "add --json"),
        (["--json"], TEXT, "standard input, line 1, column 1: not JSON"),
        (["--json"], '{"source": "a"}\n{"text": "b"}', "line 2: source is missing"),
        (["--json"], '{"source": 3}', "line 1: source is 3; expected a string"),
        (["--json"], r'{"source": "\ud800"}', "half a character"),
        (["--json"], r'{"source": "", "id": "\ud800"}', "half a character"),
        ([], "red\n" + "bird " * 99, "standard input, line 2: a text of"),
        ([], b"red\n\xff\n", "line 2: not UTF-8"),
        (["-i", "no.txt"], "", "no.txt: no such file"),
        (["-o", "no/where.txt"], TEXT, "no/where.txt: cannot be written"),
        (["-o", "out"], TEXT, "out: cannot be written"),
    ],
)
def test_what_cannot_be_used_ends_with_a_message(
    arguments: list[str], given: str | bytes, message: str
) -> None:
    result = goa(*arguments, given=given)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_an_unknown_policy_is_named_beside_those_there_are() -> None:
    result = goa(policy="blue")
    assert result.exit_code == 2
    assert (
        "--policy blue: no such folder, and in out/policies: no policy 'blue'; known: bleu"
        in result.stderr
    )


def test_no_decoder_chooses_by_references() -> None:
    write_params()
    result = goa("-s", "{kind: best_of, evaluator: bleu}")
    assert result.exit_code == 2
    assert "--strategy.evaluator: 'bleu' reads references" in result.stderr
    assert "the parameters name" in goa("-s", "beem").stderr


def test_a_prompt_of_nothing_is_refused_by_its_line(make_policy: Callable[..., Policy]) -> None:
    policy = make_policy("llama")
    assert isinstance(policy, DecoderOnly)
    policy.prompt = PromptSettings()
    bare = processors.TemplateProcessing(single="$A", special_tokens=[])
    policy.tokenizer.backend_tokenizer.post_processor = bare
    save_policy(policy, Path("out/policies/bare"))
    result = goa(policy="bare", given="red\n\n")
    assert result.exit_code == 2
    assert "standard input, line 2: an empty source" in result.stderr


def test_a_terminal_is_told_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    write_lines(Stub("a"), make_lines(io.BytesIO(b"1\n"), io.BytesIO()))  # type: ignore[arg-type]
    assert "1 sources" in shown.getvalue()


def test_what_no_source_is_to_blame_for_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PolicyError("this model cannot write")

    monkeypatch.setattr("pipelines.writer.Writer.write", refuse)
    result = goa()
    assert (result.exit_code, result.stderr) == (2, "error: this model cannot write\n")
