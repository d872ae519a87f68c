"""From arguments to frozen settings: choices, values, names of files, things from outside."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys

import pytest
from PIL import Image
from pydantic import ValidationError

from nstbench.errors import SettingsError
from nstbench.files import conf_dir
from nstbench.settings import compose, identity, sections, targets
from nstbench.settings.compose import choices, resolve
from nstbench.settings.values import quoted

ALL = choices("optimizer")
OUTSIDE = """\
class Mine:
    def __init__(self, learning_rate=0.3, beta=0.9, betas=(0.5, 0.6)):
        pass

class NoRate:
    def __init__(self, momentum=0.5):
        pass

class Needs:
    def __init__(self, lr, inner):
        pass

class Base:
    def __init__(self, learning_rate=0.1, rho=0.9, clip=None):
        pass

class Derived(Base):
    def __init__(self, learning_rate=0.2, depth=3, **rest):
        super().__init__(learning_rate, rho=0.5, **rest)

def minimizer(fun, x0, args=(), jac=None, bounds=None, width=3, **options):
    pass

number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder with a file of things from outside."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_opt.py").write_text(OUTSIDE)
    return tmp_path


def refused(*arguments):
    with pytest.raises(SettingsError) as caught:
        resolve(arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- choices and values -------------------------------------------------------------------------


def test_settings_are_frozen_and_come_back_from_their_record():
    settings = resolve(["optimizer=adam", "lr=0.5"])
    with pytest.raises(ValidationError):
        settings.lr = 0.1
    record = json.loads(settings.model_dump_json())
    assert type(settings).model_validate(record) == settings
    assert settings.style == ("brushwork",) and settings.command == ("optimizer=adam", "lr=0.5")


@pytest.mark.parametrize("name", ALL)
def test_an_optimizers_own_rate_is_the_default(name):
    settings = resolve([f"optimizer={name}"])
    assert settings.optimizer.name == name and settings.optimizer.label
    assert (settings.lr is None) == (name == "lbfgsb")
    assert "lr" not in settings.optimizer.options and settings.optimizer.source["version"]


def test_a_rate_is_taken_from_the_command_line_then_the_experiment_then_the_optimizer():
    assert resolve([]).lr == 0.02
    assert resolve(["experiment=keras_example"]).lr == pytest.approx(100 / 255**2)
    assert resolve(["experiment=keras_example", "lr=0.1"]).lr == 0.1
    assert resolve(["optimizer.lr=0.2"]).lr == 0.2


def test_what_an_experiment_says_of_its_optimizer_is_not_for_another_one():
    chosen = resolve(["experiment=lbfgs_report", "optimizer=adam"])
    assert (chosen.lr, chosen.epochs) == (0.02, 4000)
    assert chosen.optimizer == resolve(["optimizer=adam"]).optimizer
    same = resolve(["experiment=lbfgs_report", "optimizer=lbfgs"])
    assert same.optimizer.options["line_search"] == "none"


def test_groups_and_values_lie_over_one_another():
    settings = resolve(
        ["experiment=style_transfer_class", "optimizer.beta_1=0.5", "objective.style.weight=3"]
    )
    assert settings.optimizer.options["beta_1"] == 0.5
    assert (
        settings.schedule.name == "exponential" and settings.schedule.options["decay_rate"] == 0.8
    )
    assert settings.objective.terms["style"]["weight"] == 3
    assert settings.objective.terms["content"]["layers"][0] == "conv2d_85"
    assert settings.experiment == "style_transfer_class"
    assert resolve([]).optimizer.options["beta_1"] == 0.9  # nothing is left of it


def test_a_term_can_be_taken_away_and_brought_along(here):
    terms = resolve(["objective.style=null"]).objective.terms
    assert list(terms) == ["content", "variation"]
    given = ["objective.mine.target=./my_term.py:Mine", "objective.mine.depth=3"]
    terms = resolve([*given, "objective.mine.weight=2"]).objective.terms
    assert terms["mine"] == {"target": "./my_term.py:Mine", "depth": 3, "weight": 2}
    assert "objective.mine.depth" in refused("objective.mine.depth=3")


def test_epochs_are_scaled_and_never_none():
    assert resolve(["epochs=500", "epochs_scale=0.02"]).epochs == 10
    assert resolve(["epochs=5", "epochs_scale=0.02"]).epochs == 1


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("optimizer=adan", "unknown optimizer 'adan'; did you mean adam"),
        ("optimizer=adam,rmsprop", "add -m|several values need -m"),
        ("lr=0.1,0.2", "several values need -m"),
        ("lr=0,1", "several values need -m"),
        ("style=glass,wave", r"-m .*style=\[glass,wave\]"),
        ("optimizer.beta1=0.5", "did you mean optimizer.beta_1"),
        ("objective.style.wieght=1", "did you mean objective.style.weight"),
        ("extractor.poling=avg", "did you mean extractor.pooling"),
        ("learning_rate=0.1", "did you mean lr"),
        ("hydra.run.dir=x", "unknown setting 'hydra.run.dir'"),
        ("lr=abc", "lr=abc must be a number"),
        ("lr=0", "lr=0 must be a positive number"),
        ("lr=nan", "lr=nan must be"),
        ("epochs=1.5", "epochs=1.5 must be a whole number"),
        ("epochs=true", "epochs=True must be a whole number"),
        ("size=999999999", "size=999999999 must be at most"),
        ("size=16", "size=16 must be at least 32"),
        ("checkpoint_s=inf", "checkpoint_s=inf must be a finite number"),
        ("style=[]", "at least one"),
        ("style_blend=[0]", "a weight above 0"),
        ("style_blend=[-1]", "at least 0"),
        ("style_blend=[1,2]", "2 weights for 1 styles"),
        ("precision=float16", "did you mean bfloat16"),
        ("objective.content.layers=3", "objective.content.layers=3 must be names"),
        ("objective.content.weight=heavy", "objective.content.weight=heavy must be a number"),
        ("objective.content.weight=-1", "objective.content.weight=-1 must be at least 0"),
        ("experiment=../optimizer/adam", "unknown experiment"),
        ("optimizer=base/keras", "there is no|unknown optimizer|not installed"),
        ("extractor=resnte50", "did you mean resnet50"),
        ("lr", "cannot read 'lr'"),
        ("lr=((", r"cannot read 'lr=\(\('"),
        ("--config-dir=nowhere", "no such folder"),
    ],
)
def test_mistakes_are_one_line(argument, words):
    assert re.search(words, refused(argument))


