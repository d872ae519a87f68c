"""Pretrained networks and their weights."""

import nstbench.engine  # noqa: F401
