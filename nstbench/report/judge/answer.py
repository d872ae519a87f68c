"""The answer to "which optimizer, at which rate?" in a few sentences."""

from nstbench.notation import count, listed, number, setting
from nstbench.report.judge.ranking import Entry, Ranking


def headline(ranking: Ranking) -> str:
    """The answer in one line: "L-BFGS 1 ends lowest of 5 optimizers"."""
    best = ranking.best_rates
    leading = [entry for entry in best if entry.is_leading]
    if not leading:
        return f"{count(len(best), 'optimizer')}, none of which has a loss to compare"
    label = leading[0].competitor.label
    if len(best) == 1:
        return f"{label} is the best of {count(len(ranking.entries), 'setting')}"
    return f"{label} reaches the lowest loss of {count(len(best), 'optimizer')}"


def answer(ranking: Ranking, margin: float) -> str:
    """Who leads on this problem within the common budget, with whom, and at which rates."""
    best = ranking.best_rates
    leading = [entry for entry in ranking.entries if entry.is_leading]
    if not leading:
        return f"On {ranking.group.pictures}, no run has a loss to compare."
    first = leading[0]
    of = f"Of {count(len(best), 'optimizer')} on {ranking.group.pictures}, "
    if len(best) == 1:
        of = f"Of {count(len(ranking.entries), 'setting')} on {ranking.group.pictures}, "
    sentences = [
        f"{of}{first.competitor.label} reaches the lowest loss within {ranking.budget} "
        f"evaluations ({number(first.loss)})."
    ]
    names = [entry.competitor.label for entry in leading]
    if len(names) > 1:
        sentences.append(f"Leading group, within {100 * margin:g} %: {listed(names)}.")
    else:
        sentences.append(f"No other comes within {100 * margin:g} % of it.")
    sentences += [_rate(entry) for entry in best[:4] if len(entry.rates) > 1]
    return " ".join(sentences)


def _rate(entry: Entry) -> str:
    run = entry.competitor.first
    edge = ", at the edge of them" if entry.at_edge else ""
    return f"{run.optimizer}'s best rate is {setting(run.lr)} of {len(entry.rates)} tried{edge}."
