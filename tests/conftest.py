"""Fixtures that several test files share."""

import os
import shutil
import subprocess
import tempfile

import pytest
from browsing import ARGUMENTS, CHROMIUM, PATIENCE

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# PyTorch's threads wait for each other awake, and of two workers each takes the other's cores.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
# One folder of compiled programs for all processes of a session, and none of the user's.
os.environ.setdefault("NSTBENCH_PROGRAMS", tempfile.mkdtemp(prefix="nstbench-tests-"))


# Files that `make check` leaves out: real networks, whole sweeps, simulations, browsers, backends.
SLOW = {
    "test_backends", "test_benchmark_commands", "test_benchmark_worker", "test_check", "test_class",
    "test_cost", "test_export", "test_extractors", "test_foreign_optimizers", "test_golden",
    "test_kernels", "test_own_optimizer", "test_pictures", "test_presets", "test_programs",
    "test_report_command", "test_report_figures", "test_report_kinds", "test_report_page",
    "test_report_verdicts", "test_sheet", "test_speed", "test_sweep", "test_verify",
    "test_visualize", "test_weights",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    """Mark what is slow; `@pytest.mark.real_weights` asks for the fixture of that name.

    The slow files come first: of two workers none then begins a long one when the other is done.
    """
    items.sort(key=lambda item: item.path.stem not in SLOW)
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("real_weights") and "real_weights" not in item.fixturenames:
            item.fixturenames.insert(0, "real_weights")


@pytest.fixture(scope="session")
def real_weights():
    """The ImageNet VGG-19, fetched if need be.

    Skips where it cannot be had (a closed network), but fails in continuous integration.
    """
    from nstbench.errors import WeightsError
    from nstbench.networks import weights

    try:
        return weights.load("vgg19", "imagenet")
    except WeightsError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"continuous integration needs the real weights: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def eager():
    """An engine that compiles nothing: that would take longer than the few steps of a test."""
    from nstbench import engine as engines

    engine = engines.load("cpu")
    if os.environ.get("KERAS_BACKEND") != "jax":  # which takes longer to differentiate op by op
        engine.compile = _uncompiled
    return engine


def _uncompiled(function):
    function.get_concrete_function = lambda: function  # as `tf.function` has it
    return function


@pytest.fixture(scope="module")
def browser():
    """One Chromium for the tests of a file.

    Needs one on the PATH (Debian: `apt-get install chromium`); skips without it on a user's
    machine, fails without it in continuous integration.
    """
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        stop(f"no {' or '.join(CHROMIUM)} on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=ARGUMENTS, timeout=PATIENCE
        )
        yield browser
        browser.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB of its own."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this system lets not even root mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)
