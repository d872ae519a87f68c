"""`python -m nstbench.visualize`: what it computes, what it draws, what it says."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from nstbench.errors import SettingsError
from nstbench.files import conf_dir
from nstbench.pictures.images import Picture
from nstbench.visualize import grids, inside, options, sheets
from nstbench.visualize.__main__ import main

SMALL = ["weights=random", "size=32"]


def resolve(command, *arguments):
    return options.resolve(command, [*SMALL, *arguments])


# ---------------------------------------------------------------- settings


def test_defaults_come_from_conf_and_main_settings_keep_their_meaning():
    own, settings = options.resolve("reconstruct_style", ["steps=7", "style=wave", "size=64"])
    assert own.poolings == ["max", "avg"] and own.steps == 7
    assert own.layers is None and own.term["statistic"] == "gram"
    assert (settings.style, settings.size, settings.init) == (("wave",), 64, "noise")
    assert (settings.weights, settings.optimizer.name) == ("normalised", "lbfgs")
    assert settings.out == "results/visualize"


def test_any_network_of_keras_is_named_directly():
    _, settings = options.resolve("layers", ["extractor=resnet50"])
    assert settings.extractor.name == "resnet50" and settings.extractor.options == {}
    _, settings = options.resolve("layers", ["extractor=vgg16"])
    assert settings.extractor.options == {"pooling": "max"}


@pytest.mark.parametrize(
    ("command", "argument", "message"),
    [
        ("features", "layr=block1_conv1", "did you mean layer"),
        ("features", "count=many", "count=many must be a whole number"),
        ("features", "count=0", "count=0 must be at least 1"),
        ("filters", "contnet=cat", "did you mean content"),
        ("filters", "size=huge", "size"),
        ("reconstruct_style", "steps=0", "steps=0 must be at least 1"),
    ],
)
def test_a_wrong_setting_is_one_line(command, argument, message):
    with pytest.raises(SettingsError, match=message) as caught:
        options.resolve(command, [argument])
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- what is inside


def test_layers_have_the_shapes_of_their_features():
    _, settings = resolve("layers", "extractor=alexnet", "size=64")
    shapes = {name: layer.shape for name, layer in inside.layers(settings).items()}
    assert shapes["conv1"] == (15, 15, 64) and shapes["pool1"] == (7, 7, 64)
    assert shapes["conv5.pre"] == shapes["conv5"] == (3, 3, 256)


def test_filters_are_in_the_pictures_own_order_of_colours():
    """A channel answers most to the colours of its filter: red where its red weights are."""
    from nstbench.networks import weights

    _, settings = resolve("filters")
    kernel = inside.filters(settings)
    assert kernel.shape == (3, 3, 3, 64)
    stored = weights.load("vgg19", "random").layers["block1_conv1"][0]  # blue, green, red
    assert np.array_equal(kernel[:, :, 0], stored[:, :, 2])
    _, settings = resolve("filters", "extractor=mobilenet")  # reads red, green, blue
    assert inside.filters(settings).shape == (3, 3, 3, 32)
    assert not inside._reads_bgr("mobilenet") and inside._reads_bgr("resnet50")


def test_features_are_the_networks():
    from nstbench import engine, networks

    _, settings = resolve("features", "content=cat")
    picture, maps = inside.features(settings, "block2_conv1", first=100, count=64)
    assert (maps.layer, maps.first, maps.channels) == ("block2_conv1", 100, 128)
    extractor = networks.build("vgg19", weights="random")
    found = extractor.features(picture.pixels[None], extractor.parameters, ["block2_conv1"])
    expected = engine.load().to_numpy(found["block2_conv1"])[0, ..., 100:]
    np.testing.assert_allclose(maps.values, expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_features_begin_with_the_first_convolution_and_know_their_limits():
    _, settings = resolve("features")
    _, maps = inside.features(settings, None, 0, 64)
    assert maps.layer == "block1_conv1"
    with pytest.raises(SettingsError, match="did you mean block3_conv"):
        inside.features(settings, "block3_conv9", 0, 64)
    with pytest.raises(SettingsError, match="channels 0 to 63"):
        inside.features(settings, "block1_conv1", 64, 1)


def test_targets_are_one_layer_each_and_growing_subsets():
    own, settings = resolve("reconstruct_content")
    content = inside.targets(settings, own.term, ["a", "b"], growing=False)
    assert [t.terms["content"]["layers"] for t in content] == [["a"], ["b"]]
    own, settings = resolve("reconstruct_style")
    style = inside.targets(settings, own.term, ["a", "b"], growing=True)
    assert [t.terms["style"]["layers"] for t in style] == [["a"], ["a", "b"]]
    assert [t.terms["style"]["weight"] for t in style] == [1.0, 0.5]
    assert [list(t.terms) for t in (*content, *style)] == [["content"]] * 2 + [["style"]] * 2
    (*_, last) = inside.targets(settings, own.term, None, growing=True)
    assert last.terms["style"]["layers"] == [f"block{n}_conv1" for n in range(1, 6)]


def test_a_first_layers_features_give_the_picture_back():
    """Random filters are as good as any here: 64 of them over 3 colours lose nothing much."""
    own, settings = resolve("reconstruct_content", "content=cat", "layers=[block1_conv1]")
    stages = []
    targets = inside.targets(settings, own.term, own.layers, growing=False)
    (made,) = inside.reconstruct(settings, targets, ["avg"], 40, stages.append)
    from nstbench.pictures import images

    target = images.load("cat", 32).pixels
    assert stages == ["block1_conv1, avg pooling"]
    assert made.loss < 0.01 * made.start
    assert np.abs(made.pixels - target).mean() < 0.03
    assert (made.pooling, made.layers) == ("avg", ("block1_conv1",))


# ---------------------------------------------------------------- what is drawn


def test_filters_are_drawn_around_grey():
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[0, 0, 0, 0], kernel[1, 1, 2, 0] = 0.5, -0.25
    (cells,) = sheets.filters(kernel, "toy", "no weights").rows
    assert cells[0].pixels[0, 0].tolist() == [1.0, 0.5, 0.5]
    assert cells[0].pixels[1, 1].tolist() == [0.5, 0.5, 0.25]
    assert (cells[1].pixels == 0.5).all()  # all weights 0: grey, and no division by zero
    assert cells[0].label == "0   0.5"


def test_maps_are_scaled_each_by_itself():
    values = np.zeros((10, 10, 3), np.float32)
    values[..., 1] = np.linspace(0, 7, 100).reshape(10, 10)
    values[2, 3, 2] = 9.0
    picture = Picture("toy", np.zeros((10, 10, 3), np.float32))
    grid = sheets.features(picture, inside.Maps("layer", values, 5, 64), "net", "no weights")
    (cells,) = grid.rows
    assert [cell.label for cell in cells] == ["5   0", "6   7", "7   9"]
    assert cells[0].pixels.max() == 0
    assert cells[1].pixels.max() == 1 and 0.45 < np.median(cells[1].pixels) < 0.55
    assert cells[2].pixels[2, 3] == 1 and cells[2].pixels.sum() == 1


def test_reconstructions_stand_in_a_row_per_pooling_behind_their_target(tmp_path):
    pixels = np.zeros((8, 8, 3), np.float32)
    made = [
        inside.Reconstruction(pooling, layers, pixels, 2.0, 0.5)
        for pooling in ("max", "avg")
        for layers in (("a",), ("a", "b"))
    ]
    grid = sheets.style(Picture("wave", pixels), made, 10, "no weights")
    assert list(grid.names) == ["Max pooling", "Average pooling"]
    labels = [[cell.label for cell in row] for row in grid.rows]
    assert labels == [["wave", "a\n0.25", "... and b\n0.25"]] * 2
    path = grids.save(grid, tmp_path / "deep" / "grid.png")
    with Image.open(path) as drawn:
        assert drawn.width == round(grids.WIDTH * 180)


@pytest.mark.parametrize(("count", "columns"), [(1, 4), (16, 4), (32, 8), (64, 8), (512, 16)])
def test_grids_are_not_much_taller_than_wide(count, columns):
    assert grids.columns_for(count) == columns


# ---------------------------------------------------------------- the command


def test_every_picture_is_one_command(tmp_path, capsys):
    out = f"out={tmp_path}"
    for arguments, name in (
        (["filters"], "filters_vgg19.png"),
        (["features", "layer=block1_conv2"], "features_vgg19_block1_conv2_astronaut.png"),
        (
            ["reconstruct", "content", "layers=[block1_conv1]", "poolings=[max]", "steps=1"],
            "reconstruct_content_astronaut.png",
        ),
        (
            ["reconstruct", "style", "layers=[block1_conv1]", "poolings=[avg]", "steps=1"],
            "reconstruct_style_brushwork.png",
        ),
    ):
        assert main([*arguments, *SMALL, out]) == 0
        assert capsys.readouterr().out.split() == [str(tmp_path / name)]
        with Image.open(tmp_path / name) as picture:
            assert np.ptp(np.asarray(picture.convert("L"))) > 100


OWN = """
import keras


