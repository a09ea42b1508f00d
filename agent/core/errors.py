"""Errors named by what the caller does about them. Anything else that is raised is a bug."""


class AgentError(Exception):
    """Base of the errors the product raises on purpose; ``hint`` tells the operator what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(AgentError):
    """The configuration cannot be used as it stands: tell the technician and stop (exit status 78)."""


class DeviceUnavailable(AgentError):
    """The device did not answer: the read failed, the bus is reopened later."""


class PlatformUnavailable(AgentError):
    """The platform cannot take this now: keep it and try again.

    ``retry_after_s`` is what the platform asked for, if it did.
    """

    def __init__(self, message: str, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class ReplyTooLong(PlatformUnavailable):
    """The platform's reply is longer than a box reads."""


class PlatformRejected(AgentError):
    """The platform refuses the content: find the record that is refused and set it aside."""


class PayloadTooLarge(AgentError):
    """The platform takes less at a time: halve the batch."""


class PlatformUnauthorized(AgentError):
    """The platform does not accept the credential: stop sending, probe slowly, keep recording.

    ``retry_after_s`` is what the platform asked for, if it did.
    """

    def __init__(self, message: str, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class StoreUnavailable(AgentError):
    """The local database cannot be used: say so, keep sensing."""


class StoreDamaged(StoreUnavailable):
    """Something in the local database is not what was written: end, so that the next start sets it aside."""