def test_a_value_that_the_yaml_does_not_list_is_refused():
    assert "strong_wolfe" in refused("optimizer=lbfgs", "optimizer.line_search=wolfe")


# ---- names of files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "IMG (1).png", "größe=1.png", "a, b.png", "it's.png", "a#b&c.png", "~/me.png", "ünï.png",
        "${oc.env:SECRET_TOKEN}.png", "${optimizer}.png", "a\\b.png", "[x].png", "x'y\".png",
        "{{7*7}}.png", "-dash.png", " blank.png", "<script>.png", "null", "1e-3",
    ],
)  # fmt: skip
def test_a_files_name_is_taken_as_it_was_typed(here, monkeypatch, name):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    for key in ("content", "init", "weights", "out"):
        assert getattr(resolve([f"{key}={name}"]), key) == name
    assert resolve([f"style={name}"]).style == (name,)


def test_a_name_that_is_not_utf8_is_one_line():
    assert refused("content=M\udcfcller.png").startswith("content=M\\udcfcller.png: the name")


def test_quotes_around_a_name_are_the_shells_and_a_list_is_a_list(here):
    assert resolve(["content='IMG (1).png'"]).content == "IMG (1).png"
    assert resolve(["style=[dots, wave]"]).style == ("dots", "wave")
    assert resolve(["style=['a, b.png',wave]"]).style == ("a, b.png", "wave")
    (here / "[a,b]").touch()
    assert resolve(["style=[a,b]"]).style == ("[a,b]",)


def test_nothing_interpolates_what_stands_on_the_command_line(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "7")
    assert "lr=${oc.env:SECRET_TOKEN} must be a number" in refused("lr=${oc.env:SECRET_TOKEN}")
    assert resolve(["device=${oc.env:SECRET_TOKEN}"]).device == "${oc.env:SECRET_TOKEN}"


# ---- from outside -------------------------------------------------------------------------------


def test_an_optimizer_from_a_file(here):
    settings = resolve(["optimizer=./my_opt.py:Mine", "optimizer.beta=0.5"])
    chosen = settings.optimizer
    assert (chosen.name, chosen.label, settings.lr) == ("Mine", "Mine", 0.3)
    assert chosen.options == {"beta": 0.5, "betas": [0.5, 0.6]}
    assert chosen.source["file"] == "my_opt.py" and len(chosen.source["sha256"]) == 64
    assert identity.run_id(settings).startswith("Mine-lr0.3-e50x5-")


