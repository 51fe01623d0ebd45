"""The plain form that nearly all requests for scores have, read without a parser of HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from synml_dagster.serving.scoring import INFER, INVOCATIONS, SMALL_BODY

# Each line has to be a header as RFC 9110 writes one: what a proxy in front might read otherwise is left to the parser.
_HEAD = re.compile(
    rb"POST (/invocations|/v2/models/[A-Za-z0-9._~/-]+/infer) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n"
)
_TELLING = re.compile(
    rb"^(content-length|content-type|x-request-id|connection|transfer-encoding|content-encoding|expect|upgrade"
    rb"|inference-header-content-length):([^\r]*)\r\n",
    re.IGNORECASE | re.MULTILINE,
)
_KINDS = (b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8")


_LONGEST_HEAD = 2048


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request for scores, and what it says.

    Attributes
    ----------
    path, form
        Where it goes, and the name of that in the metrics.
    size, length
        Bytes of the head itself, and of the body of JSON behind it.
    request
        The request's id, where it has one.
    """

    path: str
    form: str
    size: int
    length: int
    request: str | None


def plain_head(data: bytes) -> Head | None:
    """Return the head of the request for scores that `data` begins with.

    None where the head is not whole, or says of the request what is not usual: another media type, an encoding, a connection that is not
    to stay open.
    """
    return _read_head(data[: data.find(b"\r\n\r\n", 0, _LONGEST_HEAD) + 4])


# A client's requests have one head, but for the length: to know it again costs a tenth of reading it.
@lru_cache(maxsize=1024)
def _read_head(data: bytes) -> Head | None:
    found = _HEAD.fullmatch(data)
    if found is None:
        return None
    length = kind = request = None
    for name, value in _TELLING.findall(found[2]):
        # Blanks around a value are taken off here: an expression that does so looks at long runs of them again and again.
        name, value = name.lower(), value.strip(b" \t")
        if name == b"content-length" and length is None and value.isdigit() and len(value) < 10:
            length = int(value)
        elif name == b"content-type" and kind is None and value.lower() in _KINDS:
            kind = value
        elif name == b"x-request-id" and request is None:
            request = value.decode("latin-1")
        elif name != b"connection" or value.lower() != b"keep-alive":
            return None
    if length is None or length > SMALL_BODY:
        return None
    path = found[1].decode()
    return Head(path, INVOCATIONS if path == INVOCATIONS else INFER, len(data), length, request)
