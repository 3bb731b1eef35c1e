"""One call over the wire: send it, read the answer as it comes, and say in our words what went wrong.

With `run.py`, the only file that touches the wire and the only one that catches what happens there.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import repeat
from types import TracebackType
from urllib.parse import urljoin

import httpx2

from .http11 import Answer
from .lookup import Crowded, Late
from .providers.media import typed
from .reaching import Forbidden
from .requests import Request, origin, request_of
from .room import Room, Share, too_large
from .stop import Stop
from .types import OUR_OWN, Asset, AssetAt, Call, Failure, Kind
from .wire import MAX_ANSWER_BYTES, MAX_ASSET_BYTES, Client, Clients, Deadlines

ToFailure = Callable[[int, bytes], Failure]
MOST_REDIRECTS = 3
UNREACHED = (httpx2.HTTPError, Forbidden, Late)
"""What comes of a call that was not answered."""
CUT = "Dataelan was stopped before the answer was whole. What had arrived is kept."
NOT_BEGUN = "Dataelan is being stopped, and did not send this. Try again."
NO_WAY = "The provider made the file, but its address could not be followed."


@dataclass
class Line:
    """What the calls of one attempt share: the clients, the wish to stop, and the clock."""

    http: Clients
    is_trusted: bool
    """The operator named the provider's address, so it may be a private one."""
    base_url: str
    stop: Stop
    deadlines: Deadlines
    ends_at: float
    """On time.monotonic()'s clock."""
    share: Share = field(default_factory=lambda: Room().share())
    """Of this process's memory."""

    def is_home(self, url: str) -> bool:
        """Is it at the provider's own origin, where its key may go?"""
        return (there := origin(url)) is not None and there == origin(self.base_url)

    def client_for(self, url: str) -> Client:
        """Beyond the provider's own origin only public addresses are reached, whoever named them."""
        return self.http.reaching(self.is_trusted and self.is_home(url))


def chunks(
    line: Line, call: Call, failure: ToFailure, heads: list[Mapping[str, str]] | None = None
) -> Iterator[tuple[bytes, bool]]:
    """The answer's bytes as they come, closed by (b"", True); its headers go to `heads` before them. Raises Failure."""
    with _Sent(line, line.client_for(call.url), call) as response:
        if response.status >= 300:
            raise _answered(response, _read_all(response, line.ends_at), failure)
        _refuse_compressed(response)
        line.share.expect(_announced(response))
        if heads is not None:
            heads.append(response.headers)
        yield from zip(_pieces(line, response), repeat(False))
        yield b"", True


def fetch(line: Line, at: AssetAt, headers: Mapping[str, str], failure: ToFailure) -> Asset:
    """The bytes of an asset that was announced by its address. Elsewhere than at the provider's own origin only
    public addresses are reached, by https and without the key; so at every redirect, and there is no way back home.
    Raises Failure, which never says that the request was not taken: the file was made, and may have been paid for."""
    try:
        return _fetched(line, at, headers, failure)
    except Failure as refused:
        refused.status, refused.sent = None, True
        raise


def _fetched(line: Line, at: AssetAt, headers: Mapping[str, str], failure: ToFailure) -> Asset:
    url, is_home = at.url, True
    for _ in range(MOST_REDIRECTS + 1):
        is_home = is_home and line.is_home(url)
        place = origin(url)
        if place is None or not (is_home or place[0] == "https"):
            break
        client = line.client_for(url) if is_home else line.http.public
        call = Call(url, headers=headers if is_home else {}, method="GET")
        with _Sent(line, client, call) as response:
            if response.is_redirect:
                url = _redirected(url, response)
                continue
            if response.status >= 300:
                raise _answered(response, _read_all(response, line.ends_at), failure)
            _refuse_compressed(response)
            line.share.expect(_announced(response), is_file=True)
            said = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            content = _joined(_pieces(line, response, is_file=True))
            made = Asset(typed(content, at.media_type or said or "application/octet-stream"), content, at.note)
            line.share.became(made)
            return made
    raise Failure(Kind.TRANSIENT, NO_WAY)


def _redirected(url: str, response: Answer) -> str:
    try:
        return urljoin(url, response.headers.get("location", ""))
    except ValueError:
        return ""


