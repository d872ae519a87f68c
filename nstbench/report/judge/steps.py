"""Claims on time that the cost of a step decides: the sentence, and what would measure it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nstbench.cost.output import sentence
from nstbench.report.data.settings import Claims
from nstbench.report.judge.decide import Decision
from nstbench.report.notation import count

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
    a, b = (each.runs[0] for each in comparison.selected)
    cost, found = comparison.cost, comparison.step
    own = a.record.content.width
    other = f"; the runs have {own} x {own}" if own != cost.size else ""
    how = f"{count(found.n, 'comparison')} A B B A in one process at {cost.size} x {cost.size}"
    is_open = comparison.decision is Decision.NOT_DECIDED
    verb = "Not decided" if is_open else "Decided"
    said = sentence(a.label, b.label, found, comparison.margin)
    return f"{verb} by {BY_COST} ({how} pixels{other}): {said}"


def advice(compared: Sequence["Comparison"], claims: Claims) -> tuple[str, ...]:
    """How a claim that is open is decided sooner: the sessions on what a step costs that it lacks,
    or that have to go on; where each comparison is decided, at the level that all together need."""
    alike = [each for each in compared if all(own.runs for own in each.selected)]
    alike = [each for each in alike if each.is_of_equal_length]
    if not alike:
        return ()
    left = [each for each in alike if not each.cost or each.decision is Decision.NOT_DECIDED]
    size = claims.step_size or alike[0].selected[0].runs[0].record.content.width
    level = [] if left else [f"alpha={(1 - claims.level) / len(compared):.2g}"]
    lines = [" ".join([line, f"size={size}", *level]) for line in _commands(left or alike, claims)]
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
