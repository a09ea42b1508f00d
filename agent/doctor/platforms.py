"""Does each platform answer, accept the credential, and take what is sent?"""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from instrument_agent.config import BoxConfig, DestinationConfig
from instrument_agent.core.anchors import DAY_NS
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.doctor.credentials import hidden
from instrument_agent.doctor.verdict import Grade, Verdict
from instrument_agent.i18n import _
from instrument_agent.uplink.enrolled import KeyFile
from instrument_agent.uplink.http import CONNECT_S
from instrument_agent.uplink.transports import transport_to

EXPIRES_SOON_DAYS = 21


@dataclass(frozen=True, slots=True)
class ReachFacts:
    """One question to the platform: what it said if it was no answer, and until when its certificate is good.

    ``expires_ns`` and ``utc_ns`` are since 1970; None where there is no certificate or the time is not known. It was
    not asked if the credential is ``hidden`` from this user.
    """

    name: str
    error: str = ""
    hint: str = ""
    took_s: float = 0.0
    expires_ns: int | None = None
    utc_ns: int | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """How delivery stands; ``acked_ago_ns`` is None if it was in another boot or never (``acked_ever``)."""

    name: str
    waiting: int
    refused: int
    acked_ever: bool
    acked_ago_ns: int | None
    room_days: float | None


def judge_reach(facts: ReachFacts) -> Verdict:
    """Judge whether a platform answers: name, connection, certificate and credential in one."""
    if facts.hidden:
        said = _("it was not asked: this user may not read the credential")
        return Verdict("platform", Grade.NOT_APPLICABLE, said, _("use sudo"), facts.name)
    if facts.error:
        advice = facts.hint or _("look at the network cable, the address in the config file and the firewall")
        return Verdict("platform", Grade.FAIL, facts.error, advice, facts.name)
    said = _("it answers and accepts the credential, in {seconds} s").format(seconds=f"{facts.took_s:.1f}")
    if facts.expires_ns is not None and facts.utc_ns is not None:
        days = (facts.expires_ns - facts.utc_ns) / DAY_NS
        if days < EXPIRES_SOON_DAYS:
            said = _("its certificate ends in {days} days").format(days=round(days))
            return Verdict("platform", Grade.WARN, said, _("tell the platform's operator"), facts.name)
    return Verdict("platform", Grade.OK, said, "", facts.name)


def judge_delivery(facts: DeliveryFacts) -> list[Verdict]:
    """Judge what waits for a platform, for how long there is room, and what it refused."""
    found = [_judge_waiting(facts)]
    if facts.refused:
        said = _("it refused {count} records").format(count=facts.refused)
        advice = _("tell the platform's operator: they stay on the box")
        found.append(Verdict("delivery", Grade.WARN, said, advice, facts.name))
    return found


def _judge_waiting(facts: DeliveryFacts) -> Verdict:
    if not facts.waiting:
        return Verdict("delivery", Grade.OK, _("nothing waits"), "", facts.name)
    said = _("{count} records wait").format(count=facts.waiting)
    if facts.room_days is not None:
        said = _("{waiting}; there is room for {days} more days").format(waiting=said, days=round(facts.room_days))
    advice = _("nothing is lost while there is room; see what the platform says above")
    if facts.acked_ago_ns is not None and facts.acked_ago_ns < DAY_NS:
        return Verdict("delivery", Grade.OK, said, "", facts.name)
    if facts.acked_ago_ns is not None:
        days = f"{facts.acked_ago_ns / DAY_NS:.1f}"
        said = _("{said}; nothing was acknowledged for {days} days").format(said=said, days=days)
    elif not facts.acked_ever:
        said = _("{said}; nothing was ever acknowledged").format(said=said)
    else:
        said = _("{said}; nothing was acknowledged since the box started").format(said=said)
    return Verdict("delivery", Grade.WARN, said, advice, facts.name)


def reach(destination: DestinationConfig, box: BoxConfig, utc_ns: int | None) -> ReachFacts:
    """Ask the platform what it has of this box, which needs a name, a connection, a certificate and a credential."""
    name, keys = destination.name, KeyFile(box.state_dir, destination.name)
    if any(hidden(path) for path in (destination.credential_file, keys.path) if path is not None):
        return ReachFacts(name, hidden=True)
    transport = transport_to(destination, box.id, keys)
    try:
        reply = transport.watermark()
    except AgentError as error:
        return ReachFacts(name, str(error), error.hint)
    finally:
        transport.close()
    known_ns = reply.server_utc_ns if utc_ns is None else utc_ns
    expires_ns = expiry_ns(destination.url, destination.ca_file)
    return ReachFacts(name, took_s=reply.round_trip_s, expires_ns=expires_ns, utc_ns=known_ns)


def expiry_ns(url: str, ca_file: Path | None) -> int | None:
    """Return when the certificate of a server ends; None over plain http or if it cannot be seen (through a proxy)."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file)
        with (
            socket.create_connection((parts.hostname, parts.port or 443), timeout=CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            certificate: Any = secure.getpeercert() or {}
    except (OSError, ValueError):
        return None
    ends = certificate.get("notAfter")
    return None if ends is None else ssl.cert_time_to_seconds(ends) * NS_PER_S


def delivery_facts(
    name: str, queue: Mapping[str, Any], boot_id: str, boottime_ns: int, room_days: float | None
) -> DeliveryFacts:
    """Return how delivery stands from what ``status`` says of a destination."""
    acked_ns = queue["acked_at_ns"] if queue["acked_boot_id"] == boot_id else None
    return DeliveryFacts(
        name=name,
        waiting=queue["waiting"],
        refused=queue["dead_lettered"],
        acked_ever=queue["acked_at_ns"] is not None,
        acked_ago_ns=None if acked_ns is None else boottime_ns - acked_ns,
        room_days=room_days,
    )