def test_what_a_class_hands_on_to_its_base_can_be_given_but_has_no_default(here):
    chosen = resolve(["optimizer=./my_opt.py:Derived"])
    assert chosen.lr == 0.2 and chosen.optimizer.options == {"depth": 3}
    given = resolve(["optimizer=./my_opt.py:Derived", "optimizer.clip=1"]).optimizer.options
    assert given == {"depth": 3, "clip": 1}
    assert "did you mean clip" in refused("optimizer=./my_opt.py:Derived", "optimizer.clp=1")


def test_a_network_says_nothing_of_terms_that_the_objective_lacks():
    arguments = ["extractor=alexnet", "objective=deep_dream", "objective.activation.layers=[conv5]"]
    assert set(resolve(arguments).objective.terms) == {"activation", "variation"}
    terms = resolve(["extractor=inception_v3", "objective=texture_synthesis"]).objective.terms
    assert "content" not in terms and terms["style"]["layers"][0] == "mixed0"


def test_the_text_of_a_style_statistic_is_a_part_of_a_run(here):
    argument = ["objective.style.statistic=./my_loss.py:moments"]
    file = here / "my_loss.py"
    file.write_text("def moments(features):\n    return features\n")
    first = identity.run_id(resolve(argument))
    file.write_text("def moments(features):\n    return 2 * features\n")
    assert identity.run_id(resolve(argument)) != first


def test_its_place_is_no_part_of_a_run_but_its_text_is(here):
    first = resolve(["optimizer=./my_opt.py:Mine"])
    (here / "deeper").mkdir()
    moved = here / "deeper" / "my_opt.py"
    moved.write_text(OUTSIDE)
    assert identity.run_id(resolve([f"optimizer={moved}:Mine"])) == identity.run_id(first)
    moved.write_text(OUTSIDE + "# changed\n")
    assert identity.run_id(resolve([f"optimizer={moved}:Mine"])) != identity.run_id(first)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("optimizer=./my_opt.py:Mine optimizer.bta=1", "unknown option .*'bta'; did you mean beta"),
        ("optimizer=./my_opt.py:Mine optimizer.learning_rate=1", "is given as lr="),
        ("optimizer=./my_opt.py:NoRate lr=1", "has no rate"),
        ("optimizer=./my_opt.py:NoRate schedule=exponential", "has no rate"),
        ("optimizer=./my_opt.py:Needs lr=1", "needs inner"),
        ("optimizer=./my_opt.py:Needs optimizer.inner=1", "needs lr="),
        ("optimizer=./my_opt.py:Mien", "did you mean Mine"),
        ("optimizer=./my_opt.py:number", "is a int, not an optimizer"),
        ("optimizer=./no.py:Mine", "there is no file"),
        ("optimizer=nowhere.Adam", "nowhere is not installed"),
        ("optimizer=optax.adabelief", "optax needs KERAS_BACKEND=jax"),
        ("optimizer=torch.optim.RAdam", "torch.optim needs KERAS_BACKEND=torch"),
        ("optimizer=scipy.CGG", "unknown method of scipy"),
        ("optimizer=scipy.CG lr=1", "scipy.CG has no rate"),
        ("optimizer=scipy.CG optimizer.gtl=1", "did you mean gtol"),
        ("optimizer=lbfgsb lr=1", "has no rate"),
    ],
)
def test_mistakes_with_things_from_outside_are_one_line(here, arguments, words):
    assert re.search(words, refused(*arguments.split()))


def test_a_callable_of_scipys_form_has_its_own_options(here):
    chosen = resolve(["optimizer=./my_opt.py:minimizer", "optimizer.width=2"])
    assert chosen.lr is None and chosen.optimizer.options == {"width": 2}
    assert re.fullmatch("minimizer-e50x5-[0-9a-f]{8}", identity.run_id(chosen))