def _announced(response: Answer) -> int:
    """Bytes of the answer; 0 where nobody says, or it is no number that could be meant."""
    said = response.headers.get("content-length", "")
    return int(said) if said.isdecimal() and len(said) < 16 else 0


def _joined(pieces: Iterator[bytes]) -> bytes:
    """Unlike a list that is joined, a BytesIO holds the whole only once."""
    whole = io.BytesIO()
    for piece in pieces:
        whole.write(piece)
    return whole.getvalue()


def ask(http: Client, call: Call, failure: ToFailure, seconds: float = 15) -> bytes:
    """One short question, such as a list of models. Raises Failure."""
    deadlines = Deadlines(connect=3, first_byte=seconds, idle=seconds, total=seconds)
    ends_at = time.monotonic() + seconds
    request = _request(call)
    try:
        response = http.send(request, deadlines, ends_at)
        try:
            body = _read_all(response, ends_at)
            if time.monotonic() > ends_at:  # a piece that came at the last moment is not the whole
                raise httpx2.ReadTimeout("The answer took too long.")
        finally:
            response.close()
    except UNREACHED as error:
        raise _unreachable(error) from error
    if response.status >= 300:
        raise _answered(response, body, failure)
    _refuse_compressed(response)
    return body


@dataclass(frozen=True)
class Answered:
    """What somebody said to a message of ours, whatever it was."""

    status: int
    body: bytes
    """The beginning of it."""
    after: float | None
    """Seconds they ask us to wait before the next."""


def post(http: Client, call: Call, who: str, seconds: float, most_bytes: int) -> Answered:
    """Hand a message to somebody who is not a provider. Raises Failure where nothing was answered; `who` begins its
    words."""
    deadlines = Deadlines(connect=5, first_byte=seconds, idle=seconds, total=seconds)
    ends_at = time.monotonic() + seconds
    request = _request(call)
    try:
        response = http.send(request, deadlines, ends_at)
        try:
            body = b"" if _compression(response) else _read_all(response, ends_at, most_bytes)
        finally:
            response.close()
    except UNREACHED as error:
        raise _unreachable(error, who) from error
    return Answered(response.status, body, retry_after(response.headers.get("retry-after", "")))


class _Sent:
    """A call that goes out: with it, the answer's head, and Failures for what breaks until it is over."""

    def __init__(self, line: Line, http: Client, call: Call):
        self._line, self._http, self._call = line, http, call

    def __enter__(self) -> Answer:
        line, stop = self._line, self._line.stop
        if stop.requested:
            raise stopped(stop, sent=False)
        request = _request(self._call)
        try:
            self._response = response = self._http.send(request, line.deadlines, line.ends_at, stop)
        except UNREACHED as error:
            stop.unwatch()
            unreachable = _unreachable(error)
            raise stopped(stop, sent=unreachable.sent) if stop.requested else unreachable from error
        response.patience = line.deadlines.idle  # until here, the first byte's
        return response

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        stop = self._line.stop
        stop.unwatch()
        self._response.close()
        if isinstance(error, httpx2.HTTPError | OSError):
            raise stopped(stop) if stop.requested else _broken(self._line, error) from error


def _pieces(line: Line, response: Answer, *, is_file: bool = False) -> Iterator[bytes]:
    """The answer's bytes as they come; none is awaited beyond the call's time."""
    size, limit = 0, MAX_ASSET_BYTES if is_file else MAX_ANSWER_BYTES
    stop, ends_at, came = line.stop, line.ends_at, line.share.came
    for chunk in response:
        length = len(chunk)
        size += length
        if stop.requested:
            raise stopped(stop)
        if size > limit:
            raise too_large(limit)
        came(length, ends_at, stop, is_file=is_file)
        yield chunk
    if stop.requested:
        raise stopped(stop)


def _request(call: Call) -> Request:
    try:
        return request_of(call)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError, TypeError, RecursionError) as error:
        raise unsendable() from error


def _read_all(response: Answer, ends_at: float, limit: int = 4 * 1024 * 1024) -> bytes:
    body = bytearray()
    for chunk in response:
        body += chunk
        if len(body) > limit or time.monotonic() > ends_at:
            break
    return bytes(body[:limit])


