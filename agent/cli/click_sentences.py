"""What click says to people by itself: it looks these up in the catalogue we lend it.

The list is here to be collected by `make catalogue`; it is never run, and a sentence that a version of click words
differently stays English.
"""

from instrument_agent.i18n import _, ngettext


def _said_by_click() -> tuple[str, ...]:
    return (
        _("Usage:"),
        _("Options"),
        _("Commands"),
        _("Show this message and exit."),
        _("Show the version and exit."),
        _("%(prog)s, version %(version)s"),
        _("default: {default}"),
        _("required"),
        _("env var: {var}"),
        _("Error: {message}"),
        _("Try '{command} {option}' for help."),
        _("Aborted!"),
        _("Missing argument"),
        _("Missing option"),
        _("No such option {name!r}."),
        _("No such command {name!r}."),
        _("Invalid value for {param_hint}: {message}"),
        _("{value!r} is not a valid {number_type}."),
        _("{value} is not in the range {range}."),
        _("Option {name!r} does not take a value."),
        ngettext("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)", 1),
        ngettext("{value!r} is not {choice}.", "{value!r} is not one of {choices}.", 1),
        ngettext("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments.", 1),
        ngettext("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})", 1),
    )
