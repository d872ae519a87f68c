"""Networks against golden values and against a plain NumPy implementation."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from nstbench import engine as engines
from nstbench import networks
from nstbench.errors import SettingsError, WeightsError
from nstbench.networks import weights
from nstbench.pictures import images
from nstbench.settings import compose
from nstbench.transfer import problem

GOLDEN = Path(__file__).parent / "golden"


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, height, width, 3), np.float32)


def features(extractor, image, *layers):
    found = extractor.features(ops.convert_to_tensor(image), extractor.parameters, layers)
    return {layer: ops.convert_to_numpy(tensor) for layer, tensor in found.items()}


# ---------------------------------------------------------------- an independent implementation


def convolution(x, kernel, bias, stride=1, padding=None):
    """x (h, w, C), kernel (k, k, C, K), all in float64; zero padding."""
    size = kernel.shape[0]
    pad = size // 2 if padding is None else padding
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
    return np.einsum("hwcab,abck->hwk", windows[::stride, ::stride], kernel, optimize=True) + bias


def pool(x, size, reduce):
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
    return reduce(windows[::2, ::2], axis=(-2, -1))


def numpy_vgg(loaded, image, layers, reduce):
    x = image[0, :, :, ::-1].astype(np.float64) * 255 - [103.939, 116.779, 123.68]
    found = {}
    for name, (kernel, bias) in loaded.layers.items():
        if name.endswith("conv1") and name != "block1_conv1":
            x = pool(x, 2, reduce)
        found[f"{name}.pre"] = x = convolution(x, kernel, bias)
        found[name] = x = np.maximum(x, 0)
        if set(layers) <= set(found):
            return found
    raise AssertionError(layers)


def close(actual, expected, rounding=1e-5):
    """Within `rounding` of the largest value, the scale on which float32 sums err."""
    np.testing.assert_allclose(actual, expected, atol=rounding * np.abs(expected).max(), rtol=0)


# ---------------------------------------------------------------- VGG


def test_real_vgg19_has_the_golden_activations(real_weights):
    golden = json.loads((GOLDEN / "golden.json").read_text())["mean_activation"]
    image = np.asarray(Image.open(GOLDEN / "midpoint.png"), np.float32)[None] / 255
    extractor = networks.build("vgg19")
    assert extractor.weights.sha256 == real_weights.sha256
    for layer, activation in features(extractor, image, *golden).items():
        assert activation.mean(dtype=np.float64) == pytest.approx(golden[layer], rel=1e-6)


@pytest.mark.parametrize("kernels", ["direct", "fast"])
@pytest.mark.parametrize("pooling, reduce", [("max", np.max), ("avg", np.mean)])
def test_vgg_agrees_with_numpy(pooling, reduce, kernels):
    layers = ("block1_conv1.pre", "block1_conv1", "block2_conv2", "block3_conv1.pre")
    image = picture(18, 21)  # an odd width: the pool drops the last column
    extractor = networks.build(
        "vgg16", options={"pooling": pooling}, weights="random", kernels=kernels
    )
    expected = numpy_vgg(weights.load("vgg16", "random"), image, layers, reduce)
    for layer, actual in features(extractor, image, *layers).items():
        close(actual[0], expected[layer])


def test_vgg_layers_bear_keras_names():
    model = keras.applications.VGG19(weights=None, include_top=False, input_shape=(None, None, 3))
    extractor = networks.build("vgg19", weights="random")
    names = [layer for layer in extractor.layers if not layer.endswith(".pre")]
    assert names == [layer.name for layer in model.layers[1:]]


def test_images_of_a_batch_do_not_mix():
    extractor = networks.build("vgg16", weights="random")
    pictures = [picture(16, 16, seed) for seed in range(3)]
    together = features(extractor, np.concatenate(pictures), "block2_conv1")["block2_conv1"]
    for index, alone in enumerate(pictures):
        close(together[index], features(extractor, alone, "block2_conv1")["block2_conv1"][0])


def test_only_what_is_needed_is_computed():
    extractor = networks.build("vgg19", weights="random")
    needed = {"block1_conv1": extractor.parameters["block1_conv1"]}
    image = ops.convert_to_tensor(picture(16, 16))
    assert list(extractor.features(image, needed, ("block1_conv1",))) == ["block1_conv1"]
    with pytest.raises(KeyError):
        extractor.features(image, needed, ("block1_conv2",))


def test_wrong_names_suggest_the_nearest():
    extractor = networks.build("vgg16", weights="random")
    with pytest.raises(SettingsError, match="layer of vgg16 'block5_conv4'; did you mean block5"):
        features(extractor, picture(16, 16), "block5_conv4")
    for name, hint in (("vgg_19", "vgg19"), ("inceptoin_v3", "inceptionv3")):
        with pytest.raises(SettingsError, match=f"did you mean {hint}"):
            networks.build(name, weights="random")
    with pytest.raises(SettingsError, match="choose from avg, max|did you mean max"):
        networks.build("vgg19", options={"pooling": "maximum"}, weights="random")
    with pytest.raises(SettingsError, match="option of vgg19 'poling'; did you mean pooling"):
        networks.build("vgg19", options={"poling": "max"}, weights="random")
    for name in ("alexnet", "resnet50"):
        with pytest.raises(SettingsError, match=f"{name} has no options: leave out extractor.pool"):
            networks.build(name, options={"pooling": "avg"}, weights="random")
    with pytest.raises(SettingsError, match="option of mobilenet 'alhpa'; did you mean alpha"):
        networks.build("mobilenet", options={"alhpa": 0.5}, weights="random")
    with pytest.raises(SettingsError, match="unknown kernels"):
        networks.build("vgg19", weights="random", kernels="fastest")


# ---------------------------------------------------------------- AlexNet


def test_alexnet_agrees_with_numpy():
    loaded = weights.load("alexnet", "random", seed=4)
    image = picture(67, 71)
    x = (image[0].astype(np.float64) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = {}
    for name, (kernel, bias) in loaded.layers.items():
        if name in ("conv2", "conv3"):
            x = pool(x, 3, np.max)
        is_first = name == "conv1"
        x = convolution(x, kernel, bias, 4, 2) if is_first else convolution(x, kernel, bias)
        expected[f"{name}.pre"] = x
        expected[name] = x = np.maximum(x, 0)
    expected["pool5"] = pool(x, 3, np.max)
    extractor = networks.build("alexnet", weights="random", seed=4)
    assert set(expected) == set(extractor.layers) - {"pool1", "pool2"}
    for layer, actual in features(extractor, image, *expected).items():
        close(actual[0], expected[layer])


# ---------------------------------------------------------------- keras.applications


@pytest.fixture(scope="module")
def mobilenet():
    return networks.build("mobilenet_v2", weights="random", seed=5)


def test_application_is_the_model_with_its_own_preprocessing(mobilenet):
    model = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(None, None, 3)
    )
    model.set_weights([ops.convert_to_numpy(value) for value in mobilenet.parameters])
    image = picture(64, 96)
    expected = model.predict(image * 2 - 1, verbose=0)
    actual = features(mobilenet, image, "out_relu")["out_relu"]
    close(actual, expected, rounding=1e-4)  # after 52 convolutions


def test_application_computes_no_deeper_than_needed_from_its_arguments(mobilenet):
    image, layer = ops.convert_to_tensor(picture(32, 32)), "Conv1"
    first, *rest = mobilenet.parameters
    doubled = mobilenet.features(image, [2 * first, *(None for _ in rest)], (layer,))[layer]
    once = mobilenet.features(image, mobilenet.parameters, (layer,))[layer]
    close(ops.convert_to_numpy(doubled), 2 * ops.convert_to_numpy(once))


def test_second_model_of_a_process_has_the_same_names_and_values():
    """Keras counts unnamed layers through the process: conv2d_94 in the second Inception."""
    first, second = (networks.build("inception_v3", weights="random", seed=6) for _ in range(2))
    assert first.layers == second.layers
    assert {"conv2d", "conv2d_93", "mixed0", "mixed10"} <= set(first.layers)
    assert first.weights == second.weights
    image = picture(80, 80)
    layers = ("conv2d_2", "mixed1")
    found, again = features(first, image, *layers), features(second, image, *layers)
    for layer in layers:
        np.testing.assert_array_equal(found[layer], again[layer])
    assert networks.build("mobilenet_v2", weights="random", seed=7).weights != first.weights


def test_weights_of_an_application_that_cannot_be_had(tmp_path):
    with pytest.raises(WeightsError, match="no weights file at nowhere.h5"):
        networks.build("mobilenet_v2", weights="nowhere.h5")
    (tmp_path / "wrong.weights.h5").write_bytes(b"<html>")
    with pytest.raises(WeightsError) as caught:
        networks.build("mobilenet_v2", weights=str(tmp_path / "wrong.weights.h5"))
    assert "\n" not in str(caught.value) and "weights=random" in str(caught.value)


# ---------------------------------------------------------------- a model given


def small_model(shape=(None, None, 3), name="mine"):
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(5, 3, padding="same", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x), name=name)


def test_model_given_sees_0_to_255_and_offers_its_feature_maps():
    model = small_model()
    extractor = networks.from_model(model)
    assert (extractor.name, extractor.layers) == ("mine", ("first", "second"))
    image = picture(9, 11)
    kernel, bias = model.get_layer("first").get_weights()
    expected = np.maximum(convolution(255.0 * image[0].astype(np.float64), kernel, bias), 0)
    close(features(extractor, image, "first")["first"][0], expected)


def test_model_given_by_an_application_name_gets_its_preprocessing():
    model = small_model(name="vgg16")
    extractor = networks.from_model(model)
    image = picture(9, 11)
    kernel, bias = model.get_layer("first").get_weights()
    x = 255.0 * image[0, :, :, ::-1].astype(np.float64) - [103.939, 116.779, 123.68]
    close(
        features(extractor, image, "first")["first"][0], np.maximum(convolution(x, kernel, bias), 0)
    )


def test_weights_are_taken_when_the_extractor_is_built():
    model = small_model()
    extractor = networks.from_model(model)
    image = picture(8, 8)
    before = features(extractor, image, "second")["second"]
    model.set_weights([0 * value for value in model.get_weights()])
    np.testing.assert_array_equal(features(extractor, image, "second")["second"], before)
    assert networks.from_model(model).weights.sha256 != extractor.weights.sha256


def test_model_that_cannot_be_used_is_explained():
    fixed = networks.from_model(small_model((32, 32, 3)))
    with pytest.raises(SettingsError, match="takes pictures of 32 x 32 only"):
        features(fixed, picture(16, 16), "first")
    inputs = keras.Input((7,))
    with pytest.raises(SettingsError, match="no layer with an output"):
        networks.from_model(keras.Model(inputs, keras.layers.Dense(2)(inputs)))
    with pytest.raises(SettingsError, match="functional Keras model"):
        networks.from_model("inception")


# ---------------------------------------------------------------- layers nobody chose


def test_default_layers_are_the_ends_of_stages():
    network = networks.build("resnet50", weights="random")
    assert networks.default_layers(network) == {
        "content": ["conv4_block5_out"],
        "style": [
            "conv1_relu",
            "conv2_block3_out",
            "conv3_block4_out",
            "conv4_block6_out",
            "conv5_block3_out",
        ],
    }


def test_a_problem_says_which_layers_the_default_ones_are():
    chosen = compose.resolve(["extractor=resnet50", "weights=random", "size=32"])
    assert chosen.objective.terms["style"]["layers"] == ["default"]
    loaded = problem.load(chosen, engines.load("cpu"))
    defaults = networks.default_layers(loaded.extractor)
    assert {name: [*layers] for name, layers in loaded.layers.items()} == {
        **defaults, "variation": [],
    }  # fmt: skip
    assert len(defaults["style"]) == 5


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v2", "inception_v3", "efficientnetb0"])
def test_default_layers_exist_and_go_deeper_and_deeper(name):
    network = networks.build(name, weights="random")
    chosen = networks.default_layers(network)
    found = features(network, picture(128, 128), *chosen["style"], *chosen["content"])
    rows = [found[layer].shape[1] for layer in chosen["style"]]
    assert rows == sorted(rows, reverse=True) and (name == "alexnet" or len(set(rows)) == 5)
    (content,) = chosen["content"]
    before = [network.layers.index(layer) for layer in (*chosen["style"][2:4], content)]
    assert before[0] < before[2] <= before[1]
    assert name == "alexnet" or content not in chosen["style"]
    assert not any("bn" in layer or "pad" in layer for layer in chosen["style"])


def test_default_layers_of_small_networks_are_what_there_is():
    assert networks.default_layers(networks.from_model(small_model())) == {
        "content": ["second"],
        "style": ["first", "second"],
    }


@pytest.mark.parametrize("name, fourth", [("alexnet", 99), ("mobilenet_v2", 1270)])
def test_scaled_features_of_default_layers_are_as_large_as_vggs(name, fourth):
    """AlexNet's fourth layer is the content's, too."""
    plain = networks.build(name, weights="random")
    network = networks.scaled(plain, 96, 128)
    chosen = networks.default_layers(network)
    layers = (*chosen["style"], network.layers[0])
    image = images.load("astronaut", 128).pixels[None, :96]
    found, native = (features(each, image, *layers) for each in (network, plain))
    sizes = [np.sqrt(np.mean(np.square(found[layer]))) for layer in chosen["style"]]
    np.testing.assert_allclose(sizes, [57, 278, 383, fourth, 202], rtol=1e-4)
    np.testing.assert_array_equal(found[layers[-1]], native[layers[-1]])  # not a default one
    again = features(networks.scaled(plain, 96, 128), picture(64, 64), *layers)
    other = features(network, picture(64, 64), *layers)
    for layer in layers:
        np.testing.assert_array_equal(again[layer], other[layer])  # constants of the network


def test_networks_of_few_layers_are_scaled_too():
    network = networks.scaled(networks.from_model(small_model()), 32, 32)
    found = features(network, images.load("astronaut", 32).pixels[None], "first", "second")
    size = np.sqrt(np.mean(np.square(found["first"])))
    assert size == pytest.approx(57, rel=1e-4)


# ---------------------------------------------------------------- a network from outside

OWN = """
import keras
import nstbench.networks as networks
from keras import ops


