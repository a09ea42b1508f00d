"""A signal that comes at any moment ends a wait, and never stops the process for good."""

import signal
import subprocess
import sys

PROGRAM = """
import os, signal, threading, time
from instrument_agent.signals import aside

event = threading.Event()
signal.signal(signal.SIGUSR1, aside(event.set))
print("ready", flush=True)
end_s, ended = time.monotonic() + 2, 0
while time.monotonic() < end_s:
    event.clear()
    ended += event.wait(0.00001)
os._exit(0 if ended else 1)
"""
SHOOTER = """
import os, sys, time

while True:
    os.kill(int(sys.argv[1]), int(sys.argv[2]))
    time.sleep(0.001)
"""


def test_whatever_the_main_thread_is_doing_a_signal_ends_its_wait():
    # With `lambda *_: event.set()` as the handler the process waits for itself, or dies, within a second.
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        shooter = subprocess.Popen(
            [sys.executable, "-c", SHOOTER, str(process.pid), str(int(signal.SIGUSR1))], stderr=subprocess.DEVNULL
        )
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
            shooter.kill()
            shooter.wait()
