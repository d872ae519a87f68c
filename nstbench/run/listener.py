"""What a run tells whoever looks on."""

from typing import Any, Protocol


class Listener(Protocol):
    """Every method may do nothing."""

    def stage(self, what: str) -> None:
        """The run has come to `what`, e.g. "compiling"."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """`done` of `total` bytes of `name` have come."""

    def note(self, text: str) -> None:
        """Something worth saying once, e.g. that a checkpoint was of no use."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch is on record: `row` has the columns of `epochs.csv`."""


class Silent:
    """A `Listener` that does nothing: what others build on."""

    def stage(self, what: str) -> None:
        pass

    def download(self, name: str, done: int, total: int | None) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def epoch(self, row: dict[str, Any]) -> None:
        pass