def build(width=4, seed=None):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(5, 3, strides=2, name="second")(x)
    return keras.Model(inputs, x, name="small")


def plain():
    def compute(image, parameters, layers):
        return {layer: image * parameters[layer] for layer in layers}

    parameters = {"a": ops.ones(3), "b": ops.ones(3)}
    return networks.Extractor("plain", None, parameters, ("a", "b"), compute)


def fails():
    raise ValueError("no such\\ndata set")


def wrong():
    return [1, 2]


ready = build()
number = 7
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "my_net.py"
    path.write_text(OWN)
    return str(path)


def test_a_network_of_ones_own(own):
    network = networks.build("build", f"{own}:build", {"width": 6}, seed=3)
    assert (network.name, network.layers) == ("small", ("first", "second"))
    assert network.weights.source == "my_net.py:build"
    image = picture(9, 11)
    kernel, bias = (ops.convert_to_numpy(value) for value in network.parameters[:2])
    expected = np.maximum(convolution(255.0 * image[0].astype(np.float64), kernel, bias), 0)
    close(features(network, image, "first")["first"][0], expected)
    assert networks.default_layers(network)["content"] == ["second"]


def test_identity_of_a_network_of_ones_own_is_its_values(own):
    """Drawn at random, they are the same in every process with the same seed."""
    first, again, other, wider = (
        networks.build("build", f"{own}:build", options, seed=seed)
        for options, seed in (({}, 1), ({}, 1), ({}, 2), ({"width": 5}, 1))
    )
    assert first.weights == again.weights
    assert len({each.weights.sha256 for each in (first, other, wider)}) == 3


