"""Neural style transfer: its losses, its objective, its problem."""

import nstbench.engine  # noqa: F401
