"""A registry behind a proxy, and behind a certificate of one's own."""

import gc
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.registries import Registry, SecureWire, Tunnel, answer, answering

from mlplat.errors import StoreError, UsageError
from mlplat.store import client, open_store
from mlplat.store.proxies import proxy_of

EMPTY = answer("200 OK", b'{"items": [], "next": null}')


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy but those of the test, and no patience."""
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.3)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for registry.example and this machine that nobody knows; its key lies beside it."""
    path = tmp_path / "certificate.pem"
    names = "subjectAltName=DNS:registry.example,IP:127.0.0.1"
    command = "openssl req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=test"
    more = ["-addext", names, "-keyout", str(tmp_path / "key.pem"), "-out", str(path)]
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    return path


@pytest.fixture
def secure(registry: Registry, certificate: Path) -> Iterator[SecureWire]:
    """The registry behind TLS."""
    wire = SecureWire(registry.port, certificate, certificate.with_name("key.pem"))
    yield wire
    gc.collect()  # clients close their connections when they go
    wire.end()


def test_a_certificate_is_believed_if_the_environment_names_it(
    secure: SecureWire, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=r"certificate verify failed.*SSL_CERT_FILE"):
        open_store(secure.url).models()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert open_store(secure.url).models() == []
    with pytest.raises(StoreError, match=r"[Hh]ostname"):
        open_store(secure.url.replace("127.0.0.1", "localhost")).models()


def test_versions_go_through_the_tunnel_of_a_proxy(
    secure: SecureWire, certificate: Path, draft: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tunnel = Tunnel(int(secure.url.rpartition(":")[2]))
    monkeypatch.setenv("HTTPS_PROXY", tunnel.url.replace("http://", "http://ann:p%40ss@"))
    store, version = open_store("https://registry.example/"), draft("v1")
    store.publish(version.manifest, version.files)
    assert store.verify("iris", "v1") == version.manifest
    assert tunnel.heads[0].startswith(b"CONNECT registry.example:443 HTTP/1.")
    assert b"proxy-authorization: basic " + b64encode(b"ann:p@ss").lower() in tunnel.heads[0].lower()
    del store
    gc.collect()
    tunnel.end()


def test_without_tls_the_proxy_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(EMPTY) as (url, requests):
        monkeypatch.setenv("http_proxy", url)
        assert open_store("http://registry.example").models() == []
    assert requests[0].startswith(b"GET http://registry.example/models?")


def test_a_proxy_that_is_away_or_refuses_is_told_from_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(answer("407 Proxy Authentication Required", b"")) as (url, _):
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(StoreError, match="its proxy says: Tunnel connection failed: 407"):
            open_store("https://registry.example").models()
    with pytest.raises(StoreError, match="its proxy says: connection refused"):
        open_store("https://registry.example").models()


@pytest.mark.parametrize("proxy", ["socks5://ann:secret@proxy.example:1080", "http://ann:secret@[", "ftp://proxy"])
def test_a_proxy_that_is_none_is_refused_and_no_password_is_shown(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(UsageError, match="Set HTTPS_PROXY to http://HOST:PORT") as refused:
        open_store("https://registry.example")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("https://registry.example", {}, None),
        ("https://registry.example", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://registry.example", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("http://registry.example", {"ALL_PROXY": "p:1"}, "p:1"),
        ("https://registry.example", {"https_proxy": "http://p:1", "no_proxy": "other.example"}, "http://p:1"),
        ("https://registry.example:8443", {"https_proxy": "http://p:1", "NO_PROXY": ".example"}, None),
        ("https://registry.example:8443", {"https_proxy": "http://p:1", "no_proxy": "registry.example:8443"}, None),
        ("https://registry.example", {"https_proxy": "http://p:1", "no_proxy": "*"}, None),
        ("http://localhost:8080", {"http_proxy": "http://p:1"}, None),
        ("http://127.0.0.1:8080", {"http_proxy": "http://p:1"}, None),
        ("http://[::1]:8080", {"http_proxy": "http://p:1"}, None),
    ],
)
def test_the_environment_says_which_host_is_behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], proxy: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy
