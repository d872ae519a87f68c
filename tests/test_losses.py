"""The formulas against closed-form values (float64 sources; float32 here), and their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nstbench.transfer import losses


def field(shape, function):
    i, j, k = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return function(i, j, k)[None].astype("float32")


F = field((4, 5, 3), lambda i, j, k: np.sin(1 + i + 2 * j + 3 * k))
P = field((4, 5, 3), lambda i, j, k: np.sin(0.3 * i * j + k))
S = field((4, 5, 3), lambda i, j, k: np.cos(0.25 * i**2 - 0.7 * j + 2 * k))
A = field((6, 7, 3), lambda i, j, k: np.cos(0.5 * i + j - k))
X = field((8, 10, 3), lambda i, j, k: 0.5 + 0.5 * np.sin(0.7 * i + 0.3 * j + k))


def content(normalisation):
    factor = losses.CONTENT_FACTORS[normalisation](3, 20, None)
    return factor * float(losses.mean_squared(F, P)[0])


def style(normalisation, target):
    factor = losses.STYLE_FACTORS[normalisation](3, 20, None)
    return factor * float(losses.mean_squared(losses.gram(F), losses.gram(target))[0])


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
        (lambda: float(losses.total_variation_l1(X)[0]), 66.44643293),
        (lambda: float(losses.total_variation_l2(X)[0]), 0.07000109568),
        (lambda: float(losses.total_variation_power(X)[0]), 7.402164809),
    ],
)
def test_closed_form_values(value, expected):
    assert value() == pytest.approx(expected, rel=1e-6)


def test_paper_and_keras_factors_equal_the_formulas_as_printed():
    gram_f = np.einsum("hwc,hwd->cd", F[0], F[0]).astype("float64")
    gram_s = np.einsum("hwc,hwd->cd", S[0], S[0]).astype("float64")
    squares = np.sum((gram_f - gram_s) ** 2)
    assert style("paper", S) == pytest.approx(squares / (4 * 3**2 * 20**2), rel=1e-6)
    factor = losses.STYLE_FACTORS["keras_example"](3, 20, 320)
    mean = float(losses.mean_squared(losses.gram(F), losses.gram(S))[0])
    assert factor * mean == pytest.approx(squares / (4 * 3**2 * 320**2), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 3), h=st.integers(2, 6), w=st.integers(2, 6), seed=st.integers(0, 99))
def test_pictures_of_a_batch_do_not_mix(n, h, w, seed):
    batch = np.random.default_rng(seed).random((n, h, w, 3), dtype="float32")
    for formula in losses.VARIATIONS.values():
        together = np.asarray(formula(batch))
        alone = [float(formula(batch[i : i + 1])[0]) for i in range(n)]
        np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_flat_picture_has_no_variation_and_a_finite_gradient():
    import tensorflow as tf

    flat = tf.Variable(np.full((1, 5, 6, 3), 0.25, "float32"))
    for formula in losses.VARIATIONS.values():
        with tf.GradientTape() as tape:
            value = formula(flat)
        assert float(value[0]) == pytest.approx(0.0, abs=1e-12)
        assert np.isfinite(tape.gradient(value, flat).numpy()).all()
