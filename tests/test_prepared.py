"""A network's arrays prepared ahead: the same ones, taken once, and nothing fetched unasked."""

import subprocess
import sys

import numpy as np
import pytest

from nstbench import winograd
from nstbench.errors import WeightsError
from nstbench.networks import prepared
from nstbench.run import ahead
from nstbench.settings import compose

ASKED = ("vgg19", "random", 3, 64 * 64)


def test_what_was_begun_is_what_is_prepared_on_demand():
    taken, made = prepared.begin(*ASKED).take(ASKED), prepared.prepare(*ASKED)
    assert taken.weights.sha256 == made.weights.sha256
    assert list(taken.arrays) == list(made.arrays)
    for name in made.arrays:
        mine, other = taken.arrays[name].result(), made.arrays[name].result()
        assert mine.keys() == other.keys()
        for key in mine:
            np.testing.assert_array_equal(mine[key], other[key])


def test_it_is_taken_once_and_by_nobody_who_asks_for_another():
    begun = prepared.begin(*ASKED)
    assert begun.take(("vgg19", "random", 4, 64 * 64)) is None
    begun = prepared.begin(*ASKED)
    assert begun.take(ASKED) and begun.take(ASKED) is None


def test_layers_with_direct_kernels_and_other_networks_have_no_arrays():
    blocks = {name.partition("_")[0] for name in prepared.prepare(*ASKED).arrays}
    assert blocks == {"block1", "block2"}  # of 64 x 64 pixels
    assert prepared.prepare("vgg19", "random").arrays == {}
    assert prepared.prepare("alexnet", "random", 0, 64 * 64).arrays == {}


def test_nothing_is_fetched_in_the_background(tmp_path, monkeypatch):
    monkeypatch.setenv("NSTBENCH_HOME", str(tmp_path))
    assert prepared.begin("vgg19", "imagenet", 0, None) is None
    assert prepared.begin("alexnet", "imagenet", 0, None) is None
    assert prepared.begin("resnet50", "imagenet", 0, None) is None


def test_an_error_is_raised_where_the_network_is_wanted(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    asked = ("vgg19", str(tmp_path / "broken.npz"), 0, None)
    with pytest.raises(WeightsError, match="broken.npz is no weights file"):
        prepared.begin(*asked).take(asked)


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [([], True), (["kernels=direct"], True), (["keep_aspect=true"], False),
     (["extractor=resnet50"], False)],
)  # fmt: skip
def test_a_run_begins_what_its_settings_tell(arguments, begins):
    settings = compose.resolve(["weights=random", "size=64", *arguments])
    assert (ahead.begin(settings) is not None) == begins


def test_no_framework_is_needed():
    command = "import sys; from nstbench.run import ahead; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_products_are_those_of_the_definition():
    """G g G' of every kernel, in double precision."""
    kernel = np.random.default_rng(0).standard_normal((3, 3, 20, 700)).astype("float32")
    matrix = winograd.tile_transforms()[1]
    expected = np.einsum("pa,qb,abck->qpck", matrix, matrix, kernel.astype("float64"))
    layer = winograd.prepare(kernel, np.zeros(700, "float32"), winograd.Fast.BOTH)
    np.testing.assert_allclose(
        layer["winograd"], expected.reshape(36, 20, 700), rtol=1e-6, atol=1e-6
    )
