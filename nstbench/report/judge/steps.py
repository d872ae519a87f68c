"""Claims on time that the cost of a step decides: the sentence, and what would measure it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nstbench.report.data.settings import Claims
from nstbench.report.judge.decide import OPEN, Decision

if TYPE_CHECKING:
    from nstbench.report.judge.comparing import Comparison

BY_COST = "the cost of a step"


def decided_by(compared: Sequence["Comparison"]) -> str:
    """What ends a verdict's sentence: ", by the cost of a step", where that decided."""
    n = sum(each.cost is not None for each in compared)
    if n in (0, len(compared)):
        return f", by {BY_COST}" if n else ""
    return f", by {BY_COST} in {n} of {len(compared)}"


def in_words(comparison: "Comparison") -> str:
    """What a session says of two competitors, and how it was measured."""
    cost, found = comparison.cost, comparison.step
    widths = {run.record.content.width for each in comparison.selected for run in each.runs}
    other = "".join(f"; the runs have {own} x {own}" for own in widths - {cost.size})
    how, said = cost.told(found, comparison.margin)
    where = f"at {cost.size} x {cost.size} pixels{other}"
    is_open = comparison.decision is Decision.NOT_DECIDED
    verb = "Not decided" if is_open else "Decided"
    return f"{verb} by {BY_COST} ({how} {where}): {said}"


def advice(compared: Sequence["Comparison"], claims: Claims) -> tuple[str, ...]:
    """How a claim that is open is decided sooner: the sessions on what a step costs that it lacks,
    or that have to go on; where each comparison is decided, at the level that all together need."""
    left = [each for each in compared if each.decision in OPEN and each.is_of_equal_length]
    widths = [run.record.content.width for c in compared for own in c.selected for run in own.runs]
    if not widths or (not left and any(each.decision in OPEN for each in compared)):
        return ()
    level = [] if left else [f"alpha={(1 - claims.level) / len(compared):.2g}"]
    ending = [f"size={claims.step_size or widths[0]}", *level]
    lines = [" ".join([line, *ending]) for line in _commands(left or compared, claims)]
    return (f"What a step costs decides sooner: {'; '.join(lines)}",)


def _commands(compared: Sequence["Comparison"], claims: Claims) -> list[str]:
    """What compares the steps of these competitors: those of one rate in one session."""
    groups: dict[tuple, dict[str, None]] = {}
    for each in compared:
        sides = [claims.common | side for side in (each.sides.a, each.sides.b)]
        optimizers = dict.fromkeys(str(side.get("optimizer")) for side in sides)
        rates = tuple(dict.fromkeys(f"{side['lr']:g}" for side in sides if "lr" in side))
        apart = tuple(optimizers) if len(rates) > 1 else ()
        groups.setdefault((rates, apart), {}).update(optimizers)
    return [
        f"python -m nstbench cost optimizer={','.join(optimizers)}"
        + (f" lr={','.join(rates)}" if rates else "")
        for (rates, _), optimizers in groups.items()
    ]