@pytest.mark.parametrize("method", ["CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP", "trust-constr"])
def test_scipys_methods_have_their_own_options(method):
    settings = resolve([f"optimizer=scipy.{method}"])
    assert settings.lr is None and settings.optimizer.name == method
    assert settings.optimizer.options and settings.optimizer.source["distribution"] == "scipy"
    assert not {"fun", "x0", "bounds", "maxiter"} & set(settings.optimizer.options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "target", "lr", "options"),
    [
        ("jax", "optax.adabelief", "0.5", {"b1": 0.9, "nesterov": False}),
        ("torch", "torch.optim.RAdam", None, {"betas": [0.9, 0.999], "eps": 1e-8}),
        ("torch", "torch.optim.LBFGS", None, {"history_size": 100}),
    ],
)
def test_defaults_of_other_libraries_are_written_down(monkeypatch, backend, target, lr, options):
    pytest.importorskip(target.partition(".")[0])
    monkeypatch.setenv("KERAS_BACKEND", backend)
    settings = resolve([f"optimizer={target}", *([f"lr={lr}"] if lr else [])])
    assert options.items() <= settings.optimizer.options.items()
    assert settings.optimizer.label == target and settings.lr > 0
    assert "params" not in settings.optimizer.options


def test_three_libraries_adams_are_three_competitors(monkeypatch):
    found = [resolve([f"optimizer={name}"]) for name in ("adam", "keras.optimizers.Adam")]
    assert found[0].optimizer.target == found[1].optimizer.target
    assert found[0].optimizer.label == "Adam" and found[1].optimizer.label != "Adam"
    assert found[0].optimizer.options == found[1].optimizer.options


def test_a_persons_own_folder_of_yaml_files(here):
    for name, text in {
        "my conf/optimizer/mine.yaml": "target: ./my_opt.py:Mine\nlabel: Mine!\nlr: 0.7\n",
        "my conf/experiment/ours.yaml": (
            "# @package _global_\ndefaults:\n  - override /optimizer: mine\nsize: 64\n"
        ),
    }.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    given = "--config-dir=my conf"
    settings = resolve([given, "optimizer=mine", "optimizer.beta=0.1"])
    assert settings.optimizer.label == "Mine!" and settings.lr == 0.7
    assert settings.optimizer.options == {"beta": 0.1, "betas": [0.5, 0.6]}
    ours = resolve([given, "experiment=ours"])
    assert (ours.optimizer.name, ours.size) == ("mine", 64)
    assert "did you mean mine" in refused(given, "optimizer=mien")
    assert "unknown optimizer 'mine'" in refused("optimizer=mine")
    (here / "my conf/optimizer/adam.yaml").write_text("target: ./my_opt.py:Mine\n")
    compose._names.cache_clear()
    assert "built-in" in refused(given, "optimizer=mine")


@pytest.mark.parametrize("name", ["plain", "it's", "a ${b} c", "back\\slash\\", "a, [b]", "ü=1"])
def test_a_folder_may_have_any_name(here, name):
    (here / name / "optimizer").mkdir(parents=True)
    (here / name / "optimizer" / "odd.yaml").write_text("target: ./my_opt.py:Mine\n")
    assert quoted(name).startswith("'")
    assert resolve([f"--config-dir={here / name}", "optimizer=odd"]).lr == 0.3


def test_a_network_of_keras_needs_no_yaml_and_one_from_outside_a_path(here):
    assert resolve(["extractor=resnet50"]).extractor.model_dump() == {
        "name": "resnet50", "target": None, "options": {},
    }  # fmt: skip
    own = resolve(["extractor=./my_net.py:build", "weights=random"]).extractor
    assert (own.name, own.target) == ("build", "./my_net.py:build")


# ---- identity and cost --------------------------------------------------------------------------


def test_paths_and_ways_of_running_are_no_part_of_the_identity(here):
    base = identity.run_id(resolve([]))
    for same in ("out=elsewhere", "snapshots=5", "checkpoint_s=3", "force=true"):
        assert identity.run_id(resolve([same])) == base
    others = [
        "optimizer.beta_1=0.8", "optimizer.box=false", "schedule=exponential", "seed=1",
        "objective.style.weight=1", "extractor.pooling=avg", "content=cat", "kernels=direct",
    ]  # fmt: skip
    found = {identity.run_id(resolve([other])) for other in others}
    assert len(found) == len(others) and base not in found
    assert base.startswith("adam-lr0.02-e50x5-")


@pytest.mark.parametrize(
    ("same", "other"),
    [
        (["device=cpu"], ["device=cpu", "kernels=fast"]),
        (["device=gpu:1"], ["device=gpu", "kernels=direct"]),
        (["precision=float64"], ["precision=float64", "kernels=direct"]),
    ],
)
def test_the_identity_holds_the_kernels_and_the_device_that_are_used(same, other):
    chosen = [identity.identity(resolve(each)) for each in (same, other)]
    assert chosen[0] == chosen[1] and chosen[0]["kernels"] != "auto"