def test_an_extractor_of_ones_own(own):
    network = networks.build("plain", f"{own}:plain")
    assert network.weights.source == "my_net.py:plain" and len(network.weights.sha256) == 64
    assert networks.default_layers(network) == {"content": ["b"], "style": ["a", "b"]}
    image = picture(4, 4)
    np.testing.assert_array_equal(features(network, image, "b")["b"], image)


def test_weights_for_a_network_of_ones_own(own, tmp_path):
    model = networks.build("ready", f"{own}:ready")
    drawn = networks.build("ready", f"{own}:ready", weights="random", seed=2)
    assert drawn.weights.source == "He initialisation, seed 2"
    path = tmp_path / "mine.weights.h5"
    small = small_model()
    small = keras.Model(small.inputs, small.get_layer("second").output)
    small.save_weights(path)
    given = networks.build("build", f"{own}:build", weights=str(path))
    assert given.weights.source == "file mine.weights.h5"
    close(ops.convert_to_numpy(given.parameters[0]), small.get_weights()[0])
    assert len({each.weights.sha256 for each in (model, drawn, given)}) == 3


@pytest.mark.parametrize(
    ("name", "options", "weights", "message"),
    [
        ("fails", {}, "imagenet", "my_net.py:fails raised ValueError: no such data set"),
        (
            "wrong",
            {},
            "imagenet",
            "my_net.py:wrong gives an object of type list; a network is a",
        ),
        ("number", {}, "imagenet", "my_net.py:number is an object of type int and not a function"),
        ("biuld", {}, "imagenet", "'biuld'; did you mean build"),
        ("build", {"wdith": 3}, "imagenet", "'wdith'; did you mean width"),
        ("plain", {"width": 3}, "imagenet", "plain has no options: leave out extractor.width"),
        ("build", {}, "nowhere.h5", "no weights file at nowhere.h5"),
        ("build", {}, __file__, "holds no weights of .*my_net.py:build"),
        ("plain", {}, "random", "brings its own weights: leave out weights=random"),
    ],
)
def test_a_network_of_ones_own_that_cannot_be_used(own, name, options, weights, message):
    with pytest.raises((SettingsError, WeightsError), match=message) as caught:
        networks.build(name, f"{own}:{name}", options, weights=weights)
    assert "\n" not in str(caught.value)


def test_a_sequential_model_is_a_functional_one():
    first = keras.layers.Conv2D(4, 3, name="first")
    model = keras.Sequential([keras.Input((None, None, 3)), first], name="row")
    network = networks.from_model(model)
    assert networks.default_layers(network) == {"content": ["first"], "style": ["first"]}


def test_a_file_that_is_not_there_and_one_that_raises(tmp_path):
    with pytest.raises(SettingsError, match="there is no file"):
        networks.build("build", f"{tmp_path}/nowhere.py:build")
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(SettingsError, match="cannot be imported: ModuleNotFoundError") as caught:
        networks.build("build", f"{tmp_path}/broken.py:build")
    assert "\n" not in str(caught.value)
