"""The formulas against closed-form values (float64 sources; float32 here), and their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nstbench.errors import SettingsError
from nstbench.transfer import statistics, terms, variation


def field(shape, function):
    i, j, k = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return function(i, j, k)[None].astype("float32")


F = field((4, 5, 3), lambda i, j, k: np.sin(1 + i + 2 * j + 3 * k))
P = field((4, 5, 3), lambda i, j, k: np.sin(0.3 * i * j + k))
S = field((4, 5, 3), lambda i, j, k: np.cos(0.25 * i**2 - 0.7 * j + 2 * k))
A = field((6, 7, 3), lambda i, j, k: np.cos(0.5 * i + j - k))
X = field((8, 10, 3), lambda i, j, k: 0.5 + 0.5 * np.sin(0.7 * i + 0.3 * j + k))


def content(normalisation):
    factor = terms.CONTENT_FACTORS[normalisation](3, 20, None)
    return factor * float(terms.mean_squared(F, P)[0])


def style(normalisation, target):
    factor = terms.STYLE_FACTORS[normalisation](3, 20, None)
    return factor * float(terms.mean_squared(statistics.gram(F), statistics.gram(target))[0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: content("mean"), 0.9918771472),
        (lambda: content("half_sum"), 29.75631441),
        (lambda: content("sum"), 2 * 29.75631441),
        (lambda: style("mean", A), 0.3527543225),
        (lambda: style("mean", S), 0.1739060596),
        (lambda: style("per_channel", A), 0.03919492472),
        (lambda: style("per_channel", S), 0.01932289551),
        (lambda: style("paper", S), 0.0434765149),
        (lambda: float(variation.total_variation_l1(X)[0]), 66.44643293),
        (lambda: float(variation.total_variation_l2(X)[0]), 0.07000109568),
        (lambda: float(variation.total_variation_power(X)[0]), 7.402164809),
    ],
)
def test_closed_form_values(value, expected):
    assert value() == pytest.approx(expected, rel=1e-6)


def test_paper_and_keras_factors_equal_the_formulas_as_printed():
    gram_f = np.einsum("hwc,hwd->cd", F[0], F[0]).astype("float64")
    gram_s = np.einsum("hwc,hwd->cd", S[0], S[0]).astype("float64")
    squares = np.sum((gram_f - gram_s) ** 2)
    assert style("paper", S) == pytest.approx(squares / (4 * 3**2 * 20**2), rel=1e-6)
    factor = terms.STYLE_FACTORS["keras_example"](3, 20, 320)
    mean = float(terms.mean_squared(statistics.gram(F), statistics.gram(S))[0])
    assert factor * mean == pytest.approx(squares / (4 * 3**2 * 320**2), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 3), h=st.integers(2, 6), w=st.integers(2, 6), seed=st.integers(0, 99))
def test_pictures_of_a_batch_do_not_mix(n, h, w, seed):
    batch = np.random.default_rng(seed).random((n, h, w, 3), dtype="float32")
    for formula in variation.VARIATIONS.values():
        together = np.asarray(formula(batch))
        alone = [float(formula(batch[i : i + 1])[0]) for i in range(n)]
        np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_flat_picture_has_no_variation_and_a_finite_gradient():
    import tensorflow as tf

    flat = tf.Variable(np.full((1, 5, 6, 3), 0.25, "float32"))
    for formula in variation.VARIATIONS.values():
        with tf.GradientTape() as tape:
            value = formula(flat)
        assert float(value[0]) == pytest.approx(0.0, abs=1e-12)
        assert np.isfinite(tape.gradient(value, flat).numpy()).all()


# ---- terms of one's own -------------------------------------------------------------------------

EDGES = """
from keras import ops

class Edges:
    layers = ()

    def __init__(self, power=2.0):
        self.power = power

    def target(self, inputs):
        return inputs.content.pixels[:, 1:] - inputs.content.pixels[:, :-1]

    def __call__(self, image, features, target):
        difference = image[:, 1:] - image[:, :-1] - target
        return ops.mean(ops.abs(difference) ** self.power, axis=(1, 2, 3))

def means(features):
    return ops.mean(features, axis=(1, 2))[:, None, :]

def broken():
    return 3
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(EDGES)
    return str(tmp_path / "mine.py")


def test_a_term_from_a_file(own):
    term, weight = terms.create("edges", {"target": f"{own}:Edges", "weight": 3, "power": 1.0})
    assert weight == 3.0
    inputs = terms.Inputs(terms.View(X, lambda layers: {}), ())
    target = term.target(inputs)
    assert float(term(X, {}, target)[0]) == 0.0
    assert float(term(2 * X, {}, target)[0]) > 0.0


def test_a_statistic_from_a_file(own):
    term, _ = terms.create("style", {"layers": ["a"], "statistic": f"{own}:means"})
    view = terms.View(X, lambda layers: {"a": A})
    target = term.target(terms.Inputs(view, ((view, 1.0),)))
    expected = np.mean((np.mean(F, axis=(1, 2)) - np.mean(A, axis=(1, 2))) ** 2)
    assert float(term(X, {"a": F}, target)[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "contents"}, "did you mean content"),
        ({"target": "content", "layers": ["a"], "normalization": "sum"}, "normalisation"),
        ({"target": "content"}, "needs layers"),
        ({"target": "style", "layers": ["a"], "statistic": "grams"}, "did you mean gram"),
        ({"target": "nowhere.at.all"}, "package nowhere is not installed"),
    ],
)
def test_what_is_wrong_with_a_term_is_one_line(settings, message):
    with pytest.raises(SettingsError, match=message) as error:
        terms.create("mine", settings)
    assert "\n" not in str(error.value)


def test_what_makes_no_term_is_told(own):
    with pytest.raises(SettingsError, match="makes no term"):
        terms.create("mine", {"target": f"{own}:broken"})


def test_activation_falls_where_features_grow():
    term, _ = terms.create("activation", {"layers": ["a"]})
    assert float(term(X, {"a": 2 * F}, None)[0]) == pytest.approx(
        4 * float(term(X, {"a": F}, None)[0])
    )
