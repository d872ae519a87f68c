"""The published systems: each runs as a preset, and each objective is what its source prints.

The second half evaluates the objectives a second time, in NumPy and double precision, written the
way each system writes them, with the real weights on the golden pictures.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from nstbench import engine as engines
from nstbench.networks import weights
from nstbench.optimizers import find, minimise, schedules
from nstbench.pictures import images
from nstbench.run import loop as runner
from nstbench.run.listener import Silent
from nstbench.settings import compose
from nstbench.sweep import plan
from nstbench.transfer import problem as problems

GOLDEN = Path(__file__).parent / "golden"
PICTURES = [f"content={GOLDEN / 'content.png'}", f"style={GOLDEN / 'style.png'}"]
FAMILIES = ["texture_synthesis", "feature_inversion", "deep_dream"]
SYSTEMS = [n for n in compose.choices("experiment") if n not in FAMILIES]
# Rates that suit a picture of 32 pixels and random weights, whose features are far larger where the
# real ones see pixels of unit variance. Inception v3 needs a larger picture.
AT_TEST_SIZE = {
    "keras_example": ["size=32", "keep_aspect=false", "lr=1e-6"],
    "gradient_descent_vgg16": ["size=32", "lr=1e-12"],
    "tf_tutorial": ["size=32", "lr=0.002"],
    "style_transfer_class": ["size=80", "lr=0.01"],
}


def first_steps(overrides, engine, steps=3):
    settings = compose.resolve([*overrides, "weights=random", "kernels=direct"])
    problem = problems.load(settings, engine)
    start = problems.start_image(settings, problem.content.pixels)
    schedule = schedules.build(settings.schedule, settings.epochs * settings.steps_per_epoch)
    optimizer = find.create(settings.optimizer, settings.lr, schedule, engine)
    descent = minimise.create(engine, problem.objective, start, optimizer, settings.optimizer.box)
    epoch = descent.advance(steps)
    return [step.loss for step in epoch.steps] + [descent.evaluate().loss]


@pytest.mark.parametrize("name", [*SYSTEMS, *FAMILIES])
def test_each_system_takes_steps_downhill(name, eager):
    overrides = AT_TEST_SIZE.get(name, ["size=32"])
    losses = first_steps([f"experiment={name}", *overrides], eager)
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < losses[0]


@pytest.mark.parametrize("name", sorted({*compose.choices("objective")} - {*SYSTEMS, *FAMILIES}))
def test_each_objective_takes_steps_downhill(name, eager):
    losses = first_steps([f"objective={name}", "optimizer=lbfgs", "size=32"], eager, steps=2)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("name", "size"), [("vgg16", 32), ("alexnet", 64), ("inception_v3", 80)])
def test_each_network_brings_layers_of_its_own(name, size, eager):
    losses = first_steps([f"extractor={name}", "optimizer=lbfgs", f"size={size}"], eager, steps=2)
    assert losses[-1] < losses[0]


def test_suites_name_every_system_and_objective():
    systems = {run.settings.experiment for run in plan.make(["suite=systems"]).runs}
    # Keras fetches Inception v3's weights, and only when it is online.
    assert systems == {*SYSTEMS} - {"style_transfer_class"}
    shown = [run.settings.objective.name for run in plan.make(["suite=objectives"]).runs]
    # Two presets are others of the list with another weight or another network.
    assert {*shown} == {*compose.choices("objective")} - {"lbfgs_report", "gatys_paper", *FAMILIES}


def test_the_tutorials_adam_is_not_the_reports():
    tutorial, report = (
        compose.resolve(o).optimizer.options for o in (["experiment=tf_tutorial"], [])
    )
    assert (tutorial["beta_1"], tutorial["epsilon"]) == (0.99, 0.1)
    assert (report["beta_1"], report["epsilon"]) == (0.9, 1e-7)


def test_a_rate_for_0_to_255_moves_a_picture_in_0_to_1_alike():
    """f(255 x) has 255 times the gradient of f, and a step in x is 1/255 of one in its pixels."""
    settings = compose.resolve(["experiment=keras_example"])
    x255, gradient255 = np.array([17.0, 230.0]), np.array([0.3, -0.8])
    stepped = x255 / 255 - settings.lr * (255 * gradient255)
    np.testing.assert_allclose(255 * stepped, x255 - 100 * gradient255, rtol=1e-12)


def test_a_decaying_rate_follows_its_schedule(eager):
    settings = compose.resolve(
        ["optimizer=sgd", "lr=2", "schedule=exponential", "schedule.decay_rate=0.96",
         "schedule.decay_steps=100"]
    )  # fmt: skip
    schedule = schedules.build(settings.schedule, 250)
    optimizer = find.create(settings.optimizer, settings.lr, schedule, eager)
    pixel = keras.Variable([0.0])
    optimizer.build([pixel])
    for step in range(3):
        before = float(pixel.value[0])
        optimizer.apply([ops.ones((1,))], [pixel])
        moved = before - float(pixel.value[0])
        assert moved == pytest.approx(2.0 * 0.96 ** (step / 100), rel=1e-5)


def test_the_reference_is_the_default_objective_whatever_the_runs_own(tmp_path, monkeypatch, eager):
    monkeypatch.setattr(engines, "load", lambda *_: eager)
    common = ["size=32", "weights=random", "epochs=2", "steps_per_epoch=1", "kernels=direct"]
    own, other = (
        runner.run(compose.resolve([*common, f"out={tmp_path}", *o]), Silent())
        for o in (["objective=report"], ["objective=neural_style"])
    )
    assert own.reference.loss == pytest.approx(own.final.loss, rel=1e-6)
    assert other.reference.loss != pytest.approx(other.final.loss, rel=0.1)
    problem = problems.load(compose.resolve(common), eager)
    saved = images.load(tmp_path / "runs" / other.id / "image.png", 32).pixels[None]
    terms = problem.objective.terms(ops.convert_to_tensor(saved), problem.objective.parameters)
    for name in ("content", "style"):  # the saved picture is rounded to 256 levels
        assert other.reference.terms[name] == pytest.approx(float(terms[name][0]), rel=0.02)


# ---------------------------------------------------------------- once more, in NumPy


BLOCKS = (2, 2, 4, 4, 4)
CONVS = [f"block{b}_conv{i}" for b, n in enumerate(BLOCKS, 1) for i in range(1, n + 1)]
FIRST_OF_BLOCKS = [f"block{b}_conv1" for b in range(1, 6)]


def vgg19(image, layers, pool):
    """All convolutions of VGG-19 before (`.pre`) and after the ReLU, float64."""
    x = 255.0 * image.astype("float64")[..., ::-1] - (103.939, 116.779, 123.68)
    found = {}
    for name in CONVS:
        if name.endswith("conv1") and name != "block1_conv1":
            h, w, c = x.shape
            x = pool(x[: h // 2 * 2, : w // 2 * 2].reshape(h // 2, 2, w // 2, 2, c), axis=(1, 3))
        kernel, bias = (array.astype("float64") for array in layers[name])
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
        x = np.einsum("hwcij,ijck->hwk", windows, kernel, optimize=True) + bias
        found[f"{name}.pre"] = x
        x = found[name] = np.maximum(x, 0.0)
    return found


def raw_gram(features):
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat


def mse(a, b):
    return np.mean((a - b) ** 2)


def absolute_variation(image):
    return np.abs(np.diff(image, axis=0)).sum() + np.abs(np.diff(image, axis=1)).sum()


def report(x, f, p, a):
    def gram(features):
        return raw_gram(features) / (features.shape[0] * features.shape[1])

    content = 1e4 * mse(f["block5_conv2"], p["block5_conv2"])
    style = sum(mse(gram(f[layer]), gram(a[layer])) for layer in FIRST_OF_BLOCKS) * 1e-2 / 5
    return content, style, 30 * absolute_variation(x)


def neural_style(x, f, p, a):
    def gram(features):
        return raw_gram(features) / features.size

    content = 5 * mse(f["block4_conv2"], p["block4_conv2"])
    style = sum(100 * mse(gram(f[layer]), gram(a[layer])) for layer in FIRST_OF_BLOCKS)
    return content, style, 1e-3 * absolute_variation(255 * x)


def gatys_notebook(x, f, p, a):
    def gram(features):
        return raw_gram(features) / (features.shape[0] * features.shape[1])

    sizes = dict(zip(FIRST_OF_BLOCKS, (64, 128, 256, 512, 512), strict=True))
    style = sum(1e3 / n**2 * mse(gram(f[layer]), gram(a[layer])) for layer, n in sizes.items())
    return mse(f["block4_conv2"], p["block4_conv2"]), style, 0.0


def pytorch_tutorial(x, f, p, a, style_weight=1e6):
    def gram(features):
        h, w, c = features.shape
        return raw_gram(features) / (1 * c * h * w)

    taps = [f"{name}.pre" for name in CONVS[:5]]
    style = sum(mse(gram(f[tap]), gram(a[tap])) for tap in taps)
    return mse(f[f"{CONVS[3]}.pre"], p[f"{CONVS[3]}.pre"]), style_weight * style, 0.0


def lbfgs_report(x, f, p, a):
    return pytorch_tutorial(x, f, p, a, style_weight=100_000)


def keras_example(x, f, p, a):
    rows, columns, _ = x.shape
    style = sum(
        1e-6 / 5 * np.sum((raw_gram(f[layer]) - raw_gram(a[layer])) ** 2)
        / (4.0 * 3**2 * (rows * columns) ** 2)
        for layer in FIRST_OF_BLOCKS
    )  # fmt: skip
    content = 2.5e-8 * np.sum((f["block5_conv2"] - p["block5_conv2"]) ** 2)
    pixels = 255 * x
    down = (pixels[:-1, :-1] - pixels[1:, :-1]) ** 2
    right = (pixels[:-1, :-1] - pixels[:-1, 1:]) ** 2
    return content, style, 1e-6 * np.sum((down + right) ** 1.25)


def gatys_paper(x, f, p, a, beta=1e3):
    content = np.sum((f["block4_conv2"] - p["block4_conv2"]) ** 2) / 2
    style = 0.0
    for layer in FIRST_OF_BLOCKS:
        h, w, n = f[layer].shape
        difference = raw_gram(f[layer]) - raw_gram(a[layer])
        style += np.sum(difference**2) / (4 * n**2 * (h * w) ** 2) / 5
    return content, beta * style, 0.0


def style_transfer_class(x, f, p, a):
    def gram(features):
        return raw_gram(features) / (features.shape[0] * features.shape[1])

    content = sum(0.5 * 1e4 * mse(f[layer], p[layer]) for layer in CONVS[-6:-1])
    style = sum(1e-2 * mse(gram(f[layer]), gram(a[layer])) for layer in CONVS[:5])
    return content, style, 2 * absolute_variation(255 * x)


def pixels(name):
    return images.load(GOLDEN / f"{name}.png", 64).pixels


@pytest.fixture(scope="module")
def numpy_features(real_weights):
    layers = real_weights.layers
    return [vgg19(pixels(n), layers, np.max) for n in ("midpoint", "content", "style")]


def assert_terms(overrides, expected, engine):
    settings = compose.resolve([*PICTURES, "size=64", "kernels=direct", *overrides])
    problem = problems.load(settings, engine)
    image = ops.convert_to_tensor(pixels("midpoint")[None])
    terms = problem.objective.terms(image, problem.objective.parameters)
    for name, value in zip(("content", "style", "variation"), expected, strict=True):
        found = float(terms[name][0]) if name in terms else 0.0
        assert found == pytest.approx(value, rel=1e-4), name


@pytest.mark.real_weights
@pytest.mark.parametrize(
    "formula",
    [
        report, neural_style, gatys_notebook, pytorch_tutorial, lbfgs_report, keras_example,
        gatys_paper, style_transfer_class,
    ],
    ids=lambda formula: formula.__name__,
)  # fmt: skip
def test_each_published_objective_in_numpy(formula, numpy_features, eager):
    expected = formula(pixels("midpoint"), *numpy_features)
    assert_terms([f"objective={formula.__name__}"], expected, eager)


@pytest.mark.real_weights
def test_the_papers_network_has_average_pools_and_rescaled_weights(eager):
    layers = weights.load("vgg19", "normalised").layers
    found = [vgg19(pixels(n), layers, np.mean) for n in ("midpoint", "content", "style")]
    expected = gatys_paper(pixels("midpoint"), *found, beta=1e7)
    assert_terms(["experiment=gatys_paper", "init=content"], expected, eager)