def _refuse_compressed(response: Answer) -> None:
    if encoding := _compression(response):
        raise Failure(Kind.TRANSIENT, f"The provider compressed its answer ({encoding[:40]}) though asked not to.")


def _compression(response: Answer) -> str:
    encoding = str(response.headers.get("content-encoding", "")).strip().lower()
    return "" if encoding == "identity" else encoding


# -- failures of the wire, in our words ----------------------------------------------------------


def _answered(response: Answer, body: bytes, failure: ToFailure) -> Failure:
    if response.is_redirect:
        return Failure(
            Kind.BAD_REQUEST,
            "The provider's address redirects elsewhere. Keys are never sent on; correct the base URL.",
            status=response.status,
        )
    refused = failure(response.status, b"" if _compression(response) else body)
    refused.status = response.status
    if refused.after is None:
        refused.after = retry_after(response.headers.get("retry-after", ""))
    return refused


def _unreachable(error: Exception, who: str = "The provider") -> Failure:
    if isinstance(error, Forbidden):
        return Failure(Kind.BAD_REQUEST, str(error), code="address_refused", sent=False)
    if isinstance(error, Crowded):
        return Failure(Kind.TRANSIENT, "Too many names are being looked up.", code=OUR_OWN, sent=False)
    if isinstance(error, Late):
        words = f"{who} cannot be reached: its name could not be looked up in time."
        return Failure(Kind.TRANSIENT, words, sent=False)
    if isinstance(error, httpx2.ConnectTimeout):
        return Failure(Kind.TRANSIENT, f"{who} did not accept a connection in time.", sent=False)
    if isinstance(error, httpx2.ConnectError):
        return Failure(Kind.TRANSIENT, f"{who} cannot be reached: {_why_not(error)}.", sent=False)
    if isinstance(error, httpx2.PoolTimeout):
        return Failure(Kind.TRANSIENT, "Too many calls are in flight from this process.", code=OUR_OWN, sent=False)
    if isinstance(error, httpx2.WriteTimeout):
        return Failure(Kind.TRANSIENT, f"{who} did not take the whole request in time.")
    if isinstance(error, httpx2.ReadTimeout):
        return Failure(Kind.TRANSIENT, f"{who} took the request but did not answer in time.")
    return Failure(Kind.TRANSIENT, f"The connection broke before {who[0].lower()}{who[1:]} answered.")


def _why_not(error: Exception) -> str:
    is_untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
    return "its certificate is not valid" if is_untrusted else "no connection to its address"


def _too_long(line: Line) -> Failure:
    return Failure(Kind.TRANSIENT, f"The answer took longer than {line.deadlines.total:.0f} seconds.")


def _broken(line: Line, error: Exception) -> Failure:
    if isinstance(error, httpx2.ReadTimeout) and time.monotonic() >= line.ends_at:
        return _too_long(line)
    if isinstance(error, httpx2.ReadTimeout):
        return Failure(Kind.TRANSIENT, "The provider stopped sending before the answer was whole.")
    return Failure(Kind.TRANSIENT, "The provider cut the connection before the answer was whole.")


def unsendable() -> Failure:
    message = "The provider's address, key or this prompt holds characters that cannot be sent. Correct it."
    return Failure(Kind.BAD_REQUEST, message, sent=False)


def stopped(stop: Stop, *, sent: bool = True) -> Failure:
    if stop.is_cut:
        after = None if sent else 1.0  # then another process answers
        return Failure(Kind.TRANSIENT, CUT if sent else NOT_BEGUN, code=OUR_OWN, sent=sent, after=after)
    return Failure(Kind.ABORTED, "Stopped.", sent=sent)


def retry_after(header: str) -> float | None:
    """Seconds a Retry-After header asks for: a number or an HTTP date (RFC 9110 §10.2.3)."""
    try:
        seconds = float(header)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def with_key(call: Call, first: Call, line: Line) -> Call:
    """A further call of a job with the first one's key, if it stays at the provider's own origin."""
    if call.headers or not line.is_home(call.url):
        return call
    return replace(call, headers=first.headers)
