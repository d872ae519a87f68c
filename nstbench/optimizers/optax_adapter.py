"""Optimizers of optax and its kind: transformations of a gradient with an explicit state.

Most are compiled into the harness's step (`FusedOptax`). Those that make evaluations of their own
(line searches: they ask for `value_fn`) run step by step (`OptaxOptimizer`).
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax

from nstbench.errors import SettingsError
from nstbench.optimizers.contract import Evaluation

SMALLEST = (1, 2, 2, 3)  # the shape of the picture that a transformation is tried on


def create(
    target: str,
    factory: Callable,
    rate: str | None,
    lr: float | None,
    schedule: Callable | None,
    options: Mapping[str, Any],
) -> "FusedOptax | OptaxOptimizer":
    """What `factory(**options)` returns, as the harness takes it; `rate` is the rate's keyword.

    A schedule is given to the factory as optax's own are, and where that does not work, the factory
    is called anew with every step's rate. Raises `SettingsError`, in one line, for another backend
    and for what fails on a tiny picture: one that asks for more than the loss, the gradient and the
    objective itself, for instance.
    """
    if keras.backend.backend() != "jax":
        raise SettingsError(f"{target}: optax needs KERAS_BACKEND=jax")

    def build(value):
        given = {} if rate is None or value is None else {rate: value}
        return optax.with_extra_args_support(factory(**given, **options))

    try:
        if schedule is None:
            return _tried(build(lr))
        try:
            return _tried(build(lambda count: lr * schedule(count)))
        except Exception:
            return _tried(_rebuilt(build, lr, schedule))
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        raise SettingsError(f"{target}: {type(error).__name__}: {text}") from error


def _tried(transformation) -> "FusedOptax | OptaxOptimizer":
    """The adapter that fits what the transformation's `update` asks for, tried once."""
    try:
        _try_fused(transformation)
        return FusedOptax(transformation)
    except TypeError as error:
        if "value_fn" not in str(error):
            raise
    optimizer = OptaxOptimizer(transformation)
    _try_steps(optimizer)
    return optimizer


def _rebuilt(build: Callable, lr: float, schedule: Callable):
    """A transformation made anew for the rate of every step; its state is that of the first."""

    def init(params):
        return jnp.zeros([], jnp.int32), build(lr).init(params)

    def update(updates, state, params=None, **extra):
        count, inner = state
        updates, inner = build(lr * schedule(count)).update(updates, inner, params, **extra)
        return updates, (count + 1, inner)

    return optax.GradientTransformationExtraArgs(init, update)


class FusedOptax:
    """A transformation shaped like a Keras optimizer; every leaf of its state is a variable.

    `value` (the loss) and `grad` are passed to each update: transformations that do not know them
    are handed none by optax. `wants_value` tells the harness to hand over the loss.
    """

    wants_value = True

    def __init__(self, transformation):
        self._transformation = transformation
        self.variables: list[keras.Variable] = []

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the state for one picture, as it is now."""
        state = self._transformation.init([jnp.asarray(v.value) for v in variables])
        leaves, self._structure = jax.tree_util.tree_flatten(state)
        self._dtypes = [jnp.asarray(leaf).dtype for leaf in leaves]
        arrays = map(_array, leaves)
        self.variables = [keras.Variable(a, dtype=str(a.dtype), trainable=False) for a in arrays]

    def stateless_apply(self, optimizer_variables, grads, trainable_variables, value=None):
        """New values of picture and state, in Keras's order: `(trainable, optimizer)` variables."""
        leaves = map(_leaf, optimizer_variables, self._dtypes)
        state = jax.tree_util.tree_unflatten(self._structure, leaves)
        params, grads = list(trainable_variables), list(grads)
        updates, state = self._transformation.update(grads, state, params, value=value, grad=grads)
        new = zip(jax.tree_util.tree_leaves(state), self._dtypes, strict=True)
        kept = [_array(leaf if _is_key(dtype) else jnp.asarray(leaf, dtype)) for leaf, dtype in new]
        return optax.apply_updates(params, updates), kept


