"""The answer of a benchmark in a few sentences."""

from nstbench.notation import count, listed, number
from nstbench.report.data.scores import Scores, archived

MEANING = (
    "The score is the area under the curve of targets reached over log evaluations: 1 where every "
    "target is reached at once, 0 where none ever is."
)


def headline(scores: Scores) -> str:
    """Who leads: "L-BFGS leads benchmark small"; one that is alone leads nobody."""
    labels = _leaders(scores)
    if not labels:
        return (
            f"{next(iter(scores.optimizers.values())).label} on benchmark {scores.benchmark.name}"
        )
    lead = "lead" if len(labels) > 1 else "leads"
    first = listed(labels) if len(labels) < 4 else f"{labels[0]} and {len(labels) - 1} more"
    return f"{first} {lead} benchmark {scores.benchmark.name}"


def answer(scores: Scores) -> str:
    """The best score with its interval, who cannot be told from it, and what it means."""
    first, terms = next(iter(scores.optimizers.values())), scores.benchmark
    low, high = first.interval
    pairs = count(len(terms.score.pairs), "pair")
    several = len(scores.optimizers)
    among = f", the highest of {several} optimizers," if several > 1 else ""
    sentences = [
        f"{first.label} scores {first.score:.3f} ({low:.3f} to {high:.3f}){among} on {pairs} of "
        f"pictures that nobody tuned on, within {number(terms.horizon)} evaluations."
    ]
    if several == 1 and (known := archived(scores)):
        from nstbench.benchmark import reference

        sentences.append(f"It takes {reference.place(first.score, known)}.")
    labels = _leaders(scores)
    if len(labels) > 1:
        sentences.append(f"Not told apart from it by a paired test: {listed(labels[1:])}.")
    elif len(scores.optimizers) > 1:
        sentences.append("A paired test tells every other one apart from it.")
    return " ".join([*sentences, MEANING])


def _leaders(scores: Scores) -> list[str]:
    return [scores.optimizers[name].label for name in scores.leading]
