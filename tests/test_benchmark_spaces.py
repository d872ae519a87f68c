"""Benchmarks, their instances, and the points that are tried."""

import pytest

from nstbench.benchmark import instances, spaces
from nstbench.errors import SettingsError
from nstbench.pictures import images
from nstbench.settings import compose

SHIPPED = ("tiny", "small", "texture", "inversion")


def content(**changes):
    return {
        "name": "own", "description": "", "settings": [], "inits": ["noise"], "horizon": 30,
        "steps_per_epoch": 5, "trials": 5, "widenings": 1,
        "tuning": {"pairs": [["cat", "wave"]], "repeats": [0]},
        "score": {"pairs": [["coffee", "glass"]], "repeats": [1, 2]},
        "levels": [0.1], "bounds": [2, 30], "budgets": [10], "reference": ["adam"],
    } | changes  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_benchmarks_name_built_in_pictures(name):
    benchmark = instances.load(name)
    for part in (benchmark.tuning, benchmark.score):
        for picture, style in part.pairs:
            assert picture in images.builtin_contents()
            assert style in images.builtin_styles()
    assert not benchmark.tuning.pictures & benchmark.score.pictures
    assert set(benchmark.reference) <= set(compose.choices("optimizer"))


def test_small_has_the_pairs_that_were_promised():
    small = instances.load("small")
    assert len(set(small.tuning.pairs)) >= 4 and len(set(small.score.pairs)) >= 8
    assert sum(1 for _ in small.runs(small.score)) == 24


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": {"pairs": [["coffee", "wave"]], "repeats": [1]}}, "wave is a picture of tuning"),
        ({"horizon": 31}, "horizon=31 must be a multiple of 5 steps"),
        ({"bounds": [30, 2]}, "must rise"),
        ({"bounds": [2, 300]}, "within the horizon"),
        ({"trails": 5}, "did you mean trials"),
        ({"trials": 0}, "trials=0 must be at least 1"),
        ({"levels": []}, "levels=[] must have at least one"),
    ],
)
def test_a_benchmark_that_cannot_be_is_told_in_one_line(changes, message):
    with pytest.raises(SettingsError) as caught:
        instances.checked(content(**changes))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_benchmark_of_ones_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("like: tiny\ntrials: 3\n")
    mine = instances.load(str(file))
    assert (mine.name, mine.trials, mine.horizon) == ("mine", 3, 30)
    with pytest.raises(SettingsError, match="did you mean small"):
        instances.load("smal")


def test_runs_of_an_instance_differ_in_their_noise_alone():
    benchmark = instances.checked(content(inits=["noise", "content"]))
    runs = list(benchmark.runs(benchmark.score))
    assert [str(instance) for instance, _ in runs] == [
        "coffee+glass from noise", "coffee+glass from noise", "coffee+glass from content",
    ]  # fmt: skip
    first, second = (set(arguments) for _, arguments in runs[:2])
    assert first ^ second == {"repeat=1", "repeat=2"}
    settings = compose.resolve(["optimizer=adam", *runs[0][1]])
    assert settings.epochs * settings.steps_per_epoch == benchmark.horizon


def test_twenty_points_extend_ten():
    space = (spaces.Range("lr", "log", 1e-4, 1.0), spaces.Range("beta_1", "linear", 0.0, 0.99))
    assert spaces.points(space, 20)[:10] == spaces.points(space, 10)
    assert spaces.points(space, 20, seed=1) != spaces.points(space, 20)
    assert len({point["lr"] for point in spaces.points(space, 20)}) == 20


def test_points_fill_the_range_evenly_in_its_logarithm():
    space = (spaces.Range("lr", "log", 1e-4, 1.0),)
    rates = sorted(point["lr"] for point in spaces.points(space, 16))
    for number, rate in enumerate(rates):  # one in each sixteenth of the range
        assert 10 ** (-4 + number / 4) <= rate * 1.0001
        assert rate <= 10 ** (-4 + (number + 1) / 4) * 1.0001


def test_a_choice_is_chosen_from():
    (only,) = spaces.read(
        {"nesterov": {"choice": [True, False]}}, compose.resolve(["optimizer=sgd"])
    )
    assert {point["nesterov"] for point in spaces.points((only,), 8)} == {True, False}
    assert spaces.arguments({"lr": 1e-05, "nesterov": True}) == (
        "lr=1e-05",
        "optimizer.nesterov=true",
    )


def test_every_built_in_optimizer_declares_its_space():
    for name in compose.choices("optimizer"):
        declared = spaces.declared(name)
        assert declared is not None, name
        settings = compose.resolve([f"optimizer={name}"])
        for each in spaces.of(settings, declared):
            if each.name == "lr":
                assert each.low <= settings.lr <= each.high, name


def test_a_foreign_one_gets_three_decades_around_its_default():
    settings = compose.resolve(["optimizer=keras.optimizers.Adam"])
    (rate,) = spaces.of(settings, spaces.declared("keras.optimizers.Adam"))
    assert rate.low == pytest.approx(0.001 / 10**1.5) and rate.high == pytest.approx(
        0.001 * 10**1.5
    )
    assert spaces.of(compose.resolve(["optimizer=scipy.CG"]), None) == ()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"beta1": {"log": [1, 2]}}, "did you mean beta_1"),
        ({"lr": {"logg": [1, 2]}}, "did you mean log"),
        ({"lr": {"log": [0, 1]}}, "must be a range"),
        ({"lr": {"log": [2, 1]}}, "must be a range"),
        ({"lr": {"linear": [1, "x"]}}, "is no number"),
        ({"lr": 0.1}, "must be one of"),
    ],
)
def test_a_space_that_cannot_be_read(declared, message):
    with pytest.raises(SettingsError, match=message):
        spaces.read(declared, compose.resolve(["optimizer=adam"]))


def test_the_best_on_an_edge_is_seen_and_the_range_goes_on():
    space = (spaces.Range("lr", "log", 0.01, 1.0),)
    tried = [{"lr": rate} for rate in (0.02, 0.1, 0.7)]
    assert spaces.edges(space, {"lr": 0.1}, tried) == []
    assert spaces.edges(space, {"lr": 0.7}, tried) == [(space[0], "high")]
    assert spaces.edges(space, {"lr": 0.7}, tried[2:]) == []
    wider = space[0].beyond("high")
    assert (wider.low, wider.high) == (pytest.approx(1.0), pytest.approx(10.0))
    lower = space[0].beyond("low")
    assert (lower.low, lower.high) == (pytest.approx(0.001), pytest.approx(0.01))
    assert space[0].joined(wider).high == pytest.approx(10.0)
