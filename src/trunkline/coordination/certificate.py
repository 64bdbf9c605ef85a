"""The certificate that workers know by its fingerprint: made of the key of the query, and with the same key made again.

    certificate = make_certificate(token)
    certificate.fingerprint          # SHA-256 of the certificate, hexadecimal

A coordinator that is started again with the same key therefore is the one that the workers know. Whoever has the key
may ask the coordinator for everything it gives, so nothing is lost by his having the certificate's key too.
"""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from trunkline.credentials import Secret
from trunkline.errors import MissingExtraError

# Whoever pins a certificate does not look at its dates; these are long past and far off, and the same each time.
_BEGIN = datetime(2020, 1, 1, tzinfo=timezone.utc)
_END = datetime(2120, 1, 1, tzinfo=timezone.utc)
_PURPOSE = b"trunkline coordinator certificate 1"


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key.

    Attributes:
        pem: The certificate.
        key: Its private key, PEM.
        fingerprint: SHA-256 of the certificate, hexadecimal.
    """

    pem: bytes
    key: Secret
    fingerprint: str

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # The ssl module reads files only; the directory is ours alone, and gone at once.
        with tempfile.TemporaryDirectory(prefix="trunkline-") as folder:
            path = Path(folder) / "coordinator.pem"
            path.touch(mode=0o600)
            path.write_bytes(self.pem + self.key.reveal().encode())
            context.load_cert_chain(path)
        return context


def make_certificate(token: Secret) -> Certificate:
    """The certificate that belongs to a key.

    Raises:
        MissingExtraError: There is no `cryptography` here.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError:
        raise MissingExtraError("a coordinator needs more packages: pip install 'trunkline[coordinator]'") from None
    seed = HKDF(hashes.SHA256(), 32, None, _PURPOSE).derive(token.reveal().encode())
    # Ed25519 signs without chance (RFC 8032): the same key and dates give the same bytes.
    key = Ed25519PrivateKey.from_private_bytes(seed)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "trunkline coordinator")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .sign(key, None)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Certificate(pem, Secret(private.decode()), hashlib.sha256(der).hexdigest())
