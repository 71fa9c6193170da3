"""What goes wrong between here and Prometheus, in plain words and without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import InvalidInput

_STATUS = re.compile(r"HTTP Status Code (\d+) \((.*)\)", re.DOTALL)
_SAID = re.compile(r'"error": ?"((?:[^"\\]|\\.)*)"')


@contextmanager
def told(address: str) -> Iterator[None]:
    """What can go wrong, as one message each."""
    from prometheus_api_client.exceptions import PrometheusApiClientException
    from requests import exceptions

    try:
        yield
    except InvalidInput:
        raise
    except exceptions.JSONDecodeError:
        raise _no_prometheus(address, "it answers with something that is not JSON") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, exceptions.RequestException):
            raise InvalidInput(f"--prometheus {address} cannot be asked", remedy="check the URL") from None
        raise _no_prometheus(address, "its answer is not of Prometheus's shape") from None
    except PrometheusApiClientException as error:
        raise _refused(address, str(error)) from None
    except exceptions.SSLError as error:
        raise _not_proven(address, str(error)) from None
    except (exceptions.Timeout, TimeoutError):
        raise InvalidInput(
            f"{address} did not answer in time", remedy="try a shorter --last or a longer --window"
        ) from None
    except exceptions.RequestException as error:
        raise InvalidInput(
            f"{address} cannot be reached ({_reason(error)})",
            remedy="is it running, and reachable from here? kubectl port-forward makes a service local",
        ) from None


def _not_proven(address: str, text: str) -> InvalidInput:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return InvalidInput(
            f"{address} has a certificate that is not trusted",
            remedy="let REQUESTS_CA_BUNDLE name the file of the authority that signed it",
        )
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return InvalidInput(f"{address} does not speak TLS", remedy="is it http:// there?")
    return InvalidInput(
        f"{address} does not accept our certificate, or asks for one",
        remedy="give the certificate and the key that its authority signed",
    )


def _reason(error: Exception) -> str:
    text = str(error)
    for sign, said in (
        ("refused", "connection refused"),
        ("resolve", "the name is not known"),
        ("Name or service", "the name is not known"),
        ("unreachable", "no route"),
        ("aborted", "it closed the connection"),
        ("redirects", "too many redirects"),
        ("reset by peer", "it closed the connection"),
        ("Broken pipe", "it closed the connection"),
    ):
        if sign in text:
            return said
    return type(error).__name__


def _refused(address: str, text: str) -> InvalidInput:
    match = _STATUS.search(text)
    status, body = (int(match.group(1)), match.group(2)) if match else (0, text)
    said = _SAID.search(body)
    reason = "".join(character for character in (said.group(1) if said else "") if character.isprintable())[:300]
    if status in (401, 403):
        return InvalidInput(
            f"{address} refuses the credentials (HTTP {status})",
            remedy="give --bearer-token-file FILE, or http://USER:PASSWORD@HOST",
        )
    if status in (400, 422) and reason:
        return InvalidInput(
            f"{address} refuses the query: {reason}", remedy="try a shorter --last or a longer --window"
        )
    if status in (404, 405):
        return _no_prometheus(address, f"there is no query API (HTTP {status})")
    return InvalidInput(
        f"{address} answers with HTTP {status}" + (f": {reason}" if reason else ""), remedy="look at that server's log"
    )


def _no_prometheus(address: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{address} is not Prometheus: {why}",
        remedy="give the URL under which /api/v1/query lies, such as http://localhost:9090",
    )
