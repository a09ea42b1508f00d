"""Write the manual page and the completions of three shells from the commands themselves: LIBRARY and SHARE are given.

Nothing that `--help` says is said a second time, so the page cannot be out of date.
"""
# ruff: noqa: INP001  # a script

import gzip
import sys
from pathlib import Path

LIBRARY, SHARE = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(LIBRARY))

import click  # noqa: E402  # found only now
from click.shell_completion import get_completion_class  # noqa: E402  # likewise

from instrument_agent import __version__  # noqa: E402  # likewise
from instrument_agent.cli.main import cli  # noqa: E402  # likewise
from instrument_agent.i18n import language  # noqa: E402  # likewise

NAME = "instrument-agent"
COMPLETIONS = {
    "bash": f"bash-completion/completions/{NAME}",
    "zsh": f"zsh/vendor-completions/_{NAME}",
    "fish": f"fish/vendor_completions.d/{NAME}.fish",
}
WORDS = {
    "en": ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "watches scientific instruments and delivers what they did"),
    "zh": ("名称", "概要", "说明", "命令", "监测科研仪器并上传其运行记录"),
}
END = {
    "en": """.SH EXIT STATUS
0 if all is well; 1 if the command could not do its work (it says why, and what to do);
2 for a mistyped command line; 78 if the config file has a mistake, upon which systemd does not start the service again.
.SH FILES
.TP
.I /etc/instrument-agent/config.toml
The configuration; all its keys are explained in
.IR /usr/share/instrument-agent/config.example.toml .
.TP
.I /etc/instrument-agent/credentials/
Tokens that systemd hands over to the service, for root's eyes only.
.TP
.I /var/lib/instrument-agent/buffer.db
What was observed. Do not delete it: it holds hours that may not be delivered yet.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1),
.I /usr/share/doc/instrument-agent/
""",
    "zh": """.SH 退出码
0 一切正常；1 命令未能完成（会说明原因和处理办法）；2 命令行写错；78 配置文件有错误，此时 systemd 不再自动启动服务。
.SH 文件
.TP
.I /etc/instrument-agent/config.toml
配置文件；全部配置项的说明见
.IR /usr/share/instrument-agent/config.example.toml 。
.TP
.I /etc/instrument-agent/credentials/
由 systemd 转交给服务的令牌，只有 root 可读。
.TP
.I /var/lib/instrument-agent/buffer.db
观测记录。不要删除：其中可能有尚未上传的机时。
.SH 另见
.BR systemctl (1)、
.BR journalctl (1)、
.I /usr/share/doc/instrument-agent/technician.zh-CN.md
""",
}


def main() -> None:
    """Write the page in the language of LANGUAGE, and the completions, which know none."""
    spoken = language()
    page = SHARE / "man" / {"en": "", "zh": "zh_CN"}[spoken] / f"man1/{NAME}.1.gz"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_bytes(gzip.compress("".join(_page(spoken)).encode(), 9, mtime=0))
    for shell, name in COMPLETIONS.items():
        kind = get_completion_class(shell)
        if kind is None:
            sys.exit(f"click completes nothing in {shell} any more")
        (SHARE / name).parent.mkdir(parents=True, exist_ok=True)
        (SHARE / name).write_text(kind(cli, {}, NAME, "_INSTRUMENT_AGENT_COMPLETE").source(), encoding="utf-8")


def _page(spoken: str) -> list[str]:
    name, synopsis, description, commands, does = WORDS[spoken]
    parts = [f'.TH INSTRUMENT\\-AGENT 1 "" "{NAME} {__version__}"\n.SH {name}\n']
    parts += [f"{NAME} \\- {does}\n.SH {synopsis}\n"]
    parts += [f".B {NAME}\n.I COMMAND\n[OPTIONS]\n.SH {description}\n{_plain(cli.help)}\n.SH {commands}\n"]
    return [*parts, *_commands(cli, click.Context(cli, info_name=NAME)), END[spoken]]


def _commands(group: click.Group, context: click.Context) -> list[str]:
    parts: list[str] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        here = click.Context(command, info_name=name, parent=context)
        usage = " ".join([here.command_path, *command.collect_usage_pieces(here)])
        parts += [f".SS {_plain(usage)}\n{_plain(command.help)}\n"]
        for parameter in command.get_params(here):
            if record := parameter.get_help_record(here):
                parts += [f".TP\n.B {_plain(record[0])}\n{_plain(record[1])}\n"]
        if isinstance(command, click.Group):
            parts += _commands(command, here)
    return parts


def _plain(text: str | None) -> str:
    """Return text as roff prints it: no hyphenation of options, no line taken for a request."""
    escaped = " ".join((text or "").replace("\b", "").split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


main()
