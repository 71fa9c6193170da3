"""A kubeconfig that is none is told with its file and what to do, and nothing of what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from controller.kubernetes_api import Kubernetes
from models.errors import InvalidInput

SECRET = "t0ken-of-mine"


def config(**user: str) -> bytes:
    cluster = {"server": "https://127.0.0.1:1"}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": cluster}],
            "users": [{"name": "a", "user": user}],
        }
    ).encode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"token: [" + SECRET.encode() + b"\n c: }", "is no kubeconfig: line 2: "),
        (b"just text, " + SECRET.encode(), "is no kubeconfig: its fields are not those of one"),
        (b"- " + SECRET.encode(), "is no kubeconfig: its fields are not those of one"),
        (b"\x8f\xff\x00\x91" * 100, "is no kubeconfig: it is not text in UTF-8"),
        (b"\x00\x01\x02\x03", "is no kubeconfig: "),
        (config(**{"client-certificate-data": SECRET, "client-key-data": "AAAA"}), "is no kubeconfig: "),
        (config(**{"client-certificate": "FOLDER/none.crt"}), "no usable Kubernetes configuration"),
        (config(**{"client-certificate": "FOLDER/odd.pem", "client-key": "FOLDER/odd.pem"}), "hold no certificate"),
    ],
)
def test_it_is_told_with_its_file_and_a_remedy_and_no_secret(tmp_path: Path, content: bytes, told: str):
    (tmp_path / "odd.pem").write_text(SECRET)
    (tmp_path / "config").write_bytes(content.replace(b"FOLDER", str(tmp_path).encode()))
    with pytest.raises(InvalidInput, match=told) as error:
        Kubernetes.connect(tmp_path / "config")
    assert str(tmp_path / "config") in str(error.value)
    assert error.value.remedy
    assert SECRET not in str(error.value)


def test_a_certificate_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch):
    (tmp_path / "my.crt").write_text("x")
    (tmp_path / "config").write_bytes(config(**{"client-certificate": str(tmp_path / "my.crt")}))
    works = Path.open

    def forbidden(path: Path, *arguments, **named):
        if path.name == "my.crt":
            raise PermissionError(13, "Permission denied")
        return works(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(InvalidInput, match=r"names certificates that cannot be used: .*my.crt"):
        Kubernetes.connect(tmp_path / "config")
