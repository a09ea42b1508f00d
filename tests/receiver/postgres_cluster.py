"""A private PostgreSQL: its own cluster in its own folder, on a Unix socket only, run by a user without rights."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
# What is kept here is thrown away, so nothing has to reach the disk.
FAST = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c autovacuum=off"


class Cluster:
    def __init__(self) -> None:
        self._bin = BINARIES[-1]
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.folder = Path(tempfile.mkdtemp(prefix="ia-postgres-"))
        os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._databases = 0
        self._run("initdb", "--pgdata", f"{self.folder}/data", "--username=tester", "--no-sync", "--encoding=UTF8")
        options = f"{FAST} -c unix_socket_directories='{self.folder}'"
        log = f"{self.folder}/log"
        self._run("pg_ctl", "start", "--wait", "--pgdata", f"{self.folder}/data", "--log", log, "--options", options)

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        self._databases += 1
        name = f"platform{self._databases}"
        self._run("createdb", f"--host={self.folder}", "--username=tester", name)
        return f"postgresql://tester@/{name}?host={self.folder}"

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--mode=immediate", "--pgdata", f"{self.folder}/data")
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        as_user = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [self._bin / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            cwd=self.folder,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            timeout=60,
            check=False,
            **(as_user if os.geteuid() == 0 else {}),
        )
        assert done.returncode == 0, (program, done.stderr)
