"""A token in a file that is replaced now and then, as Kubernetes does with those of service accounts."""

from __future__ import annotations

from pathlib import Path

from requests import PreparedRequest
from requests.auth import AuthBase

from models.errors import InvalidInput
from planner.files import read_text


class BearerToken(AuthBase):
    """Puts the token that the file holds now on every request."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidInput where it holds none."""
        self._path = path
        self._token()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        return request

    def _token(self) -> str:
        token = read_text(self._path, what="bearer token file").strip()
        if not token or not token.isprintable() or not token.isascii():
            raise InvalidInput(f"bearer token file {self._path} holds no token", remedy="one line with the token alone")
        return token
