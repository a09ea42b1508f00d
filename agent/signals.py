"""Signal handlers that may set an event."""

import threading
from collections.abc import Callable


def aside(work: Callable[[], object]) -> Callable[[int, object], None]:
    """Return a signal handler that does its work in a thread of its own.

    Python runs a handler in the middle of what the main thread does. If that is waiting for an event, it may hold the
    very lock that ``Event.set`` takes, and would then wait for itself for ever.
    """

    def handle(_number: int, _frame: object) -> None:
        threading.Thread(target=work, name="signal", daemon=True).start()

    return handle
