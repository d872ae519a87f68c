"""A result carries its recipe, and what a picture says is data."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from test_cli import command, environment, only_run

from nstbench import again
from nstbench.errors import ImageError, SettingsError
from nstbench.run import recipe
from nstbench.run.record import read_record


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of the toy on a file, in a folder of its own."""
    folder = tmp_path_factory.mktemp("made")
    Image.new("RGB", (60, 40), color="teal").save(folder / "my cat.jpg")
    settings = ("content=my cat.jpg", "optimizer=sgd", "lr=0.3", "epochs=3", "out=there")
    code, _, errors = command(folder, *settings, "force=true")
    assert code == 0, errors
    (directory,) = (folder / "there" / "runs").iterdir()
    return directory


def carrying(path, arguments, **changes):
    """A picture with a recipe of one's own making."""
    said = {
        "version": "0", "backend": "tensorflow", "run": "adam-lr1-e1x1-00000000",
        "command": arguments, "content": "a", "style": ["b"], "weights": "c",
    } | changes  # fmt: skip
    text = PngInfo()
    text.add_itxt(recipe.KEY, json.dumps(said))
    Image.new("RGB", (32, 32)).save(path, pnginfo=text)
    return str(path)


def test_a_result_says_what_made_it(made):
    record, found = read_record(made), recipe.read(made / "image.png")
    assert found.command == ("content=my cat.jpg", "optimizer=sgd", "lr=0.3", "epochs=3")
    assert (found.content, found.weights) == (record.content.sha256, record.weights.sha256)
    assert found.style == tuple(style.sha256 for style in record.style)
    assert found.run == record.id == made.name and found.backend == "tensorflow"
    with Image.open(made / "image.png") as picture:
        assert picture.info["Description"] == (
            "python -m nstbench 'content=my cat.jpg' optimizer=sgd lr=0.3 epochs=3"
        )
        assert picture.info["Software"].startswith("nstbench ")


def test_from_runs_it_again_elsewhere(made, tmp_path):
    shutil.copy(made.parents[2] / "my cat.jpg", tmp_path)
    shutil.copy(made / "image.png", tmp_path / "sent.png")
    code, output, errors = command(tmp_path, "from", "sent.png")
    assert code == 0, errors
    assert errors.startswith("python -m nstbench 'content=my cat.jpg'") and "note:" not in errors
    again_made = only_run(tmp_path)
    assert again_made.name == made.name and "completed" in output
    assert (again_made / "image.png").read_bytes() == (made / "image.png").read_bytes()


def test_from_takes_more_settings_and_options(made, tmp_path):
    shutil.copy(made.parents[2] / "my cat.jpg", tmp_path)
    image = str(made / "image.png")
    code, _, errors = command(tmp_path, "from", image, "epochs=2", "out=mine")
    assert code == 0 and "note:" not in errors, errors
    (directory,) = (tmp_path / "mine" / "runs").iterdir()
    assert directory.name.startswith("sgd-lr0.3-e2x5-my_cat-brushwork-")
    code, output, _ = command(tmp_path, "from", image, "optimizer=adam", "--cfg")
    assert code == 0 and "name: adam" in output and "lr: 0.02" in output  # 0.3 was for SGD


def test_other_pictures_are_said(made, tmp_path):
    Image.new("RGB", (60, 40), color="red").save(tmp_path / "my cat.jpg")
    code, _, errors = command(tmp_path, "from", str(made / "image.png"))
    assert code == 0 and "note: this is not the same run" in errors
    (tmp_path / "my cat.jpg").unlink()
    code, _, errors = command(tmp_path, "from", str(made / "image.png"))
    assert code == 2 and "content=my cat.jpg: there is no such file" in errors


@pytest.mark.parametrize(
    "argument",
    [
        "optimizer=./my_opt.py:MyAdam", "optimizer=os.system", "extractor=os.system",
        "schedule=os.system", "objective.style.statistic=os.system", "objective.x.target=os.system",
        "objective.x={target: os.system, weight: 1}", "objective.x={a: [{b: os.system}]}",
        "experiment=../../evil",
    ],
)  # fmt: skip
def test_code_that_a_picture_names_is_run_for_nobody_who_did_not_name_it(argument, tmp_path):
    recipe_ = ["lr=0.1", argument, "objective.style.layers=[block1_conv1.pre]"]
    with pytest.raises(SettingsError, match="names code") as caught:
        again.merged("x.png", recipe_, ["epochs=2"])
    assert "\n" not in str(caught.value) and argument.split("=")[1] in str(caught.value)
    allowed = again.merged("x.png", recipe_, ["epochs=2", argument])
    assert set(allowed) == {*recipe_, "epochs=2"}


@pytest.mark.parametrize(
    "argument",
    [
        "suite=table1",
        "hydra/launcher=slurm",
        "hydra.run.dir=x",
        "--config-dir=x",
        "repeats=9",
        "-m=x",
    ],
)
def test_a_picture_starts_no_sweep_and_brings_no_settings_files(argument):
    with pytest.raises(SettingsError, match="no setting of a run"):
        again.merged("x.png", [argument], [])


def test_nothing_is_looked_up_for_what_a_picture_says(tmp_path):
    path = carrying(tmp_path / "x.png", ["content=${oc.env:SECRET}.png", "epochs=1"])
    done = subprocess.run(
        [sys.executable, "-m", "nstbench", "from", path], capture_output=True, text=True,
        env=environment(True) | {"SECRET": "hunter2"}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2 and "hunter2" not in done.stdout + done.stderr
    assert "content=${oc.env:SECRET}.png: there is no such file" in done.stderr


def test_what_is_no_recipe_is_one_line(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "bare.png")
    Image.new("RGB", (32, 32)).save(tmp_path / "sent.jpg")
    (tmp_path / "text.png").write_text("no picture")
    for name in ("bare.png", "sent.jpg"):
        with pytest.raises(ImageError, match=f"{name} carries no recipe"):
            recipe.read(tmp_path / name)
    for name in ("text.png", "nowhere.png", os.curdir):
        with pytest.raises(ImageError):
            recipe.read(tmp_path / name)
    for changes in ({"command": "rm -rf"}, {"command": [1]}, {"backend": "jacks"}, {"run": None}):
        with pytest.raises(ImageError, match="its recipe cannot be read"):
            recipe.read(carrying(tmp_path / "x.png", ["lr=1"], **changes))
    for text in ("{", "[" * 100_000, "", "null"):
        said = PngInfo()
        said.add_itxt(recipe.KEY, text)
        Image.new("RGB", (32, 32)).save(tmp_path / "y.png", pnginfo=said)
        with pytest.raises(ImageError, match="its recipe cannot be read"):
            recipe.read(tmp_path / "y.png")
