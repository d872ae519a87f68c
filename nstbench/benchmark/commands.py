"""`python -m nstbench benchmark ...` and `python -m nstbench score ...`: from words to numbers.

What is heavy is imported in the worker's process; here are settings, tables and pure functions.
"""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nstbench import arguments as given
from nstbench.benchmark import (
    carry,
    competitors,
    instances,
    output,
    reference,
    seconds,
    standing,
    targets,
    tuning,
)
from nstbench.benchmark.competitors import Competitor
from nstbench.benchmark.instances import Benchmark
from nstbench.benchmark.standing import Standing
from nstbench.benchmark.targets import TargetSet
from nstbench.benchmark.tuning import Tuned
from nstbench.errors import SettingsError
from nstbench.settings import values
from nstbench.settings.values import CONFIG_DIR

HELP_BENCHMARK = """\
python -m nstbench benchmark optimizer=adam,lbfgs,./my_opt.py:MyAdam

  Tunes each optimizer on some pairs of pictures, runs it at its best on other ones, and says who
  leads: one number in [0, 1] each, with an interval; runs, tables and figures are in
  <out>/benchmark/<name>.
  Every run is an ordinary run directory: the same command goes on where it was stopped.

  benchmark=small       conf/benchmark: small (64 pixels), texture, inversion, tiny (a minute), or
                        the path of a YAML of your own
  optimizer=...         names, dotted paths or files; left away: the benchmark's reference set
  trials=20             settings tried of each (20 extends 10); the benchmark's own by default
  lr=0.02  optimizer.beta_1=0.9  schedule=cosine      fixed instead of tuned, for all of them
  workers=2             so many processes side by side, each on its share of the cores
  freeze=true           make the targets file from these optimizers, beside the benchmark's YAML
  out=results  device=auto  --config-dir DIR
"""
HELP_SCORE = """\
python -m nstbench score optimizer=./my_opt.py:MyAdam

  Tunes one optimizer, runs it on the pairs that nobody tuned on, and prints one last line,
  score: 0.8123 +- 0.0041 (8 pairs, 24 runs, 96 s): the area under the ECDF of frozen targets over
  log evaluations, from 0 to 1, and half of its 95 % interval over pairs. Exit code 0; progress goes
  to standard error. With lr=... (and optimizer.<name>=...) that is used instead of tuned.

  benchmark=small  trials=20  workers=1  out=results  device=auto  --config-dir DIR
"""
COMMON = ("device",)  # settings of every run that change no number
OWN = ("benchmark", "trials", "workers", "freeze", "out")
DEFAULT = "small"


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    benchmark: Benchmark
    file: Path  # the benchmark's YAML
    competitors: list[Competitor]
    out: Path  # where runs, tables and figures go: <out>/benchmark/<name>
    common: tuple[str, ...]  # settings of every run
    freeze: bool
    workers: int = 1  # processes side by side

    @property
    def targets_file(self) -> Path:
        return targets.location(self.file)

    @property
    def reference_file(self) -> Path:
        return reference.location(self.file)


def benchmark(arguments: Sequence[str]) -> int:
    """Tune, run and report; the exit code."""
    return _command("benchmark", HELP_BENCHMARK, arguments, _benchmark)


def score(arguments: Sequence[str]) -> int:
    """Tune and run one optimizer, and print its score; the exit code."""
    return _command("score", HELP_SCORE, arguments, _score)


def _command(
    name: str, text: str, arguments: Sequence[str], action: Callable[[Request], None]
) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return given.command(
        name, text, arguments, lambda: action(_quietly_read(arguments)),
        is_whole=True, stopped=given.CONTINUES,
    )  # fmt: skip


def _quietly_read(arguments: Sequence[str]) -> Request:
    from nstbench.run.progress import quiet_start

    with quiet_start():  # an optimizer from outside may bring a backend, which greets
        return read(given.joined(arguments))


def read(arguments: Sequence[str]) -> Request:
    """A command line's request; `SettingsError`, in one line, for what cannot be asked."""
    own: dict[str, Any] = {}
    folders: list[str] = []
    common: list[str] = []
    of_optimizers: list[str] = []
    for argument in arguments:
        key, text = values.split(argument)
        if key == CONFIG_DIR:
            folders.append(str(Path(text).expanduser().absolute()))
        elif key in COMMON:
            common.append(argument)
        elif key in OWN:
            own[key] = text if key == "benchmark" else values.read(key, text)
        else:
            of_optimizers.append(argument)
    name = own.get("benchmark", DEFAULT)
    chosen = instances.load(name, folders)
    chosen = chosen.model_copy(update={"trials": _whole("trials", own, chosen.trials)})
    if not any(argument.startswith("optimizer=") for argument in of_optimizers):
        of_optimizers.insert(0, f"optimizer={','.join(chosen.reference)}")
    out = Path(own.get("out", "results")).expanduser() / "benchmark" / chosen.name
    common.append(f"out={out}")
    found = competitors.read(of_optimizers, (*chosen.arguments, *common), folders)
    freeze = own.get("freeze", False)
    if not isinstance(freeze, bool):
        raise SettingsError(f"freeze={freeze} must be true or false")
    workers = _whole("workers", own, 1)
    file = instances.find(name, folders)
    return Request(chosen, file, found, out, tuple(common), freeze, workers)


