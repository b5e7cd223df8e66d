"""A function of the user's own, held to what it is promised and to what it promises."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goa.errors import EvaluatorError, SettingsError
from goa.evaluators.composite import CompositeSettings
from goa.evaluators.contract import Evaluator, checked_score, pair_samples
from goa.evaluators.python import PythonSettings, find_source
from goa.randomness import derive_seed
from goa.records import Example, Sample, Scores
from goa.settings import validate

EXAMPLE = Example(id="e7", source="s", references=("r", "q"))

Make = Callable[..., Evaluator]


def write(*candidates: str) -> list[Sample]:
    return pair_samples([EXAMPLE] * len(candidates), candidates)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Write a module into a project's folder, and build the evaluator that its ``f`` is."""
    monkeypatch.chdir(tmp_path)

    def build(code: str, function: str = "mine:f", **settings: Any) -> Evaluator:
        path = tmp_path.joinpath(*function.partition(":")[0].split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
            del sys.modules[name]
        # Two versions within a second: Python would take the first one's bytecode for the second's.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return PythonSettings(function=function, **settings).build("own")

    return build


@pytest.fixture(autouse=True)
def _forget_modules() -> Any:
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def give(make: Make, answer: str, **settings: Any) -> Evaluator:
    """Make an evaluator whose function returns an expression of ``samples``."""
    code = "import numpy, torch\nfrom goa.records import Scores\n"
    return make(f"{code}def f(samples): return {answer}\n", **settings)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "s3cr3t"},
        {"server": {"password": "s3cr3t"}},
        {"all": [{"auth_token": "s3cr3t"}]},
    ],
)
def test_a_secret_among_the_options_is_refused_unseen(options: dict[str, Any]) -> None:
    content = {"function": "mine:f", "options": options}
    with pytest.raises(
        SettingsError, match="let the function read an environment variable"
    ) as told:
        validate(PythonSettings, content, "here")
    assert "s3cr3t" not in str(told.value)


def test_options_that_only_sound_like_secrets_are_taken() -> None:
    options = {"end_token": "</s>", "max_tokens": 5, "password": 5}
    assert validate(PythonSettings, {"function": "mine:f", "options": options}, "here")


def test_a_function_scores_candidates_beside_sources_and_references(make) -> None:
    code = """
def f(samples, weight):
    return [
        weight * (sample.candidate in sample.example.references)
        + (1 - weight) * (sample.candidate == sample.example.source)
        for sample in samples
    ]
"""
    own = make(code, options={"weight": 0.75})
    assert checked_score(own, write("q", "s", "x", "q")).values == (0.75, 0.25, 0.0, 0.75)


@pytest.mark.parametrize(
    "answer",
    [
        "[0.25, None]",
        "(0.25, None)",
        "numpy.array([0.25, None])",
        "numpy.ma.array([0.25, 1.0], mask=[False, True])",
        "[numpy.float32(0.25), None]",
        "[torch.tensor(0.25, requires_grad=True), None]",
        "{'values': [0.25, None]}",
        "Scores(values=(0.25, None))",
    ],
)
def test_whatever_holds_the_numbers_they_arrive(make, answer) -> None:
    values = checked_score(give(make, answer), write("a", "b")).values
    assert values == (0.25, None)
    assert all(type(value) in (float, type(None)) for value in values)


@pytest.mark.parametrize(
    "answer",
    [
        "numpy.array([0.25, 1], dtype='float16')",
        "torch.tensor([0.25, 1.0], dtype=torch.bfloat16, requires_grad=True)",
        "[numpy.float64(0.25), True]",
    ],
)
def test_arrays_and_tensors_of_any_precision_become_floats(make, answer) -> None:
    assert checked_score(give(make, answer), write("a", "b")).values == (0.25, 1.0)


