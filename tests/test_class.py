"""`NeuralStyleTransfer`: a thin face over the core, with the published class's constants."""

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from keras import ops
from PIL import Image

from nstbench import NeuralStyleTransfer, style_transfer
from nstbench import engine as engines
from nstbench.errors import ImageError, SettingsError
from nstbench.run import progress
from nstbench.settings import compose

SIZE = 32


def fit(model, **options):
    return model.fit_style_transfer(**({"epochs": 1, "steps_per_epoch": 2} | options))


def preset():
    return compose.resolve([f"experiment={style_transfer.EXPERIMENT}"])


def tiny_model():
    import keras

    keras.utils.set_random_seed(0)
    picture = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first_conv")(picture)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="second_conv")(x)
    x = keras.layers.Conv2D(6, 3, name="third_conv")(x)
    return keras.Model(picture, x, name="tiny")


@pytest.fixture(scope="module")
def tiny():
    return NeuralStyleTransfer("wave", "cat", tiny_model(), 2, 2, size=SIZE)


def test_the_layers_are_the_first_convolutions_and_those_before_the_last():
    whole = NeuralStyleTransfer("wave", "cat", "vgg19", weights="random", size=SIZE)
    assert whole.style_layers == (
        "block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1",
    )  # fmt: skip
    assert whole.content_layers == (
        "block5_conv3", "block5_conv2", "block5_conv1", "block4_conv4", "block4_conv3",
    )  # fmt: skip


def test_every_step_gives_a_picture_and_pictures_keep_their_proportions(tiny):
    way = fit(tiny, epochs=2, steps_per_epoch=3, learning_rate=8.0)
    assert len(way) == 6
    assert all(isinstance(image, Image.Image) and image.mode == "RGB" for image in way)
    width, height = way[0].size
    assert max(width, height) == SIZE and width != height  # the cat's picture is no square
    distances = [np.abs(np.subtract(way[-1], image, dtype=float)).max() for image in way]
    assert distances[0] > distances[-2] > 0


def test_the_first_step_is_adams_at_the_rate_for_pixels_to_255(tiny):
    """Adam's first step moves every pixel by the rate, whatever the gradient's size."""
    start = np.rint(tiny.content * 255)
    moved = np.abs(np.asarray(fit(tiny, learning_rate=5.0, steps_per_epoch=1)[0]) - start)
    inside = (start > 5) & (start < 250)
    assert np.median(moved[inside]) == 5
    assert moved.max() <= 5


def test_the_loss_is_the_published_one(tiny):
    """Weights, halves and scales, against NumPy on the same features."""
    engine = engines.load()
    problem = tiny._objective(preset(), style_weight=0.3, content_weight=40.0, var_weight=2.0)
    image = np.random.default_rng(0).random((1, *tiny.content.shape), np.float32)
    terms = engine.to_numpy(problem.terms(image, problem.parameters))

    def features(pixels, layers):
        found = tiny.extractor.features(
            ops.convert_to_tensor(pixels), tiny.extractor.parameters, layers
        )
        return [np.float64(engine.to_numpy(found[layer])[0]) for layer in layers]

    def gram(f):
        flat = f.reshape(-1, f.shape[-1])
        return flat.T @ flat / len(flat)

    pairs = [
        zip(features(image, layers), features(target[None], layers), strict=True)
        for layers, target in ((tiny.content_layers, tiny.content), (tiny.style_layers, tiny.style))
    ]
    content = sum(20.0 * np.mean((f - p) ** 2) for f, p in pairs[0])
    style = sum(0.3 * np.mean((gram(f) - gram(a)) ** 2) for f, a in pairs[1])
    pixels = 255.0 * image[0].astype(float)
    variation = 2.0 * sum(np.abs(np.diff(pixels, axis=axis)).sum() for axis in (0, 1))
    expected = {"content": content, "style": style, "variation": variation}
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name][0], value, rtol=1e-4)


