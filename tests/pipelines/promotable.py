"""A project that is up to date, whose policies write one word again and again."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from goa.config import check
from goa.data.corpus import CorpusWriter, split_path
from goa.policies.policy import Policy
from goa.policies.storage import save_policy
from goa.records import Example
from goa.report.comparing import compare
from goa.report.comparison import save_comparison
from goa.report.entrants import single
from goa.report.settings import CompareSettings
from goa.tracking.registry import Registry
from goa.tracking.store import Store
from pipelines.retest import Retest

PARAMS = Path(__file__).parents[2] / "params.yaml"
STAGES = {
    "prepare": ([], ["out/data"]),
    "pretrain": (["out/data"], ["out/policies/mle"]),
    "finetune@first-17": (["out/data", "out/policies/mle"], ["out/policies/first-17"]),
    "finetune@second-17": (["out/data", "out/policies/mle"], ["out/policies/second-17"]),
    "compare": (["out/policies"], ["out/comparison"]),
}
"""Dependencies and outputs."""
WORDS = {"mle": "bird", "first-17": "the", "second-17": "dog"}
"""What each policy writes at the start: "the" is in every reference, "dog" in less, "bird" seldom.
"""


def references(size: int = 40) -> list[str]:
    """Mix the words, each reference in another way."""
    return [
        " ".join(
            ["the"] * (3 + place % 3) + ["dog"] * (1 + place % 2) + ["bird"] * (place % 4 == 0)
        )
        for place in range(size)
    ]


class Promotable:
    """prepare -> pretrain -> finetune@first-17, finetune@second-17 -> compare, all done."""

    def __init__(self, store: Store, root: Path, make_policy: Callable[..., Policy]) -> None:
        self.root = root
        self.model = store.experiment
        self._store = store
        self._make_policy = make_policy
        content = yaml.safe_load(PARAMS.read_text())
        content["compute"] = {"device": "cpu"}
        content["tracking"] = {"experiment": store.experiment}
        content["evaluators"] = {
            "first": {"kind": "rouge", "variant": "rouge1"},
            "second": {"kind": "format", "pattern": "dog.*"},
        }
        content["evaluate"] = {
            "strategies": {"greedy": {"kind": "greedy", "max_tokens": 5}},
            "metrics": {
                "rouge1": {"kind": "rouge", "variant": "rouge1"},
                "length": {"kind": "length", "tolerance": 0.1},
            },
        }
        content["controls"] = {"evaluators": [], "arms": []}
        content["promotion"] = {"metric": "rouge1", "resamples": 200}
        self.params: dict[str, Any] = content
        self.save_params()
        (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": _definitions()}))
        (root / ".dvc").mkdir()
        (root / ".dvc" / "config").write_text("[core]\n    no_scm = True\n")
        self.write_test_set(references())
        for name, word in WORDS.items():
            self.train(name, word)
        self.finish()

    @property
    def registry(self) -> Registry:
        """Open the project's registry."""
        return Registry(self._store, self.model)

    def save_params(self) -> None:
        """Write params.yaml."""
        (self.root / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))

    def ask(self, **settings: Any) -> None:
        """Change settings of promotion."""
        self.params["promotion"] |= settings
        self.save_params()

    def write_test_set(self, texts: list[str]) -> None:
        """Make the test split."""
        path = split_path(self.root / "out/data", "test")
        path.parent.mkdir(parents=True, exist_ok=True)
        with CorpusWriter(path) as writer:
            for place, text in enumerate(texts):
                writer.add(Example(id=str(place), source="the dog", references=(text,)))

    def train(self, name: str, word: str) -> None:
        """Make a policy that writes a word again and again."""
        policy = self._make_policy()
        token = policy.tokenizer.convert_tokens_to_ids(f"▁{word}")
        policy.model.final_logits_bias[0, token] = 100.0
        folder = self.root / "out/policies" / name
        shutil.rmtree(folder, ignore_errors=True)
        save_policy(policy, folder)

    def finish(self) -> None:
        """Compare the policies, and write dvc.lock for what is on disk."""
        params = check(self.root / "params.yaml")
        retest = Retest(params, "greedy", [*params.evaluate.metrics, *params.evaluators])
        evaluations = [retest(self.root / "out/policies" / name, name) for name in WORDS]
        folder = self.root / "out/comparison"
        folder.mkdir(parents=True, exist_ok=True)
        settings = CompareSettings(resamples=50, num_examples=0)
        comparison = compare([single(each) for each in evaluations], settings, seed=1)
        save_comparison(folder / "comparison.json", comparison)
        (folder / "report.md").write_text("# who wins\n")
        self.write_lock()

    def write_lock(self) -> None:
        """Write dvc.lock for what is on disk."""
        entries = {
            name: {
                "cmd": f"make {name}",
                "deps": [self._item(path) for path in deps],
                "outs": [self._item(path) for path in outs],
            }
            for name, (deps, outs) in STAGES.items()
        }
        content = {"schema": "2.0", "stages": entries}
        (self.root / "dvc.lock").write_text(yaml.safe_dump(content))

    def _item(self, name: str) -> dict[str, Any]:
        paths = sorted(path for path in (self.root / name).rglob("*") if path.is_file())
        digest = hashlib.md5()
        for path in paths:
            digest.update(str(path.relative_to(self.root / name)).encode() + path.read_bytes())
        size = sum(path.stat().st_size for path in paths)
        return {
            "path": name,
            "md5": f"{digest.hexdigest()}.dir",
            "size": size,
            "nfiles": len(paths),
        }


def _definitions() -> Mapping[str, Any]:
    stages: dict[str, Any] = {
        name: {"cmd": f"make {name}", "deps": deps, "outs": outs}
        for name, (deps, outs) in STAGES.items()
        if "@" not in name
    }
    finetune = {
        "matrix": {"evaluator": ["first", "second"], "seed": [17]},
        "cmd": "make finetune@${key}",
        "deps": ["out/data", "out/policies/mle"],
        "outs": ["out/policies/${key}"],
    }
    # DVC reads a stage below another's output only through that output's own folders.
    stages["compare"]["deps"] = [f"out/policies/{name}" for name in WORDS]
    return {**stages, "finetune": finetune}
