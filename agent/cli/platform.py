"""``instrument-agent platform``: run the reference platform, and hand out its enrolment codes."""

import ipaddress
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from instrument_agent.cli.at_terminal import until_interrupted
from instrument_agent.cli.options import as_json, examples
from instrument_agent.cli.platform_database import database_option, enrolment_of, installed, opened
from instrument_agent.cli.platform_import import import_report
from instrument_agent.core.errors import AgentError
from instrument_agent.core.readings import NS_PER_S
from instrument_agent.i18n import _


@click.group(
    help=_("The reference platform: for demos, tests, pilots and one institute. What scales is the contract."),
    epilog=examples("platform serve --open", "platform codes new --box lab3-box1"),
)
def platform() -> None:
    """Find and run a command."""


platform.add_command(import_report)


@platform.command(
    help=_("Take what boxes send, until Ctrl-C. Boxes need a credential, which they get for an enrolment code."),
    epilog=examples(
        "platform serve --open",
        "platform serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --page-password-file page.txt",
    ),
)
@database_option
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help=_("address and port"))
@click.option("--tls-cert", type=click.Path(path_type=Path), help=_("certificate with its chain (PEM)"))
@click.option("--tls-key", type=click.Path(path_type=Path), help=_("key of the certificate (PEM)"))
@click.option("--open", "everybody", is_flag=True, help=_("let every box in without a credential; on loopback only"))
@click.option(
    "--page-password-file",
    type=click.Path(path_type=Path),
    help=_("file with the password of the page; without it the page is shown to this machine only"),
)
@click.option("--zone", default="Asia/Shanghai", show_default=True, help=_("time zone of the page"))
@click.option("--next-heartbeat-s", type=click.IntRange(15, 3600), help=_("how often boxes shall send a heartbeat"))
@click.option("--mqtt", metavar="URL", help=_("take what boxes send through this broker too: mqtts://HOST:8883/PREFIX"))
@click.option(
    "--mqtt-credential-file", type=click.Path(path_type=Path), help=_("file with USER:PASSWORD for the broker")
)
@click.option("--mqtt-ca-file", type=click.Path(path_type=Path), help=_("certificate of the broker's own authority"))
def serve(
    database: str,
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    everybody: bool,
    page_password_file: Path | None,
    zone: str,
    next_heartbeat_s: int | None,
    mqtt: str | None,
    mqtt_credential_file: Path | None,
    mqtt_ca_file: Path | None,
) -> None:
    """Serve until a signal."""
    host, port = _address(listen)
    _check_safe(host, tls_cert, tls_key, everybody)
    password = None if page_password_file is None else read_secret(page_password_file)
    _check_zone(zone)
    _check_broker(mqtt, everybody)
    with ExitStack() as stack:
        with installed():
            from instrument_agent.receiver import Ledger, PlatformServer, create_app
            from instrument_agent.receiver.page import Page
        ledger = stack.enter_context(opened(lambda: Ledger(database)))
        enrolment = None if everybody else enrolment_of(stack, database)
        page = Page(ledger, time.time_ns, password, zone)
        app = create_app(ledger, time.time_ns, None, next_heartbeat_s, enrolment, page)
        stopping = stack.enter_context(until_interrupted())
        try:
            server = stack.enter_context(PlatformServer(app, port, tls_cert, tls_key, host))
        except OSError as error:
            raise AgentError(
                _("the platform cannot listen on {address}: {error}").format(address=listen, error=error),
                _("choose another --listen, or look at the certificate and its key"),
            ) from error
        if mqtt is not None:
            from instrument_agent.receiver.mqtt_consumer import MqttConsumer

            # An application of its own: the other one runs in the loop of its server.
            through_broker = create_app(ledger, time.time_ns, None, next_heartbeat_s, enrolment)
            stack.enter_context(MqttConsumer(mqtt, through_broker, mqtt_credential_file, mqtt_ca_file))
        click.echo(_("the platform is at {url}; Ctrl-C ends it").format(url=server.url))
        stopping.wait()


@platform.command(
    "revoke", help=_("Let a box in no more. To come back it enrols again, with a code made for it; its records stay.")
)
@database_option
@click.argument("box_id", metavar="BOX")
def revoke_box(database: str, box_id: str) -> None:
    """Revoke a box."""
    with ExitStack() as stack:
        if not enrolment_of(stack, database).revoke_box(box_id):
            raise AgentError(
                _("{box} is not enrolled here").format(box=box_id),
                _("look for it with: instrument-agent platform codes list"),
            )
    click.echo(_("{box} is let in no more").format(box=box_id))


