"""What a visit measures: counts, the updates alone, whole steps, into a record."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nstbench.cost import counts, output, step, update
from nstbench.cost.options import Competitor, Request
from nstbench.cost.record import Pair, Record
from nstbench.optimizers import find, minimise, schedules
from nstbench.pictures import images
from nstbench.transfer import problem as problems


class Work:
    """The measuring of one visit. `keep` puts the record on disk, `say` is told what is done.

    Raises `NstbenchError` for problems and optimizers that cannot be set up.
    """

    def __init__(
        self,
        request: Request,
        engine: Any,
        record: Record,
        keep: Callable[[], Any],
        say: Callable[[str], None],
    ):
        self.request, self.options = request, request.options
        self.engine, self.record = engine, record
        self._put_on_record, self._say = keep, say

    def measure_missing(self) -> bool:
        """Whatever the pairs asked for still need; whether that was anything."""
        pairs = [self.record.pair(a.key, b.key) for a, b in self.request.pairs]
        left = [pair for pair in pairs if step.is_open(pair, self.options)]
        methods = [self.record.methods[each.key] for each in self.request.competitors]
        is_known = all(m.counts and (m.update or m.without_update) for m in methods)
        if not is_known:
            self._measure_updates()
        compares = bool(left) and self.options.minutes > 0
        if compares:
            self._measure_steps(left)
        return compares or not is_known

    def _measure_updates(self) -> None:
        """Counts, and the update alone of all competitors at once."""
        shape = self._content_shape()
        gradient = update.gradient_of(shape)
        makers = {each.key: self._maker(each) for each in self.request.competitors}
        for each in self.request.competitors:
            self._say(f"counting what {each.label} moves")
            counted = counts.count(makers[each.key](), self.engine, gradient)
            self.record.methods[each.key].counts = counted
        self._say("timing the updates alone")
        options = self.options
        found = update.measure(makers, self.engine, gradient, options.rounds, options.block_s)
        for key in makers:
            method = self.record.methods[key]
            method.update = found.difference(key, update.NOTHING, options.quietest)
            method.without_update = found.left_out.get(key)
        for a, b in self.request.pairs:
            pair = self.record.pair(a.key, b.key)
            pair.update = found.difference(pair.a, pair.b, options.quietest)

    def _measure_steps(self, pairs: list[Pair]) -> None:
        self._say("loading the network")
        wanted = {key for pair in pairs for key in (pair.a, pair.b)}
        with self.engine.scope():
            problem = problems.load(self.request.shared, self.engine)
            runners = {
                each.key: step.Runner(each.label, self._starter(each, problem))
                for each in self.request.competitors
                if each.key in wanted
            }
            for runner in runners.values():
                self._say(f"compiling {runner.label}")
                runner.warm_up(self.engine, self.options.sample_s, time.perf_counter)
            self._say(f"comparing whole steps, at most {self.options.minutes:g} min")
            clock = step.Clock(time.perf_counter() + 60 * self.options.minutes)
            random = np.random.default_rng([update.SEED, len(self.record.visits)])
            try:
                step.decide(
                    pairs, runners, self.engine, self.options, clock, random, self._keep
                )  # fmt: skip
            finally:
                self._take_over(runners)

    def _take_over(self, runners: dict[str, step.Runner]) -> None:
        """What the steps of each competitor tell beside the comparisons."""
        for key, runner in runners.items():
            method = self.record.methods[key]
            if runner.seconds and method.counts is not None:
                method.step_s = float(np.median(runner.seconds))
                method.counts.evaluations = round(runner.evaluations / runner.steps, 2)
            runner.close()

    def _keep(self) -> None:
        self._put_on_record()
        rows = output.verdicts(self.record, self.options.margin, self.options.alpha)
        asked = [{a.key, b.key} for a, b in self.request.pairs]
        still = [v for v in rows if {v["a"], v["b"]} in asked and v["decision"] == "not decided"]
        for row in still:
            self._say(row["sentence"])

    def _content_shape(self) -> tuple[int, ...]:
        shared = self.request.shared
        return images.load(shared.content, shared.size, shared.keep_aspect).pixels.shape

    def _maker(self, competitor: Competitor) -> Callable:
        """What makes the competitor's optimizer anew."""
        settings = competitor.settings

        def make():
            steps = settings.epochs * settings.steps_per_epoch
            schedule = schedules.build(settings.schedule, steps)
            return find.create(settings.optimizer, settings.lr, schedule, self.engine)

        return make

    def _starter(self, competitor: Competitor, problem) -> Callable[[], minimise.Minimisation]:
        """What puts the competitor at the start of the shared problem."""
        settings, make = competitor.settings, self._maker(competitor)

        def start():
            image = problems.start_image(settings, problem.content.pixels)
            box = settings.optimizer.box
            return minimise.create(self.engine, problem.objective, image, make(), box)

        return start
