"""The optimizers that are compared: one contract, an adapter for each kind, and our own L-BFGS."""

import nstbench.engine  # noqa: F401