@pytest.mark.parametrize("kind", ["dict(values=%s, parts=%s)", "Scores(values=%s, parts=%s)"])
def test_a_breakdown_arrives_by_name(make, kind) -> None:
    own = give(make, kind % ("(0.5, 1.0)", "{'tone': (None, 0.25)}"))
    scores = checked_score(own, write("a", "b"))
    assert scores == Scores(values=(0.5, 1.0), parts={"tone": (None, 0.25)})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("None", "mine:f: returned NoneType; wanted is a list"),
        ("'01'", "mine:f: returned str"),
        ("{0.1, 0.2}", "mine:f: returned set"),
        ("(0.5 for sample in samples)", "mine:f: returned generator"),
        ("0.5", "mine:f: returned float"),
        ("numpy.zeros((2, 1))", r"returned an array of shape \(2, 1\); wanted is one dimension"),
        ("torch.tensor(0.5)", r"returned an array of shape \(\)"),
        ("{'value': [0.5, 0.5]}", r"returned the keys \['value'\], not \"values\" and \"parts\""),
        ("{'values': [0.5, 0.5], 'x': 1}", r"returned the keys \['values', 'x'\]"),
        ("{'values': [0.5, 0.5], 'parts': [1]}", 'parts" that are no mapping from names'),
        ("{'values': [0.5, 0.5], 'parts': ['tone']}", 'parts" that are no mapping from names'),
        ("{'values': [0, 0], 'parts': {'tone': 1}}", "returned int as tone"),
        ("[0.5]", "gave 1 scores for 2 samples"),
        ("[0.5, 1.5]", "gave 1.5, which is not in .*candidate 'b'"),
        ("[0.5, float('nan')]", "gave nan, which is not in .*candidate 'b'"),
        ("[0.5, [0.5]]", r"gave \[0.5\], no number, to .*candidate 'b'"),
    ],
)
def test_what_is_returned_wrongly_is_told(make, answer, message) -> None:
    with pytest.raises(EvaluatorError, match=f"^evaluator own.*{message}"):
        checked_score(give(make, answer), write("a", "b"))


def test_what_fails_is_told_with_the_sample_and_the_line(make) -> None:
    code = "def f(samples):\n    return [1 / len(sample.candidate) for sample in samples]\n"
    message = r"own: example 'e7', candidate '': ZeroDivisionError: .* \(mine.py, line 2\)$"
    with pytest.raises(EvaluatorError, match=message):
        checked_score(make(code), write("a", "", "b"))


def test_a_function_never_sees_an_empty_batch(make) -> None:
    own = make("def f(samples):\n    return [len(samples[0].candidate) / 9]\n")
    assert own.score([]).values == ()


def test_what_a_function_does_to_its_list_is_its_own_affair(make) -> None:
    own = make("def f(samples):\n    return [float(bool(samples.pop())) for _ in [*samples]]\n")
    batch = write("a", "b")
    assert own.score(batch).values == (1.0, 1.0)
    assert len(batch) == 2


CLASS = """
made = []
class f:
    def __init__(self, value):
        made.append(value)
        self.value = value
    def __call__(self, samples):
        return [self.value] * len(samples)
"""


def test_a_class_is_made_once_with_the_options_when_it_is_first_needed(make) -> None:
    own = make(CLASS, options={"value": 0.5})
    made = sys.modules["mine"].made
    assert made == []
    assert own.score(write("a")).values == (0.5,)
    assert own.score(write("a", "b")).values == (0.5, 0.5)
    assert made == [0.5]


def test_a_class_that_cannot_be_made_is_told_with_the_line(make) -> None:
    code = "class f:\n    def __init__(self):\n        raise OSError('no weights')\n"
    with pytest.raises(EvaluatorError, match=r"made: OSError: no weights \(mine.py, line 3\)$"):
        checked_score(make(code), write("a"))


def test_a_class_whose_instances_cannot_be_called_is_refused(make) -> None:
    with pytest.raises(EvaluatorError, match="without __call__"):
        checked_score(make("class f: pass\n"), write("a"))


DRAWS = """
import random
def f(samples, seed):
    draw = random.Random(seed)
    return [draw.random() for sample in samples]
"""


def test_a_function_that_draws_follows_from_seed_and_texts(make) -> None:
    own = make(DRAWS, seed=3)
    seed = derive_seed(3, json.dumps([["s", ["r", "q"], "a"], ["s", ["r", "q"], "a"]]))
    draw = random.Random(seed)
    # Equal samples are both seen, and draw each for itself.
    assert checked_score(own, write("a", "a")).values == (draw.random(), draw.random())


def test_another_seed_or_another_text_draws_otherwise(make) -> None:
    found = {
        checked_score(make(DRAWS, seed=seed), write(text)).values
        for seed, text in [(3, "a"), (4, "a"), (3, "b"), (3, "\ud800"), (3, "a")]
    }
    assert len(found) == 4


def test_what_reads_the_batch_or_draws_says_so(make) -> None:
    code = "def f(samples, seed=0): return [1 / len(samples)] * len(samples)"
    plain, reads, draws = make(code), make(code, reads_batch=True), make(code, seed=0)
    assert [(own.reads_batch, own.draws) for own in (plain, reads, draws)] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert checked_score(reads, write("a", "a")).values == (0.5, 0.5)


