"""What one update holds and moves, counted: exact, and the same on every machine.

The state is looked at before and after updates on a fixed gradient. An array that changes is
written; every array is taken to be read once, with the image and its gradient. Arrays that hold
several images (a history) are counted image by image.
"""

import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench.cost.record import Counts
from nstbench.optimizers.contract import Evaluation

UPDATES = 3  # looked at together: a first update may leave alone what later ones change
ARITHMETIC = (
    "abs", "add", "atan2", "ceil", "clamp", "cosine", "divide", "exponential",
    "exponential-minus-one", "floor", "log", "log-plus-one", "maximum", "minimum", "multiply",
    "negate", "power", "remainder", "rsqrt", "sign", "sine", "sqrt", "subtract", "tanh", "cbrt",
)  # fmt: skip
_LINE = re.compile(r"= (?:f|bf)\d+\[([\d,]*)\]\S* ([a-z][a-z0-9-]*)\(")


def count(optimizer: Any, engine: Any, gradient: np.ndarray) -> Counts:
    """The counts of `optimizer`, fresh and for this alone; gradient: (H, W, 3).

    What cannot be seen (a library that keeps its own loop) is None.
    """
    if hasattr(optimizer, "step"):
        return _stepwise(optimizer, engine, gradient)
    return _fused(optimizer, engine, gradient)


def _fused(optimizer: Any, engine: Any, gradient: np.ndarray) -> Counts:
    with engine.scope():
        image = keras.Variable(np.full_like(gradient, 0.5), dtype=engine.dtype)
        slope = ops.convert_to_tensor(gradient, dtype=engine.dtype)
        optimizer.build([image])
        update, operations = _compiled(optimizer, engine, image, slope)
        before = _arrays(optimizer.variables)
        for _ in range(UPDATES):
            update()
        return _counted(before, _arrays(optimizer.variables), gradient.size, engine, operations)


def _compiled(optimizer: Any, engine: Any, image: Any, slope: Any):
    """The update as a call without arguments, and its operations per value of the image."""
    value = ops.cast(1.0, engine.dtype)
    extra = {"value": value} if getattr(optimizer, "wants_value", False) else {}
    own = optimizer.variables
    if keras.backend.backend() != "jax":
        in_place = engine.compile(lambda: optimizer.apply([slope], [image], **extra))
        return in_place, operations_of(in_place, (), slope)

    def stateless(pixels, state, slope):
        return optimizer.stateless_apply(state, [slope], [pixels], **extra)

    compiled = engine.compile(stateless)

    def update():
        (pixels,), state = compiled(image.value, [v.value for v in own], slope)
        image.assign(pixels)
        for variable, new in zip(own, state, strict=True):
            variable.assign(new)

    arguments = image.value, [v.value for v in own], slope
    return update, operations_of(compiled, arguments, slope)


def operations_of(compiled: Any, arguments: tuple, image: Any) -> float | None:
    """Arithmetic operations per value of `image`, where XLA tells: its analysis or its code.

    None on a backend without XLA, and where the code holds more than elementwise operations and
    XLA offers no analysis.
    """
    size = int(np.prod(image.shape))
    try:
        if hasattr(compiled, "lower"):
            analysis = compiled.lower(*arguments).compile().cost_analysis()
            analysis = analysis[0] if isinstance(analysis, list) else analysis
            return round(float(analysis["flops"]) / size, 2)
        if hasattr(compiled, "experimental_get_compiler_ir"):
            code = compiled.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
            return _elementwise(code, size)
    except Exception:  # an offer of the backend that may be withdrawn in any version
        return None
    return None


def _elementwise(code: str, size: int) -> float | None:
    if re.search(r" (dot|convolution|custom-call)\(", code):
        return None
    found = 0
    for shape, operation in _LINE.findall(code):
        if operation in ARITHMETIC:
            found += int(np.prod([int(side) for side in shape.split(",") if side], dtype=np.int64))
    return round(found / size, 2)


def _stepwise(optimizer: Any, engine: Any, gradient: np.ndarray) -> Counts:
    if not optimizer.resumable:
        return Counts()
    with engine.scope():
        x = ops.convert_to_tensor(np.full_like(gradient, 0.5)[None], dtype=engine.dtype)
        slope = ops.convert_to_tensor(gradient[None], dtype=engine.dtype)

        def evaluate(point):
            loss = float(ops.convert_to_numpy(ops.sum(point * slope)))
            return Evaluation(1, 1, loss, {"linear": loss}, 1.0), slope

        state = optimizer.init(x)
        before = _of_state(state)
        for _ in range(UPDATES):
            x, state, why = optimizer.step(x, state, evaluate)
            if why:
                break
        after = _of_state(state)
    same = {n: before.get(n, np.zeros(0, array.dtype)) for n, array in after.items()}
    return _counted(list(same.values()), list(after.values()), gradient.size, engine, None)


def _counted(
    before: list[np.ndarray], after: list[np.ndarray], size: int, engine: Any, operations
) -> Counts:
    """Counts from the state before and after some updates."""
    held = sum(array.size for array in after) / size
    held_bytes = sum(array.nbytes for array in after)
    pairs = list(zip(before, after, strict=True))
    changed = sum(_changed(old, new, size) for old, new in pairs) / size
    width = np.dtype(engine.dtype).itemsize
    image_bytes = size * width
    written_bytes = sum(_changed(old, new, size) * new.itemsize for old, new in pairs)
    moved = 3 * image_bytes + held_bytes + int(written_bytes)
    return Counts(
        held=_tidy(held), held_bytes=int(held_bytes), read=_tidy(held + 2),
        written=_tidy(changed + 1), moved_bytes=int(moved), operations=operations,
    )  # fmt: skip


def _changed(before: np.ndarray, after: np.ndarray, size: int) -> int:
    """How many values belong to images of the array that changed; all of another shape."""
    if before.shape != after.shape:
        return after.size
    chunk = size if after.size and after.size % size == 0 else max(after.size, 1)
    old, new = before.reshape(-1, chunk), after.reshape(-1, chunk)
    return chunk * sum(not np.array_equal(a, b) for a, b in zip(old, new, strict=True))


def _tidy(arrays: float) -> float:
    """Arrays of the image's size; counters and rates are a fraction that says nothing."""
    return round(arrays, 2)


def _arrays(variables: list) -> list[np.ndarray]:
    return [np.array(ops.convert_to_numpy(variable.value)) for variable in variables]


def _of_state(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    found = {}
    for name, value in state.items():
        array = np.array(value if isinstance(value, np.ndarray) else ops.convert_to_numpy(value))
        if array.dtype.kind in "fiub":
            found[name] = array
    return found
