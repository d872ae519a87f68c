"""An engine that compiles the evaluation of a problem once, for all optimizers tried on it.

Their updates follow it op by op. That a compiled step does the same is tested elsewhere: with one
optimizer beside these, and for each on the valley of `test_check.py`.
"""

from nstbench.engine.base import extra_arguments, project


class OneProgram:
    def __init__(self, engine):
        self._engine, self._evaluations = engine, {}

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def compile_evaluation(self, terms, parameters):
        if terms not in self._evaluations:
            self._evaluations[terms] = self._engine.compile_evaluation(terms, parameters)
        return self._evaluations[terms]

    def compile_update(self, terms, parameters, optimizer, image, box):
        evaluate = self.compile_evaluation(terms, parameters)

        def step():
            values, gradients = evaluate(image.value[None])
            optimizer.apply([gradients[0]], [image], **extra_arguments(optimizer, values))
            image.assign(project(image.value, box))
            return values

        return step
