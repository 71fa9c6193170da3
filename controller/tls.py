"""Certificates: whom we trust, and how we prove who we are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from models.errors import InvalidInput
from planner.files import read_text


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How the two sides prove to each other who they are, beyond what the system trusts. Files in PEM."""

    authority: Path | None = None
    """Whose certificates are trusted in place of the system's."""
    certificate: Path | None = None
    """Our own, for servers that ask for one."""
    key: Path | None = None
    """Of the certificate; None where its file holds both."""

    @property
    def verified_by(self) -> str | bool:
        """As `requests` wants it."""
        return True if self.authority is None else str(self.authority)

    @property
    def proof(self) -> str | tuple[str, str] | None:
        """As `requests` wants it."""
        if self.certificate is None:
            return None
        return str(self.certificate) if self.key is None else (str(self.certificate), str(self.key))

    def require_readable(self) -> None:
        """Raises InvalidInput where a file is not there, is not what it should be, or does not fit the other."""
        for path, what in ((self.authority, "authority"), (self.certificate, "certificate"), (self.key, "key")):
            if path is not None and "ENCRYPTED" in read_text(path, what=f"{what} file"):
                # OpenSSL would ask for it at the terminal.
                raise InvalidInput(f"the key in {path} needs a password", remedy="keep it without one, readable to few")
        if self.key is not None and self.certificate is None:
            raise InvalidInput(f"the key {self.key} has no certificate", remedy="name the certificate's file too")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.authority is not None:
                context.load_verify_locations(self.authority)
        except ssl.SSLError:
            raise InvalidInput(f"{self.authority} holds no certificate", remedy="a file in PEM") from None
        try:
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except ssl.SSLError:
            files = self.certificate if self.key is None else f"{self.certificate} and {self.key}"
            raise InvalidInput(
                f"{files} hold no certificate and the key that belongs to it", remedy="files in PEM"
            ) from None


SYSTEM = Tls()
"""What the system trusts, and no proof of our own."""
