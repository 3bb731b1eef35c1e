"""What may be reached on behalf of people the operator did not choose: public addresses of the web, and no others."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataelan_web.router import reaching, wire
from dataelan_web.router.addresses import is_listed, is_public, refusal
from dataelan_web.router.exchange import Line, ask, fetch
from dataelan_web.router.plan import Plan, Step
from dataelan_web.router.providers.failures import failure as failure_of
from dataelan_web.router.requests import origin
from dataelan_web.router.run import run
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import AssetAt, Call, Failure, Kind
from dataelan_web.router.wire import Clients, Deadlines

from ..connections import connections, swallowing
from ..hostile_addresses import HOSTS, OTHER_PORTS, PUBLIC, targets
from .test_run import PROMPT, Book, Provider, refuses, response, says, step, whole

QUICK = Deadlines(connect=0.5, first_byte=1, idle=1, total=3)
KEY = {"authorization": "Bearer sk-CANARY-0123456789"}

Resolver = Callable[..., list[Any]]


@pytest.fixture
def victim() -> Iterator[Provider]:
    """What listens inside, and must not hear of anything."""
    made = Provider()
    made.answers(whole)
    yield made
    assert made.requests == []
    made.close()


def port_of(provider: Provider) -> int:
    return int(provider.url.split(":")[2].removesuffix("/v1"))


def line(http: Clients, base_url: str, *, is_trusted: bool, deadlines: Deadlines = QUICK) -> Line:
    return Line(http, is_trusted, base_url, Stop(), deadlines, time.monotonic() + deadlines.total)


def untrusted(url: str) -> Step:
    trusted = step(url)
    return replace(trusted, candidate=replace(trusted.candidate, is_trusted=False))


def resolves(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A resolver that gives one answer a question, the last again and again. Returns the names it was asked for."""
    real, asked, left = socket.getaddrinfo, [], list(answers)

    def getaddrinfo(host: str, port: int, *arguments: Any, **options: Any) -> list[Any]:
        if not host.endswith("example.com"):
            return real(host, port, *arguments, **options)
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in one], socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


# -- the table itself ----------------------------------------------------------------------------


def test_no_address_of_the_table_is_public() -> None:
    for host in HOSTS:
        assert not is_public(host.strip("[]").replace("%25", "%")), host


@pytest.mark.parametrize(
    "address",
    (
        "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15 "
        "172.15.255.255 172.32.0.0 192.0.1.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 "
        "2001:4860:4860::8888 2001:200:: 2a00:1450::1 2003:: 3ffe::1 2620:fe::fe"
    ).split(),
)
def test_what_lies_just_beside_a_private_range_is_public(address: str) -> None:
    assert is_public(address)
    assert refusal(address, 443) is None