def _whole(name: str, own: Mapping[str, Any], default: int) -> int:
    value = own.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"{name}={value} must be a whole number of at least 1")
    return value


def _benchmark(request: Request) -> None:
    with carry.Staying(_say, request.workers) as staying:
        tuned = tuning.tune(request.benchmark, request.competitors, request.common, staying)
        _tell_tuning(request.benchmark, tuned)
        standings, chosen = _stand(request, tuned, staying)
    if request.freeze:
        document = output.document(request.benchmark, tuned, standings, chosen)
        reference.write(request.reference_file, request.benchmark, document)
    archived = reference.load(request.reference_file, request.benchmark)
    costs = seconds.per_evaluation(request.out.parents[1], request.competitors)
    output.write(request.out, request.benchmark, tuned, standings, chosen, archived, costs)
    print(output.text(request.benchmark, tuned, standings, chosen, archived, costs), end="")
    print(f"{request.out}\nTo see it as a page:\n  {given.typed('report', str(request.out))}")


def _score(request: Request) -> None:
    began = time.monotonic()
    if len(request.competitors) != 1:
        raise SettingsError("score takes one optimizer=...; benchmark compares several")
    if targets.load(request.targets_file, request.benchmark) is None:
        raise SettingsError(
            f"benchmark={request.benchmark.name} has no frozen targets yet: "
            f"python -m nstbench benchmark benchmark={request.benchmark.name} freeze=true"
        )
    with carry.Staying(_say, request.workers) as staying:
        if request.competitors[0].space:
            tuned = tuning.tune(request.benchmark, request.competitors, request.common, staying)
            _tell_tuning(request.benchmark, tuned)
        else:  # nothing to choose from
            tuned = [tuning.untuned(request.competitors[0])]
        (only,), _ = _stand(request, tuned, staying)
    archived = reference.load(request.reference_file, request.benchmark)
    if archived:
        _say(reference.place(only.score.value, archived))
    pairs = len(request.benchmark.instances(request.benchmark.score))
    runs = sum(len(each) for each in only.hits)
    print(
        f"score: {only.score.value:.4f} +- {only.score.half_width:.4f} "
        f"({pairs} pairs, {runs} runs, {time.monotonic() - began:.0f} s)"
    )


def _stand(
    request: Request, tuned: Sequence[Tuned], staying: carry.Staying
) -> tuple[list[Standing], TargetSet]:
    """Every competitor's standing at its best setting, and the targets that it was held to."""
    chosen = request.benchmark
    _say(f"{chosen.name}: the score's pairs")
    planned = {
        each.competitor.name: standing.score_runs(chosen, each.arguments, request.common)
        for each in tuned
    }
    results, failures = standing.measure(chosen, planned, staying)
    for run, why in failures.items():
        _say(f"{run.settings.optimizer.label} on {run.settings.content}: {why}")
    frozen = None if request.freeze else targets.load(request.targets_file, chosen)
    if frozen is None:
        today = datetime.now(UTC).date().isoformat()
        frozen = targets.make(chosen, results, targets.facts(list(results), today))
        if request.freeze:
            targets.write(request.targets_file, chosen, frozen)
            frozen = targets.load(request.targets_file, chosen)
            assert frozen is not None  # it was just written
            _say(f"targets frozen in {request.targets_file.name}")
        else:
            _say("no frozen targets: these are made from the optimizers here, and move with them")
    return [
        standing.stand(name, chosen, of_name, frozen) for name, of_name in results.items()
    ], frozen


def _tell_tuning(chosen: Benchmark, tuned: Sequence[Tuned]) -> None:
    for each in tuned:
        _say(f"{each.competitor.label}: {output.in_words(each)}")
        for why in dict.fromkeys(why for t in (*each.trials, *each.extra) for why in t.failures):
            _say(f"{each.competitor.label}: a trial failed: {why}")
    for sentence in tuning.contained_lost(tuned, chosen.inclusions):
        _say(sentence)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
