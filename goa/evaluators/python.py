"""An evaluator of the user's own: a Python function.

In a file ``rewards.py`` in the project's folder::

    def brevity(samples, longest):
        return [1.0 if len(sample.candidate) <= longest else 0.0 for sample in samples]

and in params.yaml ``{kind: python, function: "rewards:brevity", options: {longest: 80}}``.

What the function gets: a list of :class:`goa.records.Sample` (``sample.candidate``, the text to
score; ``sample.example.source``; ``sample.example.references``, at least one), and its options as
keyword arguments. Texts are whatever the policy wrote: also empty, also without a word. The list is
never empty. Equal samples are in it once, unless ``reads_batch`` or ``seed`` is set.

What it returns: one number in [0, 1] a sample, higher is better, or None where it does not apply
(an evaluator that is trained on has to apply everywhere); in the order of the samples; as a list, a
tuple, or an array or tensor of one dimension. Or, to show a breakdown too,
``{"values": numbers, "parts": {name: numbers}}``, or :class:`goa.records.Scores`.

What it may be: anything that can be called. A class is called once with the options, at the first
batch, and what it makes is called with each batch alone: the place to load a model.

Equal arguments must have equal results. A function that draws at random is given ``seed`` in
params.yaml and takes a keyword argument ``seed``, a number below 2**64 that follows from that seed
and all texts of the batch.

A changed file of the function is another evaluator, by its signature. What that file imports is not
seen: change ``version`` when that changes. For DVC to see a change, the file has to be among the
deps of the stages that score; ``goa check`` says where it is not.
"""

import difflib
import hashlib
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self, cast

from pydantic import Field, JsonValue, field_validator, model_validator

from goa.errors import EvaluatorError, first_line, is_secret
from goa.evaluators.contract import Evaluator, describe
from goa.evaluators.recipe import Influence, Recipe
from goa.randomness import derive_seed
from goa.records import Sample, Scores


