"""Stage ``compare``: every arm against maximum likelihood, as a report."""

from pathlib import Path

from goa.arms import BASELINE
from goa.evaluation.alarms import load_alarms
from goa.evaluation.controls import ControlSettings
from goa.evaluation.storage import load_evaluation
from goa.evaluators.table import EvaluatorName, EvaluatorSettings
from goa.report.comparing import compare
from goa.report.entrants import group_by_arm
from goa.report.history import read_history
from goa.report.materials import ReportMaterials
from goa.report.report import summarize, write_report
from goa.report.settings import CompareSettings
from goa.settings import read_sections
from pipelines.costs import read_costs, seconds_a_sentence, stages_to
from pipelines.recipe import make_recipe
from pipelines.stage import PARAMS, Stage, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("compare") as stage:
        compare_policies(stage)


def compare_policies(stage: Stage) -> None:
    """Compare the policies that the parameters name, in their order; others are not looked at."""
    params = read_sections(
        PARAMS,
        seed=int,
        seeds=list[int],
        controls=ControlSettings,
        evaluators=dict[EvaluatorName, EvaluatorSettings],
        compare=CompareSettings,
    )
    policies = params.controls.trained(params.evaluators, params.seeds)
    trained = [policy.name for policy in policies]
    names = [BASELINE, *trained]
    costs = read_costs(stages_to(params.evaluators, policies))
    evaluations = []
    with stage.progress.task(stage.name, len(trained) + 2, "policies") as task:
        for name in names:
            evaluations.append(load_evaluation(Path("out/evaluations") / name))
            task.advance(note=name)
        alarms = [
            alarm for name in trained for alarm in load_alarms(Path("out/guards") / f"{name}.json")
        ]
        entrants = group_by_arm(evaluations)
        seconds = seconds_a_sentence(costs, names)
        comparison = compare(entrants, params.compare, params.seed, seconds, alarms)
        task.advance()
    histories = [read_history(Path("out/history") / f"{name}.csv") for name in trained]
    materials = ReportMaterials(
        comparison=comparison,
        entrants=entrants,
        histories=histories,
        costs=costs,
        recipe=make_recipe(PARAMS, stage.made_of),
    )
    with stage.output(Path("out/comparison")) as folder:
        write_report(folder, materials)
    stage.metrics(Path("metrics/compare.json"), summarize(comparison))


if __name__ == "__main__":
    main()
