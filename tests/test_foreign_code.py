"""No line of goa opens what could run its author's code: pickles, unsafe YAML, code from a hub."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for room in ("goa", "pipelines") for path in (ROOT / room).rglob("*.py"))

PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
"""Modules that nobody imports."""
REFUSED = {
    **dict.fromkeys(["eval", "exec", "compile", "__import__"], "runs text as code"),
    **dict.fromkeys(["os.system", "os.popen"], "goes through a shell"),
    **dict.fromkeys(["datasets.load_dataset", "torch.hub.load"], "may run code from a hub"),
    **dict.fromkeys(
        ["torch.jit.load", "torch.package.PackageImporter", "pandas.read_pickle"], "opens code"
    ),
    **dict.fromkeys(
        ["mlflow.pyfunc.load_model", "mlflow.pyfunc.load_context"], "runs a model's code"
    ),
    **dict.fromkeys(
        [
            f"yaml.{name}"
            for name in ("load", "load_all", "full_load", "full_load_all", "unsafe_load")
        ],
        "is not safe_load",
    ),
}
NEEDED = {
    "torch.load": {"weights_only": True},
    "numpy.load": {"allow_pickle": False},
    "sentence_transformers.SentenceTransformer": {"trust_remote_code": False},
}
"""Calls, by the arguments that they must have."""
IMPORTERS = {"goa/evaluators/python.py"}
"""Where modules are imported by name: a function of the user's own, from the project's folder."""
PEFT = {"PeftModel", "PeftConfig"}
"""These take no such argument: their files are looked at before (tests/goa/policies)."""


def violations(source: str, file: str = "planted.py") -> Iterator[str]:
    """Name what a file's source does that none may do."""
    tree = ast.parse(source)
    known = dict(_imported(tree))
    for node in ast.walk(tree):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (f"{where}: imports {name}" for name in sorted(_modules(node) & PICKLES))
        elif isinstance(node, ast.Call):
            yield from (f"{where}: {problem}" for problem in _of_call(node, known, file))


def _modules(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return {each.name.partition(".")[0] for each in node.names}


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """List what names of a file stand for, by their dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield (
                    (each.asname or each.name.partition(".")[0]),
                    (each.name if each.asname else each.name.partition(".")[0]),
                )
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"


def _dotted(node: ast.AST, known: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, known)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _of_call(call: ast.Call, known: dict[str, str], file: str) -> Iterator[str]:
    name = _dotted(call.func, known)
    given = {
        each.arg: each.value.value if isinstance(each.value, ast.Constant) else "?"
        for each in call.keywords
    }
    needed = dict(NEEDED.get(name, {}))
    owner, _, method = name.rpartition(".")
    if method == "from_pretrained" and owner.rpartition(".")[2] not in PEFT:
        needed["trust_remote_code"] = False
        if not owner.endswith(("AutoConfig", "AutoTokenizer")):
            needed["use_safetensors"] = True
    for argument, value in needed.items():
        if given.get(argument) is not value:
            yield f"{name} without {argument}={value}"
    if name in REFUSED:
        yield f"{name} {REFUSED[name]}"
    if name == "importlib.import_module" and file not in IMPORTERS:
        yield f"{name} of a name that is not written here"
    if given.get("trust_remote_code", False) is not False:
        yield f"{name} with trust_remote_code"
    if given.get("shell", False) is not False:
        yield f"{name} goes through a shell"
    if name.endswith("snapshot_download") and "allow_patterns" not in given:
        yield f"{name} of files of every kind"


def test_no_line_runs_what_comes_from_outside() -> None:
    assert len(FILES) > 200
    found = [
        problem
        for path in FILES
        for problem in violations(
            path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
        )
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "from cloudpickle import loads",
        "def f():\n    import joblib.numpy_pickle as j",
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x', weights_only=False)",
        "from torch import load\nload('x')",
        "import torch\ntorch.load('x', weights_only=told)",
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "from yaml import unsafe_load as read\nread(text)",
        "AutoModel.from_pretrained('x', trust_remote_code=True, use_safetensors=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=False)",
        "AutoTokenizer.from_pretrained('x')",
        "build(name, trust_remote_code=told)",
        "from datasets import load_dataset\nload_dataset('x')",
        "eval(text)",
        "import importlib\nimportlib.import_module(name)",
        "import subprocess\nsubprocess.run(line, shell=True)",
        "from mlflow.pyfunc import load_model\nload_model('models:/x/1')",
        "from huggingface_hub import snapshot_download\nsnapshot_download('x')",
    ],
)
def test_a_planted_line_is_found(planted: str) -> None:
    assert [*violations(planted)]


@pytest.mark.parametrize(
    "harmless",
    [
        "import torch\ntorch.load('x', weights_only=True)",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import yaml\nyaml.safe_load(text)",
        "self.model.eval()",
        "re.compile('x')",
        "AutoTokenizer.from_pretrained('x', trust_remote_code=False)",
    ],
)
def test_a_harmless_line_is_not(harmless: str) -> None:
    assert [*violations(harmless)] == []