def test_runs_on_different_devices_have_different_names(monkeypatch):
    """On a results folder that machines share. What `auto` is only the machine that runs knows."""
    named = [["device=cpu"], ["device=gpu"], ["device=cpu", "kernels=direct"], []]
    assert len({identity.run_id(resolve(each)) for each in named}) == 4
    known = identity.identity(resolve([]))
    assert (known["device"], known["kernels"]) == ("auto", "auto")
    if importlib.util.find_spec("torch"):
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        assert identity.identity(resolve([]))["kernels"] == "direct"


def test_a_file_is_taken_whole_and_names_the_run(here):
    """Twenty photos are told apart; runs of built-in pictures keep the names that they had."""
    for name in ("me.png", "Größe (1).jpg"):
        Image.new("RGB", (60, 40), color=(len(name), 0, 0)).save(here / name)
    assert re.fullmatch("adam-lr0.02-e50x5-[0-9a-f]{8}", identity.run_id(resolve([])))
    assert not resolve([]).keep_aspect and not resolve(["style=me.png"]).keep_aspect
    mine = resolve(["content=me.png"])
    assert mine.keep_aspect and not resolve(["content=me.png", "keep_aspect=false"]).keep_aspect
    names = {
        "adam-lr0.02-e50x5-me-brushwork": ["content=me.png"],
        "adam-lr0.02-e50x5-cat-me": ["content=cat", "style=me.png"],
        "adam-lr0.02-e50x5-Größe_1_-glass+wave": ["content=Größe (1).jpg", "style=[glass,wave]"],
    }
    for name, arguments in names.items():
        assert identity.run_id(resolve(arguments)).rpartition("-")[0] == name
    (here / "far").mkdir()
    shutil.copy(here / "me.png", here / "far")
    assert identity.run_id(resolve(["content=far/me.png"])) == identity.run_id(mine)


@pytest.mark.parametrize(
    "argument",
    ["optimizer.beta_1=5", "optimizer.beta_2=-0.1", "optimizer.beta_1=true", "optimizer.beta_1=x"],
)
def test_a_number_that_means_nothing_is_refused(argument):
    with pytest.raises(SettingsError, match="must be a number from 0 to 1"):
        resolve([argument])


def test_the_reference_measures_every_run_alike():
    own = resolve(["experiment=neural_style", "content=cat"])
    reference = compose.reference(own)
    assert reference.objective == resolve([]).objective and reference.content == "cat"
    plain = resolve(["content=cat"])
    assert compose.reference(plain) == plain


def test_a_thousand_runs_are_composed_in_a_second_and_without_a_framework():
    code = (
        "import sys, time; from nstbench.settings import compose, identity\n"
        "compose.resolve([]); began = time.process_time()\n"
        "for i in range(1000): identity.run_id(compose.resolve([f'lr={i + 1}', 'size=64']))\n"
        "print(time.process_time() - began, *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *modules = done.stdout.split()
    assert float(seconds) < 2
    assert not {"keras", "tensorflow", "jax", "torch", "scipy"} & set(modules)


# ---- the YAML files -----------------------------------------------------------------------------


def test_no_yaml_of_ours_interpolates():
    for path in conf_dir().rglob("*.yaml"):
        if "hydra" not in path.parts:
            assert "${" not in path.read_text(), path


def test_every_yaml_of_an_optimizer_lists_all_hyperparameters():
    """Planning imports nothing heavy: what a built-in can be told stands in its YAML."""
    names = [name for name in ALL if name not in ("lbfgs", "lbfgsb")]
    for name in names:
        settings = resolve([f"optimizer={name}"])
        known = targets.hyperparameters(settings.optimizer.target)
        assert set(settings.optimizer.options) == set(known.defaults), name
        assert known.rate == "learning_rate"


def test_all_that_keras_has_is_built_in():
    import keras

    classes = {
        f"keras.optimizers.{name}"
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)
    }
    wrappers = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")  # of other optimizers
    ours = {resolve([f"optimizer={name}"]).optimizer.target for name in ALL}
    assert classes - {f"keras.optimizers.{name}" for name in wrappers} <= ours


def test_reserved_keys_are_no_hyperparameters():
    for name in ALL:
        assert not set(resolve([f"optimizer={name}"]).optimizer.options) & set(sections.RESERVED)


def test_backends_are_checked_without_importing_them(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jacks")
    assert "did you mean jax" in refused()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(compose, "find_spec", lambda name: None)
    assert "KERAS_BACKEND=torch: the package torch is not installed" in refused()
