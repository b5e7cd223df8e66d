"""What training did besides raising a score, as sections of the page: peakiness and guards."""

from collections.abc import Callable, Iterator

from goa.evaluation.alarms import GuardAlarm
from goa.evaluation.peakiness import RANKS, Peakiness
from goa.report.comparison import Comparison
from goa.report.markup import plain, table
from goa.report.numbers import say_delta, say_score

Quantity = Callable[[Peakiness], float]
MASSES: dict[str, Quantity] = {
    "mass of the likeliest token": lambda found: found.top_1_mass,
    "mass of the 10 likeliest": lambda found: found.top_10_mass,
    "probability of the reference's token": lambda found: found.reference_probability,
}


def show_peakiness(comparison: Comparison) -> Iterator[str]:
    """Write how sure the arms are of the next token; nothing where it was not measured."""
    if not comparison.peakiness:
        return
    first, *others = [each.peakiness for each in comparison.peakiness]
    yield "## Peakiness"
    yield (
        "How sure the arms are of each token of the references, given those before it; mean over "
        f"seeds. In brackets: the change from {comparison.baseline}. Masses and shares are × 100. "
        "Policy gradient makes likely tokens likelier whatever the reward is (Choshen et al. "
        "2020): read this beside the gains."
    )

    def row(name: str, of: Quantity) -> list[str]:
        changes = [f"{say_score(of(each))} ({say_delta(of(each) - of(first))})" for each in others]
        return [name, say_score(of(first)), *changes]

    entropies = [
        f"{each.entropy:.3f} ({_say_nats(each.entropy - first.entropy)})" for each in others
    ]
    rows = [["entropy, nats per token", f"{first.entropy:.3f}", *entropies]]
    rows += [row(name, of) for name, of in MASSES.items()]
    rows += [row(f"reference's tokens of rank {ranks}", _share(ranks)) for ranks in RANKS]
    yield table(["", *(each.arm for each in comparison.peakiness)], rows)


def show_guards(comparison: Comparison) -> Iterator[str]:
    """Write which guards fell while the reward rose, with outputs from before and after."""
    if not comparison.alarms:
        return
    yield "## Guards"
    yield (
        "Metrics that nothing was rewarded by, and that became significantly worse on the "
        "validation split, and stayed so, while the reward rose: signs that the reward was gamed. "
        "The policy that was kept is from a look at which no guard was significantly worse."
    )
    for alarm in comparison.alarms:
        yield f"### ⚑ {alarm.policy}: {alarm.guard} fell from update {alarm.began} on"
        yield (
            f"Validation reward {say_score(alarm.reward_before)} → "
            f"{say_score(alarm.reward_after)}, `{alarm.guard}` {say_score(alarm.guard_before)} → "
            f"{say_score(alarm.guard_after)}, from the start to the last look. Kept: the policy of "
            f"update {alarm.chosen}. The outputs that lost most:"
        )
        yield _examples(alarm)


def _examples(alarm: GuardAlarm) -> str:
    rows = []
    for each in alarm.examples:
        rows += [
            ["source", "", plain(each.source)],
            ["reference", "", plain(each.reference)],
            ["**before**", say_score(each.score_before), plain(each.before)],
            ["**after**", say_score(each.score_after), plain(each.after)],
        ]
    return table(["", f"{alarm.guard}", "text"], rows)


def _share(ranks: str) -> Quantity:
    return lambda found: found.rank_shares[ranks]


def _say_nats(change: float) -> str:
    return f"{change:+.3f}".replace("-", "−")