@platform.command("keys", help=_("Print the platform's own public key, or every public key a box had, newest first."))
@database_option
@click.argument("box_id", metavar="BOX", required=False)
def list_keys(database: str, box_id: str | None) -> None:
    """Print keys, to be compared with what `verify` shows."""
    with ExitStack() as stack:
        enrolment = enrolment_of(stack, database)
        if box_id is None:
            click.echo(enrolment.public_key)
            return
        for key in enrolment.keys(box_id):
            since = datetime.fromtimestamp(key["since_ns"] // NS_PER_S, UTC)
            click.echo(f"{key['public_key']}  {since:%Y-%m-%d %H:%M} UTC")


@platform.group(help=_("One-time codes with which boxes enrol."))
def codes() -> None:
    """Find and run a command."""


@codes.command(
    "new",
    help=_("Make codes and print them; they are shown only now."),
    epilog=examples("platform codes new --box lab3-box1", "platform codes new --count 20 --days 60"),
)
@database_option
@click.option("--box", "box_id", help=_("the one box it is for; it may be enrolled already and get a new credential"))
@click.option("--count", type=click.IntRange(1, 1000), help=_("how many, each for whichever new box comes first"))
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help=_("how long they are good"))
def new_codes(database: str, box_id: str | None, count: int | None, days: int) -> None:
    """Make codes."""
    if (box_id is None) == (count is None):
        raise click.UsageError(_("give either --box or --count"))
    with ExitStack() as stack:
        enrolment = enrolment_of(stack, database)
        from instrument_agent.receiver.contract import is_box_id

        if box_id is not None and not is_box_id(box_id):
            raise AgentError(
                _("{box} cannot be the id of a box").format(box=box_id),
                _("use 1 to 64 letters, digits, dots, underscores, colons or hyphens"),
            )
        for _number in range(count or 1):
            click.echo(enrolment.new_code(box_id, time.time_ns(), days))


@codes.command("list", help=_("List all codes by number; the code itself is known only to whom it was given."))
@database_option
@click.option("--json", "json_wanted", is_flag=True, help=_("print the result as JSON"))
def list_codes(database: str, json_wanted: bool) -> None:
    """List codes."""
    with ExitStack() as stack:
        listed = enrolment_of(stack, database).codes(time.time_ns())
    if json_wanted:
        click.echo(as_json([asdict(code) for code in listed]))
        return
    words = {"open": _("open"), "used": _("used"), "expired": _("expired"), "revoked": _("revoked")}
    for code in listed:
        until = f"{datetime.fromtimestamp(code.expires_ns // NS_PER_S, UTC):%Y-%m-%d}"
        whom = code.used_by or code.box_id or _("any new box")
        click.echo(f"{code.number:>5}  {code.begins}-...  {until}  {words[code.state]}  {whom}")
    if not listed:
        click.echo(_("There is no code yet; make some with: instrument-agent platform codes new"))


@codes.command("revoke", help=_("Make a code useless, and take away the credential that was given for it."))
@database_option
@click.argument("number", type=click.IntRange(1))
def revoke_code(database: str, number: int) -> None:
    """Revoke a code."""
    with ExitStack() as stack:
        if not enrolment_of(stack, database).revoke_code(number):
            raise AgentError(
                _("there is no code number {number}").format(number=number),
                _("look for it with: instrument-agent platform codes list"),
            )
    click.echo(_("code {number} is revoked").format(number=number))


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        number = -1
    if not colon or not 0 <= number <= 65_535:  # noqa: PLR2004  # the range of a port
        raise AgentError(
            _("{text} is not an address and a port").format(text=text), _("write it like 127.0.0.1:8080 or [::1]:8080")
        )
    return host, number


def _check_safe(host: str, tls_cert: Path | None, tls_key: Path | None, everybody: bool) -> None:
    """Refuse what would carry credentials, or let boxes in, in the open."""
    if (tls_cert is None) != (tls_key is None):
        raise AgentError(_("a certificate needs its key"), _("give both --tls-cert and --tls-key"))
    if ipaddress.ip_address(host).is_loopback:
        return
    if everybody:
        raise AgentError(
            _("--open lets everybody in, so it is for loopback only"), _("leave it out, and enrol boxes with codes")
        )
    if tls_cert is None:
        raise AgentError(
            _("outside this machine boxes speak HTTPS only"),
            _("give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a server that does HTTPS"),
        )


def _check_broker(url: str | None, everybody: bool) -> None:
    if url is None:
        return
    from instrument_agent.config.fields import check_url, is_loopback
    from instrument_agent.tables.mistakes import Unfit

    try:
        check_url(url)
    except Unfit as unfit:
        raise AgentError(f"--mqtt: {unfit}", unfit.hint) from unfit
    if not url.startswith("mqtt"):
        raise AgentError(_("--mqtt names no broker"), _("write it like mqtts://broker.example.org:8883/instruments"))
    if everybody and not is_loopback(url):
        raise AgentError(
            _("--open lets everybody in, so it is for loopback only"), _("leave it out, and enrol boxes with codes")
        )


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise AgentError(_("{zone} is no time zone").format(zone=zone), _("write it like Asia/Shanghai")) from error


def read_secret(path: Path) -> str:
    """Return the one word in a file.

    Raises:
        AgentError: there is none.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError(
            _("the file {path} cannot be read").format(path=path), _("write it there, readable only by you")
        ) from error
    if not text:
        raise AgentError(_("the file {path} is empty").format(path=path), _("write it there"))
    return text
