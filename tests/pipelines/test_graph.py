"""What DVC says of a project, against DVC's own command line."""

import contextlib
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from dvc.dvcfile import load_file
from dvc.repo import Repo

from goa.errors import PipelineError
from pipelines.graph import (
    lock_entries,
    read_graph,
    stage_definition,
    stage_definitions,
    stale_stages,
)

ORDER = ["prepare", "train@a", "train@b", "compare"]


def test_edges_are_those_that_dvc_draws(git_toy) -> None:
    drawn = set(re.findall(r'"(.+)" -> "(.+)";', git_toy.dvc("dag", "--dot")))
    graph = read_graph(git_toy.root)
    found = {(parent, name) for name, parents in graph.parents.items() for parent in parents}
    assert (
        found
        == drawn
        == {
            ("prepare", "train@a"),
            ("prepare", "train@b"),
            ("train@a", "compare"),
            ("train@b", "compare"),
        }
    )


def test_stages_are_those_that_dvc_lists_each_after_what_it_needs(toy) -> None:
    listed = [line.split()[0] for line in toy.dvc("stage", "list").splitlines()]
    graph = read_graph(toy.root)
    assert sorted(graph.stages) == sorted(listed)
    assert list(graph.stages) == ORDER


def test_names_do_not_depend_on_the_working_directory(toy, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(read_graph(Path("toy")).stages) == ORDER
    assert list(stale_stages(Path("toy"))) == ORDER


def test_a_definition_is_resolved_as_dvc_does(done_toy) -> None:
    stage = stage_definition("train@a", done_toy.root)
    entry = lock_entries(done_toy.root)["train@a"]
    assert stage.cmd == entry["cmd"]
    assert stage.params == entry["params"]
    assert [str(path) for path in stage.dependencies] == [dep["path"] for dep in entry["deps"]]
    assert [str(path) for path in stage.outputs] == [out["path"] for out in entry["outs"]]


def test_a_missing_parameter_is_left_out_of_the_definition(toy) -> None:
    path = toy.root / "params.yaml"
    path.write_text(path.read_text().replace("seed: 1\n", ""))
    assert stage_definition("prepare", toy.root).params == {"params.yaml": {}}


def test_a_definition_can_be_read_while_dvc_writes_its_lock_file(done_toy) -> None:
    whole = stage_definition("prepare", done_toy.root)
    with Repo(str(done_toy.root)) as repo, repo.lock:
        (done_toy.root / "dvc.lock").write_text("")
        assert stage_definition("prepare", done_toy.root) == whole
        assert stage_definitions(done_toy.root)["prepare"] == whole


def test_all_definitions_are_those_of_the_graph(toy) -> None:
    assert stage_definitions(toy.root) == dict(read_graph(toy.root).stages)


@pytest.mark.parametrize("read", [read_graph, lock_entries, stale_stages])
def test_what_reads_the_lock_file_waits_until_dvc_has_written_it(done_toy, read) -> None:
    path = done_toy.root / "dvc.lock"
    written = path.read_text()
    whole = read(done_toy.root)
    with ThreadPoolExecutor() as pool:
        with Repo(str(done_toy.root)) as repo, repo.lock:
            path.write_text("")
            reading = pool.submit(read, done_toy.root)
            with pytest.raises(TimeoutError):
                reading.result(timeout=1)
            path.write_text(written)
        assert reading.result() == whole


def test_a_dependency_outside_the_project_stays_absolute(toy, tmp_path) -> None:
    outside = tmp_path / "raw.txt"
    outside.write_text("raw")
    path = toy.root / "dvc.yaml"
    path.write_text(path.read_text().replace("- raw.txt", f"- {outside}"))
    assert stage_definition("prepare", toy.root).dependencies == (outside,)


def test_everything_is_stale_before_the_first_run(toy) -> None:
    assert stale_stages(toy.root) == dict.fromkeys(ORDER, ("never run",))


def test_what_dvc_repro_would_not_run_is_left_out(toy) -> None:
    inner = toy.root / "inner"
    inner.mkdir()
    (inner / "dvc.yaml").write_text("stages: {other: {cmd: 'true', outs: [x]}}\n")
    (inner / "notes.txt").write_text("tracked, but no stage reads it")
    toy.dvc("add", "--quiet", "inner/notes.txt")
    assert list(read_graph(toy.root).stages) == ORDER
    assert list(stale_stages(toy.root)) == ORDER


def test_nothing_is_stale_after_repro(done_toy) -> None:
    assert stale_stages(done_toy.root) == {}


def test_a_changed_parameter_makes_its_stage_stale_and_says_so(done_toy) -> None:
    done_toy.change("evaluators.b", {"kind": "rule"})
    assert stale_stages(done_toy.root) == {"train@b": ("params.yaml: evaluators.b modified",)}


def test_a_lost_output_and_a_changed_command_are_reasons_too(done_toy) -> None:
    (done_toy.root / "out" / "comparison").unlink()
    path = done_toy.root / "dvc.yaml"
    path.write_text(path.read_text().replace("work.py prepare", "./work.py prepare"))
    assert stale_stages(done_toy.root) == {
        "prepare": ("changed command",),
        "compare": ("out/comparison deleted",),
    }


def test_a_file_that_dvc_tracks_is_a_stage_without_a_command(toy) -> None:
    toy.dvc("add", "--quiet", "raw.txt")
    graph = read_graph(toy.root)
    assert graph.parents["prepare"] == {"raw.txt.dvc"}
    assert graph.stages["raw.txt.dvc"].cmd == ""


def test_a_target_brings_what_it_needs(toy) -> None:
    assert read_graph(toy.root).select(["train@b"]) == ["prepare", "train@b"]


def test_a_group_stands_for_its_stages(toy) -> None:
    assert read_graph(toy.root).select(["train"]) == ["prepare", "train@a", "train@b"]


def test_an_unknown_target_is_refused_with_the_nearest_name(toy) -> None:
    with pytest.raises(PipelineError, match=r"no stage 'comapre'; did you mean compare\?"):
        read_graph(toy.root).select(["comapre"])


def test_downstream_reaches_all_that_depends(toy) -> None:
    assert read_graph(toy.root).downstream(["train@a"]) == {"train@a", "compare"}


def test_a_folder_without_a_pipeline_is_refused(tmp_path) -> None:
    with pytest.raises(PipelineError, match=r"no dvc\.yaml here"):
        read_graph(tmp_path)


def test_a_folder_without_dvc_is_refused_with_the_remedy(tmp_path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(PipelineError, match="goa init"):
        read_graph(tmp_path)


def test_a_broken_dvc_yaml_is_one_message(toy) -> None:
    (toy.root / "dvc.yaml").write_text("stages: [")
    with pytest.raises(PipelineError, match=r"dvc\.yaml"):
        read_graph(toy.root)


def test_a_lock_file_without_a_mapping_of_stages_is_refused(done_toy) -> None:
    (done_toy.root / "dvc.lock").write_text("stages: [prepare]\n")
    with pytest.raises(PipelineError, match=r"dvc\.lock: stages are no mapping; restore it"):
        lock_entries(done_toy.root)


def test_an_unknown_stage_has_no_definition(toy) -> None:
    with pytest.raises(PipelineError, match="nosuch"):
        stage_definition("nosuch", toy.root)


def test_importing_the_graph_does_not_import_dvc() -> None:
    code = "import sys, pipelines.graph; sys.exit(any(m.startswith('dvc') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_of_threads_that_ask_at_once_one_is_with_dvc_at_a_time(
    toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, met = threading.Barrier(2), []

    def load(*arguments: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=1)  # it is longer than the other one needs to come here, too
            met.append(threading.get_ident())
        return load_file(*arguments)

    monkeypatch.setattr("dvc.dvcfile.load_file", load)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(stage_definition, ["train@a", "train@b"], [toy.root] * 2))
    assert not met
    assert both.broken
    assert [each.name for each in found] == ["train@a", "train@b"]