class OptaxOptimizer:
    """A transformation that evaluates by itself; see `contract.Optimizer`.

    Its loops run op by op, not compiled, with the objective as a function that JAX differentiates
    by asking the harness: so every evaluation is made and counted when it is wanted, and no other.
    What a line search knows of the point where it ended is used again, unless the harness has moved
    the image since.
    """

    resumable = True

    def __init__(self, transformation):
        self._transformation = transformation

    def init(self, x) -> dict[str, Any]:
        nowhere = jnp.full_like(x, jnp.nan)
        return _named(self._transformation.init(x)) | {"place": nowhere}

    def step(self, x, state, evaluate):
        inner = self._inner(x, state)
        function = _differentiable(evaluate)
        with jax.disable_jit():
            value, gradient = self._here(x, inner, function, state["place"])
            updates, inner = self._transformation.update(
                gradient, inner, x, value=value, grad=gradient, value_fn=function
            )
            x = optax.apply_updates(x, updates)
        return x, _named(inner) | {"place": x}, None

    def _inner(self, x, state):
        """The transformation's own state, its leaves found by their names."""
        like = jax.eval_shape(self._transformation.init, x)
        leaves = [
            _leaf(state[name], leaf.dtype)
            for name, leaf in zip(_names(like), jax.tree_util.tree_leaves(like), strict=True)
        ]
        return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(like), leaves)

    def _here(self, x, inner, function, place):
        """Loss and gradient at x, from the line search that ended there where it kept both."""
        if np.array_equal(np.asarray(place), np.asarray(x)):
            with contextlib.suppress(KeyError, ValueError):  # none kept, or more than one
                return optax.value_and_grad_from_state(function)(x, state=inner)
        return jax.value_and_grad(function)(x)


def _differentiable(evaluate: Callable) -> Callable:
    """The loss as a function that JAX can differentiate once; each use of it is an evaluation."""

    def ask(x):
        with jax.disable_jit(False):  # the harness's own code stays compiled
            evaluation, gradient = evaluate(x)
        return jnp.asarray(evaluation.loss, x.dtype), gradient

    @jax.custom_jvp
    def loss(x):
        return ask(x)[0]

    @loss.defjvp
    def derivative(primals, tangents):
        value, gradient = ask(primals[0])
        return value, jnp.vdot(gradient, tangents[0])

    return loss


def _try_fused(transformation) -> None:
    """Trace one update: nothing is computed."""

    def once(x):
        state = transformation.init([x])
        updates, new = transformation.update([x], state, [x], value=jnp.sum(x), grad=[x])
        if jax.tree_util.tree_structure(new) != jax.tree_util.tree_structure(state):
            raise ValueError("its state changes its structure")
        return optax.apply_updates([x], updates)

    jax.eval_shape(once, jnp.zeros(SMALLEST))


def _try_steps(optimizer: OptaxOptimizer) -> None:
    """Two steps on half the sum of squares, from a picture of ones."""

    def evaluate(x):
        loss, norm = float(jnp.sum(x * x) / 2), float(jnp.linalg.norm(x))
        return Evaluation(0, 0, loss, {}, norm), x

    x = jnp.ones(SMALLEST)
    state = optimizer.init(x)
    for _ in range(2):
        x, state, _ = optimizer.step(x, state, evaluate)


def _is_key(dtype) -> bool:
    return jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _array(leaf):
    """A leaf of a state as an array that can be stored; a random key as its numbers."""
    leaf = jnp.asarray(leaf)
    return jax.random.key_data(leaf) if _is_key(leaf.dtype) else leaf


def _leaf(array, dtype):
    """The reverse of `_array`, for a leaf of this type."""
    if _is_key(dtype):
        return jax.random.wrap_key_data(jnp.asarray(array))
    return jnp.asarray(array, dtype)


def _names(tree) -> list[str]:
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [f"state{jax.tree_util.keystr(path)}" for path, _ in paths]


def _named(tree) -> dict[str, Any]:
    leaves = map(_array, jax.tree_util.tree_leaves(tree))
    return dict(zip(_names(tree), leaves, strict=True))