def test_a_composite_reads_the_batch_and_draws_where_a_part_does(make) -> None:
    make("def f(samples, seed=0): return [1 / len(samples)] * len(samples)")
    for setting, expected in [({}, (False, False)), ({"reads_batch": True}, (True, False))]:
        part = {"evaluator": {"kind": "python", "function": "mine:f", **setting}}
        composite = validate(CompositeSettings, {"parts": {"own": part}}, "here").build("both")
        assert (composite.reads_batch, composite.draws) == expected
    assert checked_score(composite, write("a", "a")).values == (0.5, 0.5)


def test_the_signature_changes_with_settings_version_and_file(make) -> None:
    code = "def f(samples, **options): return [0.5] * len(samples)\n"
    signatures = [
        make(code).signature,
        make(code, options={"x": 1}).signature,
        make(code, version="2").signature,
        make(code, seed=1).signature,
        make(code + "# changed").signature,
    ]
    assert len(set(signatures)) == 5
    assert make(code).signature == signatures[0]
    assert signatures[0].startswith("python|function:mine:f|")


def test_a_module_may_lie_in_a_package_of_the_project(make) -> None:
    own = make("def f(samples): return [0.5] * len(samples)", "mine.inner.rewards:f")
    assert checked_score(own, write("a")).values == (0.5,)


def test_the_path_of_imports_is_left_as_it_was(make) -> None:
    before = [*sys.path]
    make("def f(samples): return [0.5] * len(samples)")
    with pytest.raises(EvaluatorError):
        make("raise ValueError")
    assert sys.path == before


def test_the_project_comes_before_installed_packages(make, tmp_path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text("def f(samples): return 'the wrong one'")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    own = make("def f(samples): return [0.5] * len(samples)")
    assert checked_score(own, write("a")).values == (0.5,)


@pytest.mark.parametrize(
    ("code", "function", "message"),
    [
        ("f = 1", "mine:f", r".*f in .*mine\.py is int, not a function"),
        ("def score(): ...", "mine:scor", r".*mine\.py has no 'scor'; did you mean score\?"),
        ("def score(): ...", "mine:x", r".*mine\.py has no 'x'$"),
        ("import nosuch", "mine:f", "needs a module that is not there: No module named 'nosuch'"),
        ("1 / 0", "mine:f", "cannot be imported: ZeroDivisionError: division by zero"),
        ("def f(:", "mine:f", r"cannot be imported: SyntaxError: .*\(mine\.py, line 1\)"),
        ("raise SystemExit(3)", "mine:f", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_used_is_told(make, code, function, message) -> None:
    with pytest.raises(EvaluatorError, match=f"^evaluator own: {function}: {message}"):
        make(code, function)


@pytest.mark.parametrize("module", ["nosuch", "nosuch.inner", "json.nosuch"])
def test_a_missing_module_is_told_with_where_to_write_it(module, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    where = module.replace(".", "/")
    with pytest.raises(EvaluatorError, match=f"no module '.*nosuch' in {tmp_path} .*{where}.py"):
        PythonSettings(function=f"{module}:f").build("own")


def test_a_module_without_a_file_is_refused() -> None:
    with pytest.raises(EvaluatorError, match="sys has no file whose changes could be seen"):
        PythonSettings(function="sys:exit").build("own")


@pytest.mark.parametrize("function", ["mine", "mine:", ":f", "mine.py:f", "my-file:f", "a:b:c"])
def test_a_function_that_is_written_wrongly_is_refused_with_an_example(function) -> None:
    with pytest.raises(SettingsError, match=r"function: write .* such as rewards:brevity"):
        validate(PythonSettings, {"kind": "python", "function": function}, "here")


def test_a_seed_in_two_places_is_refused() -> None:
    content = {"kind": "python", "function": "mine:f", "seed": 1, "options": {"seed": 2}}
    with pytest.raises(SettingsError, match="leave it out of options"):
        validate(PythonSettings, content, "here")


def test_checking_settings_imports_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("1 / 0")
    assert PythonSettings(function="mine:f").module == "mine"
    assert find_source("mine", tmp_path) == tmp_path / "mine.py"
    assert "mine" not in sys.modules


def test_a_modules_file_is_where_an_import_finds_it(tmp_path) -> None:
    inner = tmp_path / "package" / "inner"
    inner.mkdir(parents=True)
    for path in (inner / "__init__.py", inner / "rewards.py"):
        path.write_text("")
    assert find_source("package.inner.rewards", tmp_path) == inner / "rewards.py"
    assert find_source("package.inner", tmp_path) == inner / "__init__.py"
    assert find_source("numpy", tmp_path) == Path(str(np.__file__))
    assert find_source("torch.nn", tmp_path) == Path(str(torch.nn.__file__))
    for missing in ("nosuch", "package.nosuch.rewards", "package"):
        assert find_source(missing, tmp_path) is None
