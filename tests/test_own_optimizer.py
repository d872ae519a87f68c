"""README's own optimizer, word for word, against the same rule in NumPy on the golden pictures."""

import re
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from nstbench import engine as engines
from nstbench.optimizers import find, minimise
from nstbench.settings import compose
from nstbench.transfer import problem as problems

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / "golden"
RATE, BETA, STEPS = 0.002, 0.8, 20  # gentle: no step amplifies the last bits
NOISE = 1e-5  # Adam's float32 deviation over 16 steps (tests/test_golden.py)


def readme_file():
    """The indented block of the README that defines `MyAdam`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text[text.index("    import keras\n") :].splitlines()
    block = []
    for line in lines:
        if line and not line.startswith("    "):
            break
        block.append(line[4:])
    return "\n".join(block).strip() + "\n"


@pytest.mark.real_weights
def test_the_readme_s_optimizer_is_its_rule_in_numpy(tmp_path):
    source = readme_file()
    assert len(re.findall(r"\S.*", source)) <= 15
    file = tmp_path / "my_opt.py"
    file.write_text(source)
    settings = compose.resolve(
        [
            f"content={GOLDEN / 'content.png'}", f"style={GOLDEN / 'style.png'}", "size=64",
            "kernels=direct", f"optimizer={file}:MyAdam", f"lr={RATE}", f"optimizer.beta={BETA}",
        ]
    )  # fmt: skip
    engine = engines.load("cpu")
    problem = problems.load(settings, engine)
    start = problems.start_image(settings, problem.content.pixels)
    optimizer = find.create(settings.optimizer, settings.lr, None, engine)
    epoch = minimise.create(engine, problem.objective, start, optimizer).advance(STEPS)
    losses = np.array([step.loss for step in epoch.steps])

    evaluate = engine.compile_evaluation(problem.objective.terms, problem.objective.parameters)
    x, velocity, expected = start.astype(np.float64), np.zeros(start.shape), []
    for _ in range(STEPS):
        values, gradient = evaluate(ops.convert_to_tensor(x[None].astype(np.float32)))
        expected.append(float(values.loss[0]))
        gradient = np.float64(ops.convert_to_numpy(gradient)[0])
        step = RATE * gradient / np.sqrt(np.mean(np.square(gradient)))
        velocity = BETA * velocity - step
        x = np.clip(x + velocity, 0.0, 1.0)
    np.testing.assert_allclose(losses, expected, rtol=NOISE)
    assert losses.min() < 0.5 * losses[0]
