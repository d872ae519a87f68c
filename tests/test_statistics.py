"""Style statistics against NumPy, their laws, and what several styles or sizes do to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nstbench.networks import Extractor, Origin
from nstbench.transfer import objective, statistics, terms

RANDOM = np.random.default_rng(7)
FEATURES = RANDOM.standard_normal((2, 5, 7, 3)).astype("float32")


def flat(features):
    return features.reshape(len(features), -1, features.shape[-1]).astype("float64")


def test_centred_gram_is_the_covariance():
    expected = [np.cov(rows, rowvar=False, bias=True) for rows in flat(FEATURES)]
    np.testing.assert_allclose(statistics.centred_gram(FEATURES), expected, rtol=1e-5, atol=1e-6)


def test_shifted_gram_counts_absent_features():
    rows = flat(FEATURES) - 1.0
    expected = np.einsum("nmc,nmd->ncd", rows, rows) / rows.shape[1]
    np.testing.assert_allclose(statistics.shifted_gram(FEATURES), expected, rtol=1e-5)


def test_mean_and_standard_deviation():
    rows = flat(FEATURES)
    expected = np.stack([rows.mean(1), np.sqrt(rows.var(1) + 1e-5)], axis=1)
    np.testing.assert_allclose(statistics.mean_std(FEATURES), expected, rtol=1e-4, atol=1e-6)


def test_sliced_wasserstein_of_a_shift_is_its_length_over_the_channels():
    """Moving every feature by d moves each projection by d.v; the mean of (d.v)^2 is |d|^2/C."""
    shift = np.array([0.3, -1.0, 0.5], "float32")
    moved = statistics.sliced_quantiles(FEATURES + shift)
    distance = np.asarray(terms.mean_squared(moved, statistics.sliced_quantiles(FEATURES)))
    assert distance == pytest.approx([np.sum(shift**2) / 3] * 2, rel=0.3)  # 64 directions
    directions = np.random.default_rng(0).standard_normal((3, statistics.SLICES))
    directions /= np.linalg.norm(directions, axis=0)
    assert distance == pytest.approx([np.mean((shift @ directions) ** 2)] * 2, rel=1e-4)


def test_one_slice_is_the_exact_wasserstein_distance():
    from scipy.stats import wasserstein_distance

    a, b = FEATURES[:1], FEATURES[1:]
    directions = np.random.default_rng(0).standard_normal((3, statistics.SLICES))
    directions /= np.linalg.norm(directions, axis=0)
    difference = np.abs(statistics.sliced_quantiles(a) - statistics.sliced_quantiles(b))[0].mean(
        axis=0
    )
    for k in (0, 17, 63):
        u, v = (flat(x)[0] @ directions[:, k] for x in (a, b))
        assert difference[k] == pytest.approx(wasserstein_distance(u, v), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(terms.STATISTICS)), seed=st.integers(0, 99))
def test_a_statistic_knows_no_positions_and_mixes_no_pictures(name, seed):
    statistic, random = terms.STATISTICS[name], np.random.default_rng(seed)
    features = random.standard_normal((2, 4, 6, 3)).astype("float32")
    order = random.permutation(24)
    shuffled = features.reshape(2, 24, 3)[:, order].reshape(2, 6, 4, 3)
    together = np.asarray(statistic(features))
    np.testing.assert_allclose(together, statistic(shuffled), rtol=1e-4, atol=1e-5)
    alone = np.concatenate([statistic(features[i : i + 1]) for i in range(2)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_resampled_quantiles_are_those_of_numpy():
    values = np.sort(RANDOM.standard_normal((1, 40, 2)), axis=1).astype("float32")
    for rows in (10, 40, 95):
        levels = (np.arange(rows) + 0.5) / rows
        expected = np.quantile(values[0], levels, axis=0, method="hazen")
        np.testing.assert_allclose(statistics.resample(values, rows)[0], expected, atol=1e-6)


@pytest.mark.parametrize("name", terms.STATISTICS)
def test_gradients_are_finite_on_flat_and_on_random_features(name):
    import tensorflow as tf

    statistic = terms.STATISTICS[name]
    target = tf.convert_to_tensor(np.asarray(statistic(FEATURES[:1])))
    for start in (np.zeros_like(FEATURES), FEATURES[::-1]):
        features = tf.Variable(start)
        with tf.GradientTape() as tape:
            value = terms.mean_squared(statistic(features), target)
        gradient = tape.gradient(value, features).numpy()
        assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0  # of the last; flat features may well be a saddle


IDENTITY = Extractor(
    "identity", Origin("none", "0"), [], ("image",), lambda x, parameters, layers: {"image": x}
)


def style_loss(statistic, image, styles):
    term = terms.create("style", {"layers": ["image"], "statistic": statistic})
    built = objective.build(IDENTITY, {"style": term}, image, styles)
    return float(built.terms(image[None], built.parameters)["style"][0])


@pytest.mark.parametrize("statistic", terms.STATISTICS)
def test_a_style_of_another_size(statistic):
    image = RANDOM.random((8, 8, 3), dtype="float32")
    twice = np.tile(image, (2, 1, 1))  # the same distribution, twice the positions
    other = RANDOM.random((5, 9, 3), dtype="float32") ** 3
    # Interpolated quantiles are exact but for the halves of a step at either end.
    assert style_loss(statistic, image, [(twice, 1.0)]) == pytest.approx(0.0, abs=1e-5)
    assert style_loss(statistic, image, [(other, 1.0)]) > 1e-4


@pytest.mark.parametrize("statistic", terms.STATISTICS)
def test_styles_of_different_sizes_blend(statistic):
    image, style = (RANDOM.random((6, 6, 3), dtype="float32") for _ in range(2))
    blend = [(image, 1.0), (np.tile(style, (1, 2, 1)), 3.0)]
    alone = style_loss(statistic, image, [(style, 1.0)])
    mixed = style_loss(statistic, image, blend)
    # The target lies three quarters of the way to the style.
    assert mixed == pytest.approx(alone * 0.75**2, rel=0.05)
