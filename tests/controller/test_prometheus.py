"""What goes wrong between here and Prometheus, in plain words and without secrets."""

import gzip
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from urllib.parse import parse_qs

import pytest

from controller.prometheus import Prometheus, PrometheusSettings
from controller.tls import Tls
from models.errors import InvalidInput
from tests.cluster.prometheus import running_prometheus


@contextmanager
def answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[str]:
    """An HTTP server that says the same to everyone; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def ask(url: str, **options) -> InvalidInput:
    with pytest.raises(InvalidInput) as told:
        Prometheus(url, **options).range("up", start_s=0, end_s=60, step_s=60)
    return told.value


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>Grafana</html>", "is not Prometheus: it answers with something that is not JSON"),
        (200, b"{}", "is not Prometheus: its answer is not of Prometheus's shape"),
        (200, b"[]", "is not Prometheus: its answer is not of Prometheus's shape"),
        (200, b'{"data": {"result": [{"metric": {}, "value": [1, "2"]}]}}', "its answer is not of Prometheus's shape"),
        (200, b'{"data": {"result": [{"metric": {}, "values": [[1, "x"]]}]}}', "its answer is not of"),
        (200, b'{"data": {"result": null}}', "its answer is not of"),
        (200, b'{"data": {"result": [{"metric": {}, "values": [[NaN, "1"]]}]}}', "its answer is not of"),
        (200, b'{"data": {"result": [{"metric": {}, "values": [[1, 1' + b"0" * 400 + b"]]}]}}", "its answer is not of"),
        (200, b"[" * 200_000, "is not Prometheus"),
        (200, b"\xff\xfe", "is not Prometheus"),
        (401, b"", "refuses the credentials (HTTP 401)"),
        (403, b"", "refuses the credentials (HTTP 403)"),
        (404, b"404 page not found", "is not Prometheus: there is no query API (HTTP 404)"),
        (400, b'{"status":"error","error":"invalid parameter"}', "refuses the query: invalid parameter"),
        (422, b'{"status":"error","error":"query processing would load too many samples"}', "too many samples"),
        (400, b"", "answers with HTTP 400"),
        (500, b'{"error":"\\u001b[31mred"}', "answers with HTTP 500"),
        (503, b"", "answers with HTTP 503"),
    ],
)
def test_what_a_server_may_answer(status, body, said):
    with answering(status, body) as url:
        problem = ask(url)
    assert said in str(problem)
    assert url in str(problem)
    assert problem.remedy
    assert str(problem).isprintable()


def test_an_answer_in_order():
    body = b'{"data": {"result": [{"metric": {"pod": "a"}, "values": [[0, "1"], [60, "NaN"]]}]}}'
    with answering(200, body) as url:
        (series,) = Prometheus(url).range("up", start_s=0, end_s=60, step_s=60)
    assert series.labels == {"pod": "a"}
    assert series.points[0] == (0.0, 1.0)
    assert series.points[1][1] != series.points[1][1]  # NaN stays what it is; the reader leaves it out


def test_an_answer_of_one_time():
    body = b'{"data": {"result": [{"metric": {"pod": "a"}, "value": [60.5, "NaN"]},'
    body += b'{"metric": {}, "histogram": [60.5, {"count": "1"}]}]}}'
    with answering(200, body) as url:
        (sample,) = Prometheus(url).instant("up")
    assert (sample.labels, sample.time_s) == ({"pod": "a"}, 60.5)
    assert sample.value != sample.value  # NaN stays what it is


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"result": [{"metric": {}, "values": [[1, "2"]]}]}}',
        b'{"data": {"result": [{"metric": {}, "value": [1]}]}}',
        b'{"data": {"result": [{"metric": {}, "value": [Infinity, "1"]}]}}',
        b'{"data": {"result": [{"metric": {}, "value": ["1", "1"]}]}}',
        b'{"data": {"result": [1, "2"]}}',
        b'{"data": {"result": ["histogram", {}]}}',
    ],
)
def test_an_answer_of_one_time_that_is_none(body):
    with answering(200, body) as url, pytest.raises(InvalidInput, match="its answer is not of Prometheus's shape"):
        Prometheus(url).instant("up")


@dataclass
class Asked:
    method: str
    path: str
    body: str
    token: str | None


@contextmanager
def listening() -> Iterator[tuple[str, list[Asked]]]:
    """A server that remembers what it was asked, and has nothing; its URL and what it was asked."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            asked.append(Asked(self.command, self.path, body, self.headers.get("Authorization")))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data": {"result": []}}')

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_question_too_long_for_an_address_goes_in_the_body():
    long = "up or " * 1000 + "up"
    with listening() as (url, asked):
        Prometheus(url).instant("up", at_s=60.5)
        Prometheus(url).instant(long, at_s=60.5)
    short, posted = asked
    assert (short.method, short.path, short.body) == ("GET", "/api/v1/query?query=up&time=60.500", "")
    assert (posted.method, posted.path) == ("POST", "/api/v1/query")
    assert parse_qs(posted.body) == {"query": [long], "time": ["60.500"]}


