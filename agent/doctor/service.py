"""Does the service run, is it started at boot, and does it stay up?"""

from collections.abc import Mapping

from instrument_agent.doctor.machine import said_by
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import _

UNIT = "instrument-agent.service"
PROPERTIES = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "ExecMainStatus")
MANY_RESTARTS = 3
CONFIG_MISTAKE = "78"


def judge_unit(facts: Mapping[str, str], *, answers: bool) -> list[Verdict]:
    """Judge what systemd says of the unit (``PROPERTIES``; nothing where there is none); ``answers``: an agent does."""
    if facts.get("LoadState") != "loaded":
        said = _("an agent runs, but not as a service") if answers else _("there is no service on this machine")
        return [Verdict("unit", Grade.NOT_APPLICABLE, said)]
    found = [_active(facts)]
    if facts.get("UnitFileState") not in ("enabled", "enabled-runtime", "static"):
        advice = _("sudo systemctl enable instrument-agent")
        found.append(Verdict("unit", Grade.WARN, _("the service is not started at boot"), advice))
    restarts = int(facts.get("NRestarts") or 0)
    if restarts >= MANY_RESTARTS:
        said = _("systemd has restarted it {count} times").format(count=restarts)
        found.append(Verdict("unit", Grade.WARN, said, _("see why: journalctl -u instrument-agent -p warning")))
    return found


def _active(facts: Mapping[str, str]) -> Verdict:
    state = f"{facts.get('ActiveState', '')} ({facts.get('SubState', '')})"
    if facts.get("ActiveState") == "active":
        return Verdict("unit", Grade.OK, _("the service is {state}").format(state=state))
    said = _("the service is {state}, status {status}").format(state=state, status=facts.get("ExecMainStatus", ""))
    if facts.get("ExecMainStatus") == CONFIG_MISTAKE:
        advice = _("the config file has a mistake: sudo instrument-agent check")
        return Verdict("unit", Grade.FAIL, said, advice)
    advice = _("sudo systemctl start instrument-agent; if it ends again: journalctl -u instrument-agent")
    return Verdict("unit", Grade.FAIL, said, advice)


def unit_facts() -> dict[str, str]:
    """Ask systemd about the unit; nothing where there is no systemd."""
    said = said_by("systemctl", "show", UNIT, f"--property={','.join(PROPERTIES)}")
    return {key: value for key, equals, value in (line.partition("=") for line in said.splitlines()) if equals}