class PythonSettings(Recipe):
    """Which function scores, and what it is told."""

    kind: Literal["python"] = "python"
    function: str
    """``package.module:name``; the module is looked for in the project's folder first."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the function, or of the class."""
    seed: int | None = Field(None, ge=0, lt=2**32)
    """Of a function that draws; none named means that equal samples have equal scores."""
    reads_references: bool = True
    """Whether a score hangs on the references. Where it does not, say false: then candidates can be
    chosen by it where there are no references, and the function sees an empty one there."""
    reads_batch: bool = False
    """Whether a score hangs on the other samples of the batch."""
    version: str = ""
    """Of all that the function uses and that stands in other files: code, weights, word lists."""

    @field_validator("function")
    @classmethod
    def _names_a_function(cls, function: str) -> str:
        module, _, name = function.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), name)):
            raise ValueError("write package.module:name, such as rewards:brevity")
        if module.endswith(".py"):
            raise ValueError("write the module without .py, such as rewards:brevity")
        return function

    @model_validator(mode="after")
    def _seed_is_given_once(self) -> Self:
        if self.seed is not None and "seed" in self.options:
            raise ValueError("seed stands beside options and in them; leave it out of options")
        return self

    @model_validator(mode="after")
    def _options_have_no_secret(self) -> Self:
        for name in _keys(self.options):
            if is_secret(name):
                raise ValueError(
                    f"options.{name}: what is in params.yaml is shown in MLflow and reports; leave "
                    "it out, and let the function read an environment variable"
                )
        return self

    @property
    def module(self) -> str:
        """Name of the module."""
        return self.function.partition(":")[0]

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on, as the settings have it."""
        told: dict[Influence, bool] = {
            "references": self.reads_references,
            "batch": self.reads_batch,
            "chance": self.seed is not None,
        }
        return frozenset(influence for influence, hangs in told.items() if hangs)

    def build(self, name: str) -> "Python":
        """Build the evaluator.

        Raises:
            EvaluatorError: the module cannot be imported, or has no such function.
        """
        return Python(name, self)


class Python(Evaluator):
    """What a function of the user's own says."""

    def __init__(self, name: str, settings: PythonSettings) -> None:
        self.name = name
        self.reads_batch = settings.reads_batch
        self.draws = settings.seed is not None
        self._settings = settings
        module = self._import(settings.module)
        self._file = self._file_of(module)
        self._found = self._find(module, settings.function.partition(":")[2])
        source = hashlib.blake2b(self._file.read_bytes(), digest_size=8).hexdigest()
        recipe = describe(settings, "goa", without=["reads_references"])
        self.signature = f"{recipe}|source:{source}"

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score samples by one call of the function.

        Raises:
            EvaluatorError: it returns no numbers one a sample.
        """
        if not samples:
            return Scores(values=())
        function, draw = self._function, self._draw(samples)
        try:
            answer = function(list(samples), **draw)  # a list that is the function's own
        except Exception as error:
            error.add_note(self._place(error))
            raise
        return self._as_scores(answer)

    @cached_property
    def _function(self) -> Callable[..., Any]:
        """What is called with a batch; made when it is first needed, since it may load a model."""
        found, options = self._found, self._settings.options
        if not isinstance(found, type):
            return lambda samples, **seed: found(samples, **options, **seed)
        try:
            made = found(**options)
        except Exception as error:
            raise self._error(
                f"cannot be made: {type(error).__name__}: {first_line(error)} {self._place(error)}"
            ) from error
        if not callable(made):
            raise self._error("is a class without __call__(self, samples)")
        return cast("Callable[..., Any]", made)

    def _draw(self, samples: Sequence[Sample]) -> dict[str, int]:
        if self._settings.seed is None:
            return {}
        texts = [
            (sample.example.source, sample.example.references, sample.candidate)
            for sample in samples
        ]
        return {"seed": derive_seed(self._settings.seed, json.dumps(texts))}

    def _as_scores(self, answer: Any) -> Scores:
        values: Any = answer
        parts: Any = {}
        if isinstance(answer, Scores):
            values, parts = answer.values, answer.parts
        elif isinstance(answer, Mapping):
            if "values" not in answer or set(answer) - {"values", "parts"}:
                raise self._error(f'returned the keys {[*answer]}, not "values" and "parts"')
            values, parts = answer["values"], answer.get("parts", {})
        if not isinstance(parts, Mapping) or not all(isinstance(part, str) for part in parts):
            raise self._error('returned "parts" that are no mapping from names to numbers')
        return Scores(
            values=self._column(values, ""),
            parts={part: self._column(column, f" as {part}") for part, column in parts.items()},
        )

    def _column(self, column: Any, where: str) -> tuple[Any, ...]:
        """Make a tuple of a list, array or tensor; entries are the contract's to check."""
        shape = getattr(column, "shape", (0,))
        if len(shape) != 1:
            raise self._error(
                f"returned an array of shape {tuple(shape)}{where}; wanted is one dimension with "
                "one number a sample"
            )
        plain = column.tolist() if hasattr(column, "tolist") else column
        if not isinstance(plain, Sequence) or isinstance(plain, str | bytes):
            raise self._error(
                f"returned {type(column).__name__}{where}; wanted is a list, tuple, array or "
                "tensor with one number or None a sample"
            )
        return tuple(_plain(entry) for entry in plain)

    def _import(self, name: str) -> ModuleType:
        try:
            with _importable(Path.cwd()):
                return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise self._error(f"needs a module that is not there: {error}") from None
            raise self._error(
                f"no module {error.name!r} in {Path.cwd()} or among what is installed; write "
                f"{name.replace('.', '/')}.py there, or name another"
            ) from None
        except (Exception, SystemExit) as error:
            raise self._error(
                f"cannot be imported: {type(error).__name__}: {first_line(error)}"  # type: ignore[arg-type]
            ) from error

    def _file_of(self, module: ModuleType) -> Path:
        if getattr(module, "__file__", None) is None:
            raise self._error(f"{module.__name__} has no file whose changes could be seen")
        return Path(str(module.__file__))

    def _find(self, module: ModuleType, name: str) -> Any:
        found = getattr(module, name, None)
        if found is None:
            near = difflib.get_close_matches(name, vars(module), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise self._error(f"{self._file} has no {name!r}{hint}")
        if not callable(found):
            raise self._error(f"{name} in {self._file} is {type(found).__name__}, not a function")
        return found

    def _place(self, error: Exception) -> str:
        """Say where in the function's file it went wrong, if there."""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self._file)]
        return f"({self._file.name}, line {lines[-1]})" if lines else f"({self._file.name})"

    def _error(self, problem: str) -> EvaluatorError:
        return EvaluatorError(f"evaluator {self.name}: {self._settings.function}: {problem}")


def find_source(module: str, folder: Path) -> Path | None:
    """Find the file that importing a module from ``folder`` would read; nothing is imported."""
    path = [str(folder), *sys.path]
    *packages, last = module.split(".")
    for package in packages:
        spec = PathFinder.find_spec(package, path)
        path = list(spec.submodule_search_locations or ()) if spec else []
    spec = PathFinder.find_spec(last, path)
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def _keys(value: JsonValue) -> Iterator[str]:
    """Name the keys of strings, however deep they stand."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str):
                yield name
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let imports look into a folder first, as they do in what ``python -m`` starts."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(str(folder))


def _plain(entry: Any) -> Any:
    """Make a number of what an array or a tensor without dimensions holds."""
    return entry.tolist() if getattr(entry, "shape", None) == () else entry
