"""The answer of a benchmark in a few sentences."""

from nstbench.notation import count, listed, number
from nstbench.report.data.scores import Scores

MEANING = (
    "The score is the area under the curve of targets reached over log evaluations: 1 where every "
    "target is reached at once, 0 where none ever is."
)


def headline(scores: Scores) -> str:
    """Who leads: "L-BFGS leads benchmark small"."""
    labels = _leaders(scores)
    lead = "lead" if len(labels) > 1 else "leads"
    first = listed(labels) if len(labels) < 4 else f"{labels[0]} and {len(labels) - 1} more"
    return f"{first} {lead} benchmark {scores.benchmark.name}"


def answer(scores: Scores) -> str:
    """The best score with its interval, who cannot be told from it, and what it means."""
    first, terms = next(iter(scores.optimizers.values())), scores.benchmark
    low, high = first.interval
    optimizers = count(len(scores.optimizers), "optimizer")
    pairs = count(len(terms.score.pairs), "pair")
    sentences = [
        f"{first.label} scores {first.score:.3f} ({low:.3f} to {high:.3f}), the highest of "
        f"{optimizers}, on {pairs} of pictures that nobody tuned on, within "
        f"{number(terms.horizon)} evaluations."
    ]
    labels = _leaders(scores)
    if len(labels) > 1:
        sentences.append(f"Not told apart from it by a paired test: {listed(labels[1:])}.")
    elif len(scores.optimizers) > 1:
        sentences.append("A paired test tells every other one apart from it.")
    return " ".join([*sentences, MEANING])


def _leaders(scores: Scores) -> list[str]:
    return [scores.optimizers[name].label for name in scores.leaders]
