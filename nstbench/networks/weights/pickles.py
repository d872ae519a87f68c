"""Pickles read without trust: array constructors are admitted and nothing else."""

import io
import pickle
from collections import OrderedDict, namedtuple

import numpy as np

from nstbench.networks.weights.layers import Unavailable

_Tensor = namedtuple("_Tensor", "storage offset shape strides requires_grad hooks")

_TORCH = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): "float32",
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
}

_NUMPY = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


class _Unpickler(pickle.Unpickler):
    """Admits the globals in `admitted` and nothing else."""

    def __init__(self, data: io.BytesIO, admitted: dict[tuple[str, str], object]):
        super().__init__(data)
        self._admitted = admitted

    def find_class(self, module, name):
        if (module, name) not in self._admitted:
            raise Unavailable(f"refused a pickle that asks for {module}.{name}")
        return self._admitted[module, name]

    def persistent_load(self, pid):
        """A legacy PyTorch file's reference to a storage: ("storage", type, key, device, ...)."""
        return pid[2]


def read_numpy(data: bytes):
    """A pickle of NumPy arrays in dicts."""
    return _Unpickler(io.BytesIO(data), _NUMPY).load()


def read_legacy_torch(data: bytes) -> dict[str, np.ndarray]:
    """A state dict that `torch.save` wrote before version 1.6.

    Five pickles (magic number, protocol, byte order and sizes, the dict, the storages' keys), then
    for each key the number of its elements (int64) and the elements (float32), little-endian.
    """
    stream = io.BytesIO(data)
    _, _, _, tensors, keys = (_Unpickler(stream, _TORCH).load() for _ in range(5))
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = np.frombuffer(stream.read(4 * count), "<f4")
    return {name: _strided(tensor, storages[tensor.storage]) for name, tensor in tensors.items()}


def _strided(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    contiguous = np.cumprod((1, *tensor.shape[:0:-1]))[::-1]
    if tensor.storage is None or any(
        size > 1 and stride != expected
        for size, stride, expected in zip(tensor.shape, tensor.strides, contiguous, strict=True)
    ):
        raise Unavailable("a tensor of the file is not contiguous")
    count = int(np.prod(tensor.shape))
    return storage[tensor.offset : tensor.offset + count].reshape(tensor.shape)
