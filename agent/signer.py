"""Signs what comes on standard input, as a program of its own: ``python -I signer.py KEY_FILE``.

The library for it takes 8 MiB of memory, which a box that signs a few hundred batches a day does not keep in its
daemon all day (docs/decisions/0013). It imports nothing of ours, so that it starts in a few hundredths of a second,
and the private key never is in the daemon's memory.
"""

import json
import sys
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def main() -> None:
    """Print the Ed25519 signature (RFC 8032) in base64."""
    key = b64decode(json.loads(Path(sys.argv[1]).read_text(encoding="ascii"))["private_key"], validate=True)
    signature = Ed25519PrivateKey.from_private_bytes(key).sign(sys.stdin.buffer.read())
    sys.stdout.write(b64encode(signature).decode("ascii"))


if __name__ == "__main__":
    main()
