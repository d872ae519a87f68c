"""A function in a thread of its own that hands over whenever it asks: a coroutine for any code."""

import queue
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ended:
    """The function has returned `result` or raised `error`."""

    result: Any = None
    error: Exception | None = None


class Conversation:
    """`function(ask)` runs until it calls `ask(event)`, and goes on when it is given the answer.

    Only one of the two threads runs at a time. The function's thread ends with the function, with
    `stop`, or when nobody holds the conversation any longer; it never keeps the process alive.
    """

    def __init__(self, function: Callable[[Callable], Any]):
        self._asked: queue.SimpleQueue = queue.SimpleQueue()
        self._answers: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=_talk, args=(function, self._asked, self._answers), daemon=True
        )
        self._stopped = weakref.finalize(self, self._answers.put, _Stop)
        self._stopped.atexit = False

    def resume(self, answer: Any = None) -> Any:
        """Answer the last question (the first call starts the function); returns the next event."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._answers.put(answer)
        return self._asked.get()

    def stop(self) -> None:
        """End the function where it waits."""
        self._stopped()
        if self._thread.ident is not None:
            self._thread.join()


class _Stop(BaseException):
    """Passes through the function; not an `Exception`, so that it is not mistaken for one."""


def _talk(function, asked: queue.SimpleQueue, answers: queue.SimpleQueue) -> None:
    def ask(event):
        asked.put(event)
        answer = answers.get()
        if answer is _Stop:
            answers.put(_Stop)  # whoever swallowed it is told again at the next question
            raise _Stop
        return answer

    try:
        asked.put(Ended(function(ask)))
    except _Stop:
        return
    except Exception as error:  # it would otherwise leave the other side waiting
        asked.put(Ended(error=error))
