"""Promotion: every answer it gives, on SQLite and on PostgreSQL."""

import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from goa.errors import PipelineError, SettingsError, TrackingError
from goa.policies.policy import Policy
from goa.tracking.store import Store
from pipelines import promote as module
from pipelines.cli import app
from pipelines.promote import Consent, promote
from pipelines.promotion import Outcome, Promotion
from pipelines.publish import PublishSummary
from pipelines.rollback import roll_back
from tests.pipelines.promotable import Promotable, references


@pytest.fixture
def project(
    any_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_policy: Callable[..., Policy],
) -> Promotable:
    """Stand in a project that was never published; by rouge1, first > second > mle."""
    monkeypatch.chdir(tmp_path)
    return Promotable(any_store, tmp_path, make_policy)


def put_forward(name: str | None = None, **consent: bool) -> Promotion:
    return promote(name, Consent(**consent), lambda _: None)


def goa(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def champion(project: Promotable) -> int | None:
    found = project.registry.champion()
    return None if found is None else found.number


def aliases(project: Promotable) -> dict[str, int]:
    found = project.registry._find().aliases
    return {name: int(number) for name, number in found.items()}


def tags(project: Promotable, number: int) -> dict[str, str]:
    versions = {version.number: version for version in project.registry.versions()}
    return dict(versions[number].tags)


def test_the_first_version_is_champion_when_it_beats_the_pretrained_policy(
    project: Promotable,
) -> None:
    promotion = put_forward()

    assert (promotion.outcome, promotion.version) == (Outcome.PROMOTED, 1)
    assert (promotion.policy, promotion.compared_with) == ("first-17", "mle")
    assert aliases(project) == {"champion": 1}


def test_the_first_version_is_challenger_when_it_does_not(project: Promotable) -> None:
    project.train("first-17", "bird")
    project.train("second-17", "red")
    project.finish()
    promotion = put_forward()

    assert promotion.outcome is Outcome.CHALLENGER
    assert "first-17 is not better than mle" in promotion.reason
    assert aliases(project) == {"challenger": 1}


@pytest.mark.long
def test_the_pretrained_policy_is_the_first_champion_where_it_is_named(
    project: Promotable,
) -> None:
    promotion = put_forward("mle")

    assert (promotion.outcome, promotion.compared_with) == (Outcome.PROMOTED, "nothing")
    assert put_forward().compared_with == "version 1"
    assert aliases(project) == {"champion": 2}


def test_a_version_says_what_it_is_and_how_it_was_judged(project: Promotable) -> None:
    project.ask(guards=["length"])
    put_forward()

    found = tags(project, 1)
    assert found["goa.policy"] == "first-17"
    assert found["goa.compared_with"] == "mle"
    assert "significantly better than mle: rouge1" in found["goa.reason"]
    assert {"goa.metric.rouge1", "goa.metric.length"} <= found.keys()
    assert "variant:rouge1" in found["goa.scorer.rouge1"] or "rouge1" in found["goa.scorer.rouge1"]
    assert found["goa.report"].endswith("/comparison/report.md")
    assert found["goa.data_digest"].endswith(".dir")
    assert len(found["goa.test_digest"]) == 64
    assert json.loads(found["goa.judgement"])["rival"] == "mle"
    assert "by " in found["goa.promoted"]
    version = project.registry._client.get_model_version(project.model, "1")
    assert "| rouge1 |" in version.description
    assert version.source.startswith("models:/m-")


def test_a_verdict_is_written_down(project: Promotable) -> None:
    promotion = put_forward()

    (path,) = Path(".goa/promotions").iterdir()
    told = json.loads(path.read_text())
    assert (told["outcome"], told["reason"]) == ("promoted", promotion.reason)
    assert told["judgement"]["metric"]["p_value"] < 0.05


def test_a_better_version_takes_the_champions_place(project: Promotable) -> None:
    put_forward("second")
    promotion = put_forward("first")

    assert (promotion.outcome, promotion.compared_with) == (Outcome.PROMOTED, "version 1")
    assert aliases(project) == {"champion": 2}


def test_a_version_that_is_not_better_is_challenger_and_says_why(project: Promotable) -> None:
    put_forward("first")
    promotion = put_forward("second")

    assert (promotion.outcome, promotion.version) == (Outcome.CHALLENGER, 2)
    assert aliases(project) == {"champion": 1, "challenger": 2}
    assert "second-17 is not better than version 1" in tags(project, 2)["goa.reason"]


def test_a_guard_that_becomes_worse_keeps_a_better_version_out(project: Promotable) -> None:
    project.ask(guards=["second"])  # the form that "dog dog" has
    put_forward("second")
    promotion = put_forward("first")

    assert promotion.outcome is Outcome.CHALLENGER
    assert "but significantly worse: second 0.00 against 100.00" in promotion.reason
    assert champion(project) == 1


def test_the_champion_again_registers_nothing_new(project: Promotable) -> None:
    put_forward()
    promotion = put_forward()

    assert (promotion.outcome, promotion.version) == (Outcome.PRESENT, 1)
    assert [version.number for version in project.registry.versions()] == [1]


@pytest.mark.long
def test_equal_weights_from_another_stage_are_the_same_version(project: Promotable) -> None:
    put_forward("first")
    shutil.rmtree("out/policies/second-17")
    shutil.copytree("out/policies/first-17", "out/policies/second-17")
    project.finish()

    assert put_forward("second").outcome is Outcome.PRESENT
    assert len(project.registry.versions()) == 1


@pytest.mark.long
def test_the_challenger_again_is_judged_again_as_the_same_version(project: Promotable) -> None:
    put_forward("first")
    put_forward("second")
    roll_back_to_nothing = pytest.raises(TrackingError, match="was champion before")
    with roll_back_to_nothing:
        roll_back()
    project.ask(metric="second")
    promotion = put_forward("second")

    assert (promotion.outcome, promotion.version) == (Outcome.PROMOTED, 2)
    assert aliases(project) == {"champion": 2}


def test_the_champion_is_scored_afresh_whatever_its_old_numbers_say(
    project: Promotable,
) -> None:
    put_forward("second")
    honest = tags(project, 1)["goa.metric.rouge1"]
    run = project.registry.published(tags(project, 1)["goa.stage_key"])
    assert run is not None
    project.registry.tag(1, {"goa.metric.rouge1": "1.0", "goa.judgement": "{}"})
    project.registry._client.log_metric(run.run_id, "greedy.rouge1", 1.0)
    promotion = put_forward("first")

    assert promotion.outcome is Outcome.PROMOTED
    assert promotion.judgement is not None
    assert str(promotion.judgement.metric.rival_score) == honest


@pytest.mark.long
def test_the_candidate_is_scored_afresh_too(project: Promotable) -> None:
    put_forward("first")
    path = Path("out/comparison/comparison.json")
    text = path.read_text()
    changed = text.replace('"score": 0.', '"score": 1.').replace('"delta": -0.', '"delta": 0.')
    path.write_text(changed[: len(text)])

    assert put_forward("second").outcome is Outcome.CHALLENGER


def test_another_test_set_is_refused_and_the_champion_stays(project: Promotable) -> None:
    put_forward("second")
    project.write_test_set(references(30))
    project.finish()
    promotion = put_forward("first")

    assert promotion.outcome is Outcome.OTHER_TEST_SET
    assert "first-17 is significantly better than version 1" in promotion.reason
    assert "--new-test-set" in promotion.reason
    assert aliases(project) == {"champion": 1, "challenger": 2}


@pytest.mark.long
def test_a_person_may_let_a_new_test_set_decide(project: Promotable) -> None:
    put_forward("second")
    project.write_test_set(references(30))
    project.finish()
    promotion = put_forward("first", new_test_set=True)

    assert promotion.outcome is Outcome.PROMOTED
    assert promotion.judgement is not None
    assert promotion.judgement.num_examples == 30
    assert tags(project, 2)["goa.test_digest"] == promotion.test_digest


def test_a_champion_that_stood_a_new_test_set_is_judged_by_it_from_then_on(
    project: Promotable,
) -> None:
    put_forward("first")
    project.write_test_set(references(30))
    project.finish()

    for _ in range(2):  # asking is not agreeing
        assert put_forward("second").outcome is Outcome.OTHER_TEST_SET
    assert put_forward("second", new_test_set=True).outcome is Outcome.CHALLENGER
    assert put_forward("second").outcome is Outcome.CHALLENGER


@pytest.mark.long
def test_a_train_split_that_changed_is_no_other_test_set(project: Promotable) -> None:
    put_forward("second")
    Path("out/data/train.note").write_text("more")
    project.finish()

    assert put_forward("first").outcome is Outcome.PROMOTED


@pytest.mark.long
def test_another_scorer_is_told_and_scores_both(project: Promotable) -> None:
    put_forward("second")
    project.registry.tag(1, {"goa.scorer.rouge1": "an older one"})
    promotion = put_forward("first")

    assert promotion.outcome is Outcome.PROMOTED
    assert "rouge1 scores otherwise than for version 1; both were scored by" in promotion.reason


@pytest.mark.long
def test_without_the_alias_the_pretrained_policy_stands_in_for_the_champion(
    project: Promotable,
) -> None:
    put_forward("second")
    project.registry._client.delete_registered_model_alias(project.model, "champion")

    assert put_forward("first").compared_with == "mle"
    assert champion(project) == 2


@pytest.mark.long
def test_a_champion_that_was_deleted_is_no_champion(project: Promotable) -> None:
    put_forward("second")
    project.registry._client.delete_model_version(project.model, "1")

    assert put_forward("first").compared_with == "mle"


def test_a_champion_whose_files_are_gone_is_an_error_that_changes_nothing(
    project: Promotable,
) -> None:
    put_forward("second")
    model = project.registry.champion().model_id  # type: ignore[union-attr]
    location = project.registry._client.get_logged_model(model).artifact_location
    shutil.rmtree(location.removeprefix("file://"))

    with pytest.raises(PipelineError, match=r"version 1 of 'test-.*', the champion, cannot"):
        put_forward("first")
    assert aliases(project) == {"champion": 1}


def test_rolling_back_names_who_and_when(project: Promotable) -> None:
    put_forward("second")
    put_forward("first")

    assert roll_back() == (project.model, 2, 1)
    assert champion(project) == 1
    assert "to version 1" in tags(project, 2)["goa.rolled_back"]
    assert "from version 2" in tags(project, 1)["goa.returned"]


def test_what_was_rolled_back_is_promoted_again_only_where_told(project: Promotable) -> None:
    put_forward("second")
    put_forward("first")
    roll_back()

    promotion = put_forward("first")
    assert (promotion.outcome, promotion.version) == (Outcome.ROLLED_BACK, 2)
    assert champion(project) == 1
    assert put_forward("first", again=True).outcome is Outcome.PROMOTED
    assert champion(project) == 2
    assert tags(project, 2)["goa.rolled_back"] == ""


def test_who_finds_another_champion_than_the_one_judged_against_judges_again(
    project: Promotable, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_forward("mle")
    judge = module.judge
    rivals: list[str] = []

    def slow(candidate: Any, rival: Any, rule: Any) -> Any:
        rivals.append(rival.policy)
        if len(rivals) == 1:
            put_forward("first")  # somebody else
        return judge(candidate, rival, rule)

    monkeypatch.setattr(module, "judge", slow)
    promotion = put_forward("second")

    assert rivals == ["version 1", "version 1", "version 2"]
    assert (promotion.outcome, promotion.compared_with) == (Outcome.CHALLENGER, "version 2")
    assert champion(project) == 2


@pytest.mark.long
def test_whoever_never_finds_the_same_champion_gives_up(
    project: Promotable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mle", "second-17"):
        put_forward(name)
    judge, numbers = module.judge, iter([1, 2, 1, 2])

    def slow(candidate: Any, rival: Any, rule: Any) -> Any:
        with project.registry.turn():
            project.registry.crown(next(numbers))
        return judge(candidate, rival, rule)

    monkeypatch.setattr(module, "judge", slow)
    with pytest.raises(PipelineError, match="changed 3 times"):
        put_forward("first")
    assert len(project.registry.versions()) == 2


def test_two_promotions_at_once_end_as_if_one_had_been_first(project: Promotable) -> None:
    put_forward("mle")
    codes = _promote_at_once(project, "first", "second")

    # Whoever was second was held against the first, and so "the" wins whatever the order.
    found = {version.tags["goa.policy"]: version for version in project.registry.versions()}
    assert champion(project) == found["first-17"].number
    assert codes[0] == 0
    if codes[1] == 1:
        first = found["first-17"].number
        assert found["second-17"].tags["goa.compared_with"] == f"version {first}"
    else:
        second = found["second-17"].number
        assert found["first-17"].tags["goa.compared_with"] == f"version {second}"


@pytest.mark.long
def test_two_promotions_of_one_policy_at_once_make_one_version(project: Promotable) -> None:
    put_forward("mle")
    codes = _promote_at_once(project, "first", "first")

    assert codes == [0, 0]
    assert [version.tags["goa.policy"] for version in project.registry.versions()] == [
        "mle",
        "first-17",
    ]


@pytest.mark.long
def test_the_best_of_several_has_to_be_better_by_more(project: Promotable) -> None:
    promotion = put_forward()

    assert promotion.judgement is not None
    assert promotion.judgement.metric.p_value == pytest.approx(2 / 201)
    assert "corrected for 2 policies" in promotion.reason


def test_the_command_tells_and_its_exit_code_too(project: Promotable) -> None:
    codes = [goa("promote", "--policy", name).exit_code for name in ("second", "first", "first")]
    assert codes == [0, 0, 0]
    assert goa("rollback").exit_code == 0
    again = goa("promote", "--policy", "first")
    assert (again.exit_code, "rolled back" in again.stdout) == (1, True)
    assert goa("rollback").exit_code == 2
    told = json.loads(goa("promote", "--policy", "second", "--json").stdout)
    assert (told["outcome"], told["version"]) == ("champion already", 1)
    project.write_test_set(references(30))
    project.finish()
    assert goa("promote", "--policy", "mle").exit_code == 3
    assert goa("promote", "--policy", "nobody").exit_code == 2


def test_settings_that_name_no_measure_are_refused_before_anything_runs(
    project: Promotable,
) -> None:
    project.ask(guards=["lenght"])
    with pytest.raises(SettingsError, match="promotion.guards: 'lenght' is none of rouge1"):
        put_forward()
    project.ask(guards=[], strategy="beam")
    with pytest.raises(SettingsError, match="promotion.strategy: 'beam' is none of greedy"):
        put_forward()


def test_a_policy_that_is_not_what_the_lock_says_is_refused(project: Promotable) -> None:
    put_forward("second")  # records the others too: their files are not asked for any more
    Path("out/policies/first-17/model.safetensors").unlink()
    with pytest.raises(
        PipelineError, match="first-17: out/policies/first-17 is not what dvc.lock says"
    ):
        put_forward("first")


def test_an_adapter_alone_is_refused(project: Promotable) -> None:
    Path("out/policies/first-17/adapter_config.json").write_text("{}")
    project.write_lock()
    with pytest.raises(PipelineError, match="set finetune.adapter.save to merged"):
        put_forward("first")


def test_a_policy_that_was_never_made_is_refused(project: Promotable) -> None:
    project.params["evaluators"]["third"] = {"kind": "bleu"}
    project.save_params()
    with pytest.raises(
        PipelineError, match="out/policies/third-17: never made; run `goa run`"
    ) as told:
        put_forward("third")
    assert "//" not in str(told.value)


def test_a_policy_that_could_not_be_recorded_says_why(
    project: Promotable, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = PublishSummary(
        uri="sqlite:///x",
        pipeline_id="1",
        page=None,
        added=(),
        known=(),
        skipped={"finetune@first-17": "out/policies/first-17 is not what dvc.lock says"},
    )
    monkeypatch.setattr("pipelines.contender.publish", lambda _: summary)
    with pytest.raises(
        PipelineError,
        match="first-17: not recorded in sqlite:///x: finetune@first-17: out/policies/first-17 is",
    ):
        put_forward("first")


@pytest.mark.long
def test_a_comparison_of_other_policies_does_not_choose(project: Promotable) -> None:
    project.params["evaluators"]["third"] = {"kind": "bleu"}
    project.save_params()
    with pytest.raises(PipelineError, match="run `goa run`, or name one with --policy"):
        put_forward()


def _promote_at_once(project: Promotable, *names: str) -> list[int | None]:
    """Promote policies in a process each; gives their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipelines.promote", "pipelines.serving", "goa.config"])
    environment = {"MLFLOW_TRACKING_URI": os.environ.get("MLFLOW_TRACKING_URI", "")}
    processes = [
        context.Process(target=_promote_in, args=(project.root, name, environment))
        for name in names
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    return [process.exitcode for process in processes]


def _promote_in(root: Path, name: str, environment: dict[str, str]) -> None:
    # Whatever the server that forks was started with by an earlier test.
    os.environ.update(environment)
    os.chdir(root)
    sys.exit(goa("promote", "--policy", name).exit_code)