def build():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(5, 3, strides=2, name="second")(x), name="small")
"""


def test_a_network_of_ones_own_is_looked_into_like_any_other(tmp_path, capsys):
    (tmp_path / "my_net.py").write_text(OWN)
    common = [f"extractor={tmp_path}/my_net.py:build", "size=32", f"out={tmp_path}"]
    assert main(["layers", *common]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["first", "4", "32", "x", "32", "style"]
    assert lines[2].split() == ["second", "5", "15", "x", "15", "content,", "style"]
    assert main(["filters", *common]) == 0
    assert main(["features", "layer=second", "count=3", *common]) == 0
    made = ["reconstruct", "style", "steps=2", "weights=imagenet", *common]
    assert main(made) == 0
    assert len(list(tmp_path.glob("*.png"))) == 3
    assert capsys.readouterr().out.splitlines()[-1] == f"{tmp_path}/reconstruct_style_brushwork.png"


def test_layers_are_listed(capsys):
    assert main(["layers", "size=32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [word in lines[1] for word in ("block1_conv1.pre", "64", "32 x 32")] == [True] * 3
    assert lines[-1].split() == ["block5_pool", "512", "1", "x", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filtres"], "did you mean filters"),
        (["reconstruct", "stile"], "did you mean reconstruct style"),
        (["layers", "extractor=resnet5"], "did you mean resnet50"),
        (["features", "layer=block1_conv11", *SMALL], "did you mean block1_conv1"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and message in error[0]


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from nstbench.visualize.__main__ import main; main(['--help']);"
        "print(sorted({'keras', 'numpy', 'hydra', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "reconstruct content" in done.stdout and done.stdout.endswith("[]\n"), done.stderr


def test_every_command_has_its_numbers_in_conf():
    files = {path.stem for path in (conf_dir() / "visualize").glob("*.yaml")}
    assert files == set(options.OPTIONS)
