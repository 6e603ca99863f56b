"""Identity providers as tests play them: keys, what they publish, and tokens of any shape, sound or not."""

from __future__ import annotations

import base64
import functools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests import caches

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key, the same for the same name."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(name: str, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """A key on an elliptic curve, the same for the same name."""
    return ec.generate_private_key(curve())


def shown(key: Key, kid: str | None = "2026", **members: Any) -> dict[str, Any]:
    """A key as a JWKS shows it; a member of None is left out."""
    of: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    jwk = of.to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {name: value for name, value in (jwk | {"kid": kid} | members).items() if value is not None}


class Provider:
    """What an identity provider answers when asked for its keys, and how often it was."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.asked = 0
        self.url = ""
        self.status = 200
        self.body: bytes = b""
        self.location = ""
        self.publish(*keys)

    def publish(self, *keys: dict[str, Any]) -> None:
        """Publish these keys and no others."""
        self.body = json.dumps({"keys": keys}).encode()


@contextmanager
def serving(*keys: dict[str, Any]) -> Iterator[Provider]:
    """A provider that answers at its `url`."""
    provider = Provider(*keys)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            self.send_response(provider.status)
            self.send_header("Content-Length", str(len(provider.body)))
            if provider.location:
                self.send_header("Location", provider.location)
            self.end_headers()
            self.wfile.write(provider.body)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        provider.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


def configure(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Change the deployment's environment as a new version of its functions would."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    caches.clear()


def claims(**more: Any) -> dict[str, Any]:
    """The claims of a sound token; one of None is left out."""
    given = {"organizationId": "1", "exp": int(time.time()) + 7200, "sub": "ali", **more}
    return {name: value for name, value in given.items() if value is not None}


def signed(key: Key | str, given: dict[str, Any] | bytes, algorithm: str, **header: Any) -> str:
    """A token of a payload, which may be no JSON; a member of the header of None is left out."""
    payload = given if isinstance(given, bytes) else json.dumps(given).encode()
    members = {"typ": "JWT", "alg": algorithm, **header}
    head = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    signing = b".".join(map(_base64, (head, payload)))
    method = jwt.get_algorithm_by_name(algorithm)
    return (signing + b"." + _base64(method.sign(signing, method.prepare_key(key)))).decode()


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