def test_paths_arrays_and_pillow_images_are_taken_alike(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    sources = (tmp_path / "picture.png", str(tmp_path / "picture.png"), pixels)
    model = tiny_model()
    made = [
        NeuralStyleTransfer(source, source, model, 1, 1, size=SIZE)
        for source in (*sources, Image.fromarray(pixels))
    ]
    for each in made:
        assert np.array_equal(each.content, made[0].content)
        assert np.array_equal(each.style, made[0].style)


def test_a_model_is_an_extractor_with_the_weights_it_has():
    model = tiny_model()
    made = NeuralStyleTransfer("wave", "cat", model, 2, 1, size=SIZE)
    assert made.style_layers == ("first_conv", "second_conv")
    assert made.content_layers == ("second_conv",)
    before = [np.array(variable.numpy()) for variable in model.variables]
    way = fit(made, steps_per_epoch=5, style_weight=1e-7, content_weight=0, var_weight=0)
    assert len(way) == 5
    for variable, value in zip(model.variables, before, strict=True):
        assert np.array_equal(variable.numpy(), value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extractor": "vgg91", "weights": "random"}, "did you mean vgg19"),
        ({"n_style_layers": 4}, "n_style_layers=4 must be from 1 to 3"),
        ({"n_content_layers": 3}, "n_content_layers=3 must be from 1 to 2"),
    ],
)
def test_a_wrong_choice_is_one_line(options, message):
    options = {"extractor": tiny_model(), "n_style_layers": 1, "n_content_layers": 1} | options
    with pytest.raises(SettingsError, match=message) as caught:
        NeuralStyleTransfer("wave", "cat", size=SIZE, **options)
    assert "\n" not in str(caught.value)


def test_a_missing_picture_is_one_line():
    with pytest.raises(ImageError, match="nowhere.jpg"):
        NeuralStyleTransfer("nowhere.jpg", "cat", tiny_model(), 1, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0}, {"epochs": 1.5}, {"steps_per_epoch": "9"}, {"learning_rate": -1},
        {"learning_rate": "fast"}, {"var_weight": -2}, {"style_weight": None}, {"show_interval": 0},
    ],
)  # fmt: skip
def test_a_wrong_number_is_one_line(tiny, options):
    (name,) = options
    with pytest.raises(SettingsError, match=name):
        fit(tiny, **options)


def notebook(monkeypatch, kernel):
    """A stand-in for IPython, which is no dependency; returns what it was asked to show."""
    shown = []
    place = SimpleNamespace(update=lambda image: shown.append(("update", image)))

    def display(image, display_id):
        shown.append(("new", image))
        return place

    ipython, module = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=kernel)
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


def test_a_notebook_shows_every_interval_in_one_place(monkeypatch, tiny):
    shown = notebook(monkeypatch, kernel=object())
    way = fit(tiny, steps_per_epoch=5, show_interval=2)
    assert [kind for kind, _ in shown] == ["new", "update", "update"]
    assert [image for _, image in shown] == [way[0], way[2], way[4]]


def test_a_notebook_shows_nothing_unasked_and_a_terminal_nothing_at_all(monkeypatch, tiny):
    shown = notebook(monkeypatch, kernel=object())
    fit(tiny, show_image=False)
    assert not shown
    shown = notebook(monkeypatch, kernel=None)
    fit(tiny)
    assert not shown


def test_a_script_hears_how_far_it_is_unless_it_wants_quiet(monkeypatch, capsys, tiny):
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
    fit(tiny, epochs=2, steps_per_epoch=2)
    output, errors = capsys.readouterr()
    assert output == "" and "step 1/4  loss" in errors and "step 4/4  loss" in errors
    fit(tiny, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_what_is_no_picture_is_one_line():
    for source in (["cat"], 7, None):
        with pytest.raises(ImageError, match="is no picture"):
            NeuralStyleTransfer("wave", source, tiny_model(), 1, 1)


def test_the_package_alone_is_light():
    code = (
        "import sys, nstbench; print(sorted({'keras', 'numpy', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_preset_is_the_class_as_its_readme_calls_it():
    made = NeuralStyleTransfer("wave", "cat", weights="random", size=75)
    settings = preset()
    layers = {name: set(term.get("layers", ())) for name, term in settings.objective.terms.items()}
    assert layers["style"] == set(made.style_layers)
    assert layers["content"] == set(made.content_layers)
    assert settings.lr == pytest.approx(80 / 255)
    assert settings.schedule.options["decay_rate"] == 0.8
    assert settings.schedule.options["decay_steps"] == 100
