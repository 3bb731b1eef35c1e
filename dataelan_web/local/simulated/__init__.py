"""The simulated provider that ships with Dataelan: the OpenAI chat form over real HTTP, without a model.

    granian --interface asgi --workers 1 dataelan_web.local.simulated:app

It is a newcomer's first answer, and the provider of tests and benchmarks. It is always labelled: model
names, `system_fingerprint`, the header `x-simulated: true` and the answer's first line all say so. The
same conversation gets the same answer. Any API key is good, except one that starts with `sk-wrong`.

Paths: `GET /v1/models`, `POST /v1/chat/completions`, `POST /v1/audio/speech` (a tune in place of a voice),
`POST /v1/audio/transcriptions` (says how long the recording is), `POST /v1/embeddings`,
`POST /v1/images/generations` and `/v1/images/edits` (a landscape in the prompt's colours), jobs in Replicate's form
under `/replicate/v1` (see `films.py`), and for tests `GET /_requests?since=N`, the calls after number N: their id,
model, `x-client-request-id`, failure, and whether the caller hung up. That log and `fail_times` live in this one
process, so run one worker.

Models: `simulated-fast` (about 100 tokens/s), `simulated-thoughtful` (reasons first, slower),
`simulated-instant` (all at once), `simulated-second` (12 tokens, the first at once, the last after exactly
one second), beside chat `simulated-voice`, `simulated-ear`, `simulated-vectors` and `simulated-image`, and,
unlisted, `simulated-fail-<kind>`, which always fails that way. Jobs: `simulated/film` and `simulated/picture`.

A line in the last user message (speech: the `input`; transcription and pictures: the `prompt`; embeddings: the first
text) directs the answer, and is not part of the prompt:

    !simulate tokens=400 rate=100 first_token_ms=300 total_ms=1000 fail=rate_limit after=10

    tokens=N           exactly N answer tokens                  reasoning=N    N reasoning tokens first
    rate=N             tokens a second; 0: all at once          cached=N       report N cached prompt tokens
    first_token_ms=N   wait this long for the first             total_ms=N     the last token comes at N
    fail=KIND          fail this way (see `failures.py`)        after=N        … after N tokens (3)
    retry_after=S      send this Retry-After with a refusal     seconds=S      a picture or a job takes so long
    broken=N           the first N calls of a tool for one prompt break its schema, those after fit
    fail=job_failed    a job is taken, and fails half-way
    fail_times=N key=K fail the first N calls that carry key K, then answer (KIND: server_error unless told)

Tokens are counted roughly: an answer has as many as it has pieces (a word of up to six letters with the
space before it, or one sign); a prompt has one for each four bytes of UTF-8. Every piece is one write.
"""

from dataelan_web.local.simulated.server import app

__all__ = ["app"]
