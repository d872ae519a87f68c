"""The answer to "which optimizer, at which rate?" in a few sentences."""

from nstbench.notation import count, listed, number, setting
from nstbench.report.judge.over_pairs import OverPairs
from nstbench.report.judge.ranking import Entry, Ranked, Ranking

MOST_RATES = 4  # optimizers whose best rates are told
FEWEST_PAIRS = 3  # with fewer no bound tells anybody apart


def headline(ranking: Ranking) -> str:
    """The answer in one line: "L-BFGS 1 ends lowest of 5 optimizers"."""
    best = ranking.best_rates
    leading = [entry for entry in best if entry.is_leading]
    if not leading:
        return f"{count(len(best), 'optimizer')}, none of which has a loss to compare"
    label = leading[0].competitor.label
    if len(best) == 1:
        return f"{label} is the best of {count(len(ranking.entries), 'setting')}"
    return f"{label} reaches the lowest loss of {_compared(ranking)}"


def answer(ranking: Ranking, margin: float) -> str:
    """Who leads on this problem within the common budget, with whom, and at which rates."""
    leading = ranking.leading
    if not leading:
        return f"On {ranking.group.pictures}, no run has a loss to compare."
    first = leading[0]
    sentences = [
        f"Of {_compared(ranking)} on {ranking.group.pictures}, {first.competitor.label} reaches "
        f"the lowest loss within {count(ranking.budget, 'evaluation')} ({number(first.loss)})."
    ]
    names = [entry.competitor.label for entry in leading]
    if len(names) > 1:
        sentences.append(f"Leading group, within {100 * margin:g} %: {listed(names)}.")
    elif len(ranking.entries) > 1:
        sentences.append(f"No other comes within {100 * margin:g} % of it.")
    return " ".join([*sentences, *_rates(ranking)])


def headline_over(pairs: OverPairs) -> str:
    """The same over several pairs of pictures."""
    label = pairs.entries[0].competitor.label
    over = f"over {len(pairs.rankings)} pairs of pictures"
    if len(pairs.best_rates) == 1:
        return f"{label} is the best of {_compared(pairs)} {over}"
    return f"{label} reaches the lowest losses of {_compared(pairs)} {over}"


def answer_over(pairs: OverPairs) -> str:
    """Who leads over the pairs, with whom, and at which rates."""
    first, n = pairs.entries[0], len(pairs.rankings)
    budgets = sorted({ranking.budget for ranking in pairs.rankings})
    within = f"{budgets[0]} to {budgets[-1]}" if len(budgets) > 1 else f"{budgets[0]}"
    content = pairs.rankings[0].group.runs[0].record.content
    label = first.competitor.label
    lowest = pairs.lowest_on(label)
    where = f"on {lowest} of them, and on average at {number(first.loss, 3)} times the lowest"
    sentences = [
        f"Of {_compared(pairs)} on {n} pairs of pictures, {content.width} x {content.height}, "
        f"{label} comes lowest within {within} evaluations: "
        f"{'on every one of them' if lowest == n else where}."
    ]
    names = [entry.competitor.label for entry in pairs.best_rates if entry.is_leading]
    if n < FEWEST_PAIRS:
        sentences.append(f"{n} pairs are too few to say who can be told apart from it.")
    elif len(names) > 1:
        sentences.append(f"Leading group, not told apart over the pairs: {listed(names)}.")
    else:
        sentences.append("Every other one is shown to end higher.")
    return " ".join([*sentences, *_rates(pairs)])


def _compared(ranked: Ranked) -> str:
    """ "5 optimizers", or "7 settings" of one."""
    best = len(ranked.best_rates)
    return count(best, "optimizer") if best > 1 else count(len(ranked.entries), "setting")


def _rates(ranked: Ranked) -> list[str]:
    varied = [entry for entry in ranked.best_rates[:MOST_RATES] if len(entry.rates) > 1]
    return [_rate(entry) for entry in varied]


def _rate(entry: Entry) -> str:
    run = entry.competitor.first
    edge = ", at the edge of them" if entry.at_edge and len(entry.rates) > 2 else ""
    return f"{run.optimizer}'s best rate is {setting(run.lr)} of {len(entry.rates)} tried{edge}."