@given(st.ip_addresses(v=4))
def test_whatever_is_embedded_in_an_ipv6_address_makes_it_no_better(inner: Any) -> None:
    number = int(inner)
    for prefix in ("::", "::ffff:", "64:ff9b::", "64:ff9b:1::", "::ffff:0:"):
        assert not is_public(f"{prefix}{number >> 16:x}:{number & 0xFFFF:x}")
    assert not is_public(f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1")


@given(st.text(max_size=20))
def test_what_is_no_address_is_not_public(text: str) -> None:
    if not text.replace(".", "").isdigit() and ":" not in text:
        assert not is_public(text)


def test_only_ports_of_the_web_are_reached() -> None:
    for port in OTHER_PORTS:
        assert "not one of a web server" in (refusal(PUBLIC, port) or ""), port
    for port in (80, 443, 1234, 8000, 8080, 8443, 11434, 65535):
        assert refusal(PUBLIC, port) is None, port


# -- every address, by every way out -------------------------------------------------------------


def test_a_list_of_models_is_asked_of_no_such_address(http: Clients, victim: Provider) -> None:
    addresses = targets(port_of(victim))
    with connections(only_look=False) as seen:
        for url in addresses:
            with pytest.raises(Failure) as caught:
                ask(http.public, Call(url + "/models", headers=KEY, method="GET"), failure_of, seconds=2)
            assert not caught.value.sent, url
    assert seen.tried == []
    print(f"\n{len(addresses)} addresses: 0 connections")
    with connections(only_look=False) as seen:  # the same by the other client, to see that they do lead somewhere
        for url in addresses:
            with pytest.raises(Failure):
                ask(http.anywhere, Call(url, method="GET"), failure_of, seconds=2)
    assert len(seen.tried) > 150


def test_an_untrusted_provider_is_called_at_no_such_address(
    http: Clients, victim: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataelan_web.router.run.RETRIES", 0)
    with connections(only_look=False) as seen:
        for url in targets(port_of(victim)):
            book = Book()
            with pytest.raises(Failure) as caught:
                list(run(Plan((untrusted(url),)), PROMPT, http, book, lambda step: "sk-CANARY", Stop(), QUICK))
            assert not caught.value.sent, url
            assert "sk-CANARY" not in caught.value.message
    assert seen.tried == []


@pytest.mark.parametrize("is_trusted", [True, False])
def test_an_asset_is_fetched_from_no_such_address_even_of_a_trusted_provider(
    is_trusted: bool, http: Clients, provider: Provider, victim: Provider
) -> None:
    with connections(only_look=False) as seen:
        for url in targets(port_of(victim)):
            with pytest.raises(Failure):
                fetch(line(http, provider.url, is_trusted=is_trusted), AssetAt(url), KEY, failure_of)
    assert seen.tried == []


def test_a_redirect_of_an_asset_to_any_of_them_is_not_followed(
    http: Clients, provider: Provider, victim: Provider
) -> None:
    home = port_of(provider)
    for url in targets(port_of(victim)):
        provider.answers(refuses("302 Found", "", f"location: {''.join(c for c in url if c.isprintable())}"))
        provider.requests.clear()
        with connections() as seen, pytest.raises(Failure):
            location = f"{provider.url}/files/1"
            fetch(line(http, provider.url, is_trusted=True), AssetAt(location), KEY, failure_of)
        # Some are addresses relative to the provider's own, which it may answer (by the same redirect).
        assert {port for _, port in seen.tried} == {home}, url


def test_a_further_call_of_a_job_goes_to_no_such_address(http: Clients, provider: Provider, victim: Provider) -> None:
    """A trusted provider may lie inside; what it names elsewhere may not."""
    at_home = line(http, provider.url, is_trusted=True)
    assert at_home.client_for(f"{provider.url}/jobs/1") is http.anywhere
    for url in targets(port_of(victim)):
        assert at_home.client_for(url) is http.public, url


def test_the_message_says_where_the_name_leads(http: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, ["127.0.0.1"])
    with pytest.raises(Failure) as caught:
        ask(http.public, Call("https://models.example.com/v1/models", method="GET"), failure_of)
    assert caught.value.message == (
        "models.example.com leads to a private address. Ask the operator to allow it (DATAELAN_PRIVATE_ADDRESSES)."
    )
    assert (caught.value.kind, caught.value.code, caught.value.sent) == (Kind.BAD_REQUEST, "address_refused", False)


def test_only_listed_hosts_are_called_where_there_is_a_list(victim: Provider, provider: Provider) -> None:
    """Trusted or not, and whatever a name leads to: it is not even looked up."""
    with wire.clients(hosts=("localhost", "*.example.com")) as http:
        for client in (http.anywhere, http.public):
            for url in (victim.url, "https://example.com/v1", "https://example.com.evil.test/v1"):
                with pytest.raises(Failure) as caught:
                    ask(client, Call(f"{url}/models", method="GET"), failure_of)
                assert caught.value.message.endswith(
                    "is no host that may be called from here. Ask the operator to list it (DATAELAN_REACHABLE_HOSTS)."
                )
                assert (caught.value.code, caught.value.sent) == ("address_refused", False)
        here = provider.url.replace("127.0.0.1", "localhost")
        ask(http.anywhere, Call(f"{here}/models", method="GET"), failure_of)
    assert victim.requests == []
    for host, listed in (("API.Example.com.", True), ("example.com", False), ("[fd00::1]", True), ("fd00::2", False)):
        assert is_listed(host, ("*.example.com", "fd00::1")) is listed, host


def test_a_trusted_provider_may_lie_anywhere(http: Clients, provider: Provider) -> None:
    url = provider.url.replace("127.0.0.1", "localhost")
    assert list(run(Plan((step(url),)), PROMPT, http, Book(), lambda step: "k", Stop(), QUICK))


@pytest.mark.parametrize(
    "url",
    [
        "http://" + "a" * 64 + ".example.com/v1",
        "http://a..example.com/v1",
        "http://.example.com/v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:0/v1",
        "http://xn--/v1",
    ],
)
def test_a_name_that_no_resolver_takes_is_a_failure_for_either_client(http: Clients, url: str) -> None:
    for client in (http.anywhere, http.public):
        with pytest.raises(Failure) as caught:
            ask(client, Call(url, method="GET"), failure_of, seconds=2)
        assert not caught.value.sent


# -- names that lead to several addresses, or change their minds ---------------------------------


def test_the_address_that_was_checked_is_the_one_connected_to(http: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public when it is checked, loopback a moment later."""
    asked = resolves(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    with connections(only_look=False) as seen, pytest.raises(Failure, match="cannot be reached"):
        ask(http.public, Call("https://models.example.com:8443/v1/models", method="GET"), failure_of)
    assert seen.tried == [("93.184.216.34", 8443)]
    assert asked == ["models.example.com"]
    with connections(only_look=False) as seen, pytest.raises(Failure, match=r"private address"):
        ask(http.public, Call("https://models.example.com:8443/v1/models", method="GET"), failure_of)
    assert seen.tried == []


@pytest.mark.parametrize(
    "mixed",
    [
        ["93.184.216.34", "127.0.0.1"],
        ["127.0.0.1", "93.184.216.34"],
        ["2606:4700::1111", "127.0.0.1"],
        ["93.184.216.34", "::1"],
        ["2606:4700::1111", "fd00:ec2::254", "93.184.216.34"],
        ["93.184.216.34"] * 30 + ["169.254.169.254"],
    ],
)
def test_a_name_with_a_private_address_among_others_is_refused_outright(
    mixed: list[str], http: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves(monkeypatch, mixed)
    with connections(only_look=False) as seen, pytest.raises(Failure, match="private address"):
        ask(http.public, Call("https://models.example.com/v1/models", method="GET"), failure_of)
    assert seen.tried == []


def test_the_next_address_is_tried_when_one_does_not_answer(http: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolves(monkeypatch, ["2606:4700::1111", "93.184.216.34", "93.184.216.34"])
    with connections(only_look=False) as seen, pytest.raises(Failure, match="cannot be reached"):
        ask(http.public, Call("https://models.example.com/v1/models", method="GET"), failure_of)
    assert [address for address, _ in seen.tried] == ["2606:4700::1111", "93.184.216.34"]
    assert asked == ["models.example.com"]


def test_many_addresses_share_the_time_for_one_connection(http: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, [f"93.184.216.{last}" for last in range(1, 101)])
    plan = Plan((untrusted("https://models.example.com/v1"),))
    with swallowing() as port:
        wanted = leads_to(monkeypatch, port)
        started = time.monotonic()
        with pytest.raises(Failure, match="did not accept a connection in time"):
            list(run(plan, PROMPT, http, Book(), lambda step: "k", Stop(), replace(QUICK, total=0.7)))
        assert time.monotonic() - started < 2
    assert len({address for address, _ in wanted}) == 100


def test_a_connection_that_is_kept_is_not_resolved_again(
    http: Clients, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stays(connection: socket.socket) -> None:
        for _ in range(3):
            connection.sendall(response(b'{"data":[]}').replace(b"connection: close\r\n", b""))
            connection.recv(65536)

    provider.answers(stays)
    asked = resolves(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    leads_to(monkeypatch, port_of(provider))
    for _ in range(3):
        ask(http.public, Call("http://models.example.com/v1/models", method="GET"), failure_of)
    assert asked == ["models.example.com"]


def leads_to(monkeypatch: pytest.MonkeyPatch, port: int) -> list[tuple[str, int]]:
    """Whoever connects to anywhere arrives at this port here. Returns where they wanted to go."""
    real, wanted = reaching.connecting, []

    def connecting(*address: Any) -> socket.socket:
        wanted.append(address)
        return real("127.0.0.1", port)

    monkeypatch.setattr(reaching, "connecting", connecting)
    return wanted


# -- where a key and an asset may go -------------------------------------------------------------


def test_the_origin_is_read_as_the_client_reads_it() -> None:
    assert origin("https://Models.Example.com/v1") == origin("https://models.example.com:443/other")
    for other in (
        "http://models.example.com/v1", "https://models.example.com:8443/v1", "https://models.example.com./v1",
        "https://models.example.com@evil.com/v1", "https://evil.com\\@models.example.com.evil.com/",
        "https://evil.com/https://models.example.com/v1", "models.example.com", "", "https://", "https://[::1",
        "https://models.example.com:port/", "https://models.example.com\n/", " https://models.example.com/v1",
    ):  # fmt: skip
        assert origin(other) != origin("https://models.example.com/v1"), other


@pytest.mark.parametrize("garbage", ["https://[::1", "https://a:b/", "", "/", "://", "https://a\x00b/", "x" * 70_000])
def test_an_asset_with_no_address_is_a_failure_in_words(garbage: str, http: Clients, provider: Provider) -> None:
    with pytest.raises(Failure, match=r"could not be followed|cannot be sent"):
        fetch(line(http, provider.url, is_trusted=True), AssetAt(garbage), KEY, failure_of)
    assert provider.requests == []


def test_an_asset_at_home_comes_with_the_key_and_its_own_type(http: Clients, provider: Provider) -> None:
    provider.answers(says(response(b"RIFF", type="audio/wav; rate=8000")))
    asset = fetch(line(http, provider.url, is_trusted=True), AssetAt(f"{provider.url}/files/1"), KEY, failure_of)
    assert (asset.media_type, asset.content) == ("audio/wav", b"RIFF")
    assert "sk-CANARY" in provider.requests[0]


def test_redirects_at_home_are_followed_three_times(http: Clients, provider: Provider) -> None:
    on = refuses("302 Found", "", "location: /v1/files/2")
    provider.answers(on, on, on, says(response(b"film")))
    at = AssetAt(f"{provider.url}/files/1", "video/mp4")
    assert fetch(line(http, provider.url, is_trusted=True), at, KEY, failure_of).content == b"film"
    provider.answers(on)
    provider.requests.clear()
    with pytest.raises(Failure, match="could not be followed"):
        fetch(line(http, provider.url, is_trusted=True), at, KEY, failure_of)
    assert len(provider.requests) == 4


def test_plain_http_elsewhere_is_not_followed(http: Clients, provider: Provider) -> None:
    with connections(only_look=False) as seen:
        for url in ("http://cdn.example.com/film", "HTTP://cdn.example.com/film", "//cdn.example.com/film"):
            with pytest.raises(Failure, match="could not be followed"):
                fetch(line(http, provider.url, is_trusted=True), AssetAt(url), KEY, failure_of)
    assert seen.tried == []


def test_an_asset_that_cannot_be_fetched_is_no_reason_to_have_it_made_again(http: Clients, provider: Provider) -> None:
    """The model made it and may have been paid: nothing that happens to the file makes the call one never taken."""
    gone = Provider()
    gone.close()
    for reply in (refuses("500 Internal Server Error"), refuses("401 Unauthorized"), refuses("302 Found")):
        provider.answers(reply)
        with pytest.raises(Failure) as caught:
            fetch(line(http, provider.url, is_trusted=True), AssetAt(f"{provider.url}/1"), KEY, failure_of)
        assert (caught.value.sent, caught.value.status) == (True, None)
    with pytest.raises(Failure) as caught:
        fetch(line(http, gone.url, is_trusted=True), AssetAt(f"{gone.url}/1"), KEY, failure_of)
    assert (caught.value.sent, caught.value.status) == (True, None)