def test_a_token_that_is_replaced_is_read_again(tmp_path):
    path = tmp_path / "token"
    path.write_text("first\n", encoding="utf-8")
    with listening() as (url, asked):
        server = Prometheus(url, bearer_token_file=path)
        server.instant("up")
        path.write_text("second\n", encoding="utf-8")
        server.instant("up")
        path.write_text("", encoding="utf-8")
        with pytest.raises(InvalidInput, match="holds no token"):
            server.instant("up")
    assert [each.token for each in asked] == ["Bearer first", "Bearer second"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """Keys and certificates of an authority, a server and a client, and of a stranger, made by `openssl`."""
    folder = tmp_path_factory.mktemp("keys")
    for name, authority in (("authority", ""), ("server", "authority"), ("client", "authority"), ("stranger", "")):
        signed = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key"] if authority else []
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", *signed]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run(["openssl", "req", "-x509", *key, *subject, *files], cwd=folder, check=True, capture_output=True)
    return folder


def test_both_sides_prove_who_they_are(keys, tmp_path):
    server = {"cert_file": str(keys / "server.pem"), "key_file": str(keys / "server.key")}
    server |= {"client_ca_file": str(keys / "authority.pem"), "client_auth_type": "RequireAndVerifyClientCert"}
    with running_prometheus(tmp_path, {}, {"tls_server_config": server}) as plain:
        url = plain.replace("http:", "https:")

        def refused(**tls: Path) -> str:
            with pytest.raises(InvalidInput) as told:
                PrometheusSettings(url=url, tls=Tls(**tls)).connect().instant("vector(1)")
            return str(told.value)

        def proven(name: str) -> dict[str, Path]:
            return {
                "authority": keys / "authority.pem",
                "certificate": keys / f"{name}.pem",
                "key": keys / f"{name}.key",
            }

        (sample,) = PrometheusSettings(url=url, tls=Tls(**proven("client"))).connect().instant("vector(1)")
        assert sample.value == 1.0
        assert "has a certificate that is not trusted" in refused()
        assert "has a certificate that is not trusted" in refused(authority=keys / "stranger.pem")
        # The server says so after its part of the handshake; what we send meanwhile may find the connection closed.
        for said in (refused(authority=keys / "authority.pem"), refused(**proven("stranger"))):
            assert "does not accept our certificate" in said or "it closed the connection" in said


def test_keys_that_are_none(keys, tmp_path):
    def told(**tls: Path) -> str:
        with pytest.raises(InvalidInput) as problem:
            Prometheus("https://localhost", tls=Tls(**tls))
        return str(problem.value)

    locked, empty = tmp_path / "locked.key", tmp_path / "empty.pem"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", encoding="utf-8")
    empty.write_text("", encoding="utf-8")
    assert "does not exist" in told(authority=keys / "nowhere.pem")
    assert "holds no certificate" in told(authority=empty)
    assert "hold no certificate and the key" in told(certificate=empty)
    assert "hold no certificate and the key" in told(certificate=keys / "client.pem", key=keys / "server.key")
    assert "needs a password" in told(certificate=keys / "client.pem", key=locked)
    assert "has no certificate" in told(key=keys / "client.key")


def test_a_circle_of_redirects():
    with answering(302, b"", {"Location": "/"}) as url:
        assert "too many redirects" in str(ask(url))


def test_a_server_that_does_not_answer():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        problem = ask(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=1)
    assert "did not answer in time" in str(problem)


@contextmanager
def sending_for_ever(head: bytes, piece: bytes, pause_s: float) -> Iterator[str]:
    """A server that begins its answer with `head` and never ends it; its URL."""
    over = Event()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            try:
                self.wfile.write(head)
                while not over.is_set():
                    self.wfile.write(piece)
                    over.wait(pause_s)
            except OSError:
                """The other side has had enough."""

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()


OK = b"HTTP/1.1 200 OK\r\n"
ZEROS = gzip.compress(bytes(2**20))


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (OK + b"\r\n", b"[" * 65536),
        (OK + b"Content-Length: 9999999999999\r\n\r\n", b"[" * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"[" * 65536 + b"\r\n"),
        (OK + b"Content-Encoding: gzip\r\n\r\n", ZEROS),
        (b"HTTP/1.1 500 Oh\r\n\r\n", b"[" * 65536),
        (b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n", b"[" * 65536),
    ],
    ids=["without an end", "as long as it says", "chunked", "packed", "an error", "a redirect"],
)
def test_a_body_that_does_not_end_is_cut(head, piece):
    with sending_for_ever(head, piece, 0.0) as url:
        problem = ask(url)
    assert str(problem) == f"{url} answers with more than 64 MiB, which is not read further"
    assert "--match" in problem.remedy


@pytest.mark.parametrize(
    ("head", "piece"),
    [(OK + b"\r\n", b"["), (OK, b"X: y\r\n"), (OK + b"X: ", b"y")],
    ids=["body", "headers", "one header"],
)
def test_an_answer_that_trickles_is_given_up(head, piece):
    with sending_for_ever(head, piece, 0.1) as url:
        problem = ask(url, answer_s=1.0)
    assert "did not answer in time" in str(problem)


def test_https_where_there_is_none():
    with answering(200, b"{}") as url:
        problem = ask(url.replace("http:", "https:"))
    assert "does not speak TLS" in str(problem)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:9090/", "http://localhost:9090"),
        ("https://user:p%40ss@host/prometheus/?token=x#y", "https://host/prometheus"),
        ("http://[::1]:9090", "http://[::1]:9090"),
    ],
)
def test_an_address_holds_no_secret(url, address):
    assert Prometheus(url).address == address


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "naïve", "a\x00b"])
def test_a_file_without_a_token(tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match="holds no token"):
        Prometheus("http://localhost", bearer_token_file=path)


def test_without_the_package_it_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_api_client", None)
    with pytest.raises(InvalidInput, match="needs the package prometheus_api_client") as told:
        Prometheus("http://localhost")
    assert "pip install 'replicast[prometheus]'" in told.value.remedy
