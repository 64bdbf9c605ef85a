"""Certificates for the TLS listener, made by the `openssl` program: a CA, a server and a client certificate.

They live for a day in the server's temporary directory, and the CA key is never used again.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
_SERVER_NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost"


def make_certificates(folder: Path) -> None:
    """Write ca.pem, server.pem, server.key, client.pem and client.key into a folder.

    Raises:
        RuntimeError: `openssl` is missing or failed.
    """
    ca = ["-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key")]
    _certificate(folder, "ca", "fault server CA", ["-addext", "basicConstraints=critical,CA:TRUE"])
    _certificate(folder, "server", "127.0.0.1", [*ca, "-addext", _SERVER_NAMES, "-addext", "basicConstraints=CA:FALSE"])
    _certificate(folder, "client", "client", [*ca, "-addext", "basicConstraints=CA:FALSE"])


def _certificate(folder: Path, name: str, subject: str, more: list[str]) -> None:
    out = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
    command = ["openssl", "req", "-x509", *_NEW_KEY, *out, "-days", "1", "-subj", f"/CN={subject}", *more]
    try:
        subprocess.run(  # noqa: S603 - fixed words and our own paths
            command, check=True, capture_output=True, text=True, timeout=30
        )
    except FileNotFoundError:
        raise RuntimeError("the TLS listener needs the openssl program: install OpenSSL 3") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"openssl could not make a certificate: {error.stderr.strip()[-500:]}") from None
