"""What came of putting a policy forward, as it is told, written down and tagged."""

import getpass
import json
import os
import re
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from goa.evaluation.measure import Measurement
from goa.report.numbers import say_score
from goa.report.promotion import Judgement
from goa.tracking.registry import Published
from pipelines.contender import Contender
from pipelines.stage import STATE

POLICY_DIGEST, TEST_DIGEST = "goa.policy_digest", "goa.test_digest"
SCORER = "goa.scorer."
"""Start of the tags that hold the measures' signatures."""


class Outcome(StrEnum):
    """What came of it."""

    PROMOTED = "promoted"
    PRESENT = "champion already"
    CHALLENGER = "challenger"
    ROLLED_BACK = "rolled back before"
    OTHER_TEST_SET = "other test set"


EXIT_CODES = {
    Outcome.PROMOTED: 0,
    Outcome.PRESENT: 0,
    Outcome.CHALLENGER: 1,
    Outcome.ROLLED_BACK: 1,
    Outcome.OTHER_TEST_SET: 3,
}
"""Of the command; 2 is every error's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """How it ended."""

    outcome: Outcome
    model: str
    """Name in the registry."""
    version: int
    """That the policy is; 0 before it is registered."""
    policy: str
    compared_with: str
    """The champion then, such as "version 3"; "mle", or "nothing"."""
    reason: str
    test_digest: str
    """Of the test set that both were put to."""
    judgement: Judgement | None = None
    """None where there was nothing to judge."""
    time: str
    """When, in UTC."""
    by: str
    """Who, and on which machine."""


def now() -> str:
    """Say when it is, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def who() -> str:
    """Say who is at work, and on which machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def as_text(promotion: Promotion) -> str:
    """Write a promotion as JSON."""
    return json.dumps(asdict(promotion), indent=2)


def write_down(promotion: Promotion) -> None:
    """Keep a promotion in ``.goa/promotions``."""
    folder = STATE / "promotions"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = re.sub(r"[-:]", "", promotion.time)
    path = folder / f"{stamp}-{promotion.policy}-{os.getpid()}.json"
    path.write_text(as_text(promotion) + "\n", encoding="utf-8")


def version_tags(
    promotion: Promotion,
    contender: Contender,
    published: Published,
    measured: Sequence[Measurement],
    report: str | None,
) -> dict[str, str]:
    """Say what a version was made of, and how it was judged.

    Args:
        promotion: how it was judged.
        contender: the policy.
        published: its run, which knows the commit it was made with.
        measured: by the metric and the guards.
        report: where the comparison's report lies, if there is one.
    """
    judgement = promotion.judgement
    return {
        "goa.verdict": str(promotion.outcome),
        "goa.reason": promotion.reason,
        "goa.compared_with": promotion.compared_with,
        "goa.judgement": json.dumps(asdict(judgement)) if judgement else "",
        "goa.judged": f"{promotion.time} by {promotion.by}",
        "goa.policy": contender.name,
        POLICY_DIGEST: contender.digest,
        TEST_DIGEST: promotion.test_digest,
        "goa.data_digest": contender.data_digest,
        "goa.stage_key": contender.stage_key,
        **({"goa.report": report} if report else {}),
        **{f"goa.metric.{each.name}": str(each.score) for each in measured},
        **{SCORER + each.name: each.signature for each in measured},
        **{name: text for name, text in published.tags.items() if name.startswith("git.")},
    }


def model_card(promotion: Promotion, measured: Sequence[Measurement]) -> str:
    """Describe a version in Markdown, in what room MLflow has for it."""
    return (
        f"**{promotion.policy}**, {promotion.outcome}: {promotion.reason[:2500]}\n\n"
        "| test set, × 100 | score | interval | measured by |\n| --- | ---: | --- | --- |\n"
        f"{_fitting(map(_row, measured), room=2000)}\n"
        "How it was made, and its limits: `README.md` beside its weights.\n\n"
        f'Load the present champion: `mlflow.pyfunc.load_model("models:/{promotion.model}'
        '@champion")`.'
    )


def _row(measured: Measurement) -> str:
    interval = f"[{say_score(measured.low)}, {say_score(measured.high)}]"
    recipe = measured.signature.replace("|", "\\|")
    return f"| {measured.name} | {say_score(measured.score)} | {interval} | {recipe} |\n"


def _fitting(rows: Iterable[str], room: int) -> str:
    """Put whole rows together, as long as there is room."""
    text = ""
    for row in rows:
        if len(text) + len(row) > room:
            break
        text += row
    return text
