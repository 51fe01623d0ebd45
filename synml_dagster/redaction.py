"""Takes passwords, keys and tokens out of what people get to read: messages, logs, metadata, reports."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "***"

_WORDS = r"password|passwd|passphrase|pwd|secret|token|signature|credentials?|account_?key|access_?key|api_?key|shared_?key|private_?key"
_KEYED = re.compile(
    rf"""(?P<key>(?<![\w.-])(?:[\w.-]*(?:{_WORDS})[\w.-]*|(?:[\w.-]*[._-])?pass|sig|pat)\s*=>?\s*)(?P<value>\{{[^}}]*\}}|'[^']*'|"[^"]*"|[^&;,\s'")\]}}]+)""",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    rf"""(?P<key>(?P<mark>['"])[\w.-]*(?:{_WORDS})[\w.-]*(?P=mark)\s*[:,]\s*)(?P<value>'[^']*'|"[^"]*")""",
    re.IGNORECASE,
)
# A colon before the `@` makes it a password; a container of a store (`abfss://data@account`) has none. A key may hold slashes,
# and a port is followed by one.
_IN_ADDRESS = re.compile(r"""(://)[^\s/'":@]*:(?!\d+(?:/|$))[^\s'"@]*@(?:[^\s/'"@]*@)*""")
# A token that stands for a user and has no password, and addresses that are written without their scheme.
_TOKEN_IN_ADDRESS = re.compile(r"""(https?://)[^\s/'":@?#]+@""", re.IGNORECASE)
_BARE_ADDRESS = re.compile(r"""(?<![\w/:.@*])[\w.+-]+:[^\s/@:'"*]+@(?=[\w.-]+[:/])""")
_HEADER = re.compile(
    r"""(?i)(\bauthorization['"]?\s*[:=]\s*['"]?(?:[a-z]+\s+)?|\bbearer\s+(?=[\w.~+/=-]{16}))[^\s'",;]+"""
)
_FLAG = re.compile(rf"""(?i)((?<!\S)--?[\w-]*(?:{_WORDS})[\w-]*\s+)(?!-)[^\s'",;]+""")
_SETTING = re.compile(
    r"""(?i)(\b(?:[\w-]+[._-])?(?:password|passwd|passphrase|pwd|secret|api_?key|access_?key):\s*)('[^']*'|"[^"]*"|[^\s'",;}]+)"""
)
_KEY_BLOCK = re.compile(
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_ORACLE = re.compile(r"""(?i)(jdbc:oracle:\w+:)[^\s/'"@]+/[^\s'"@]+@""")


def redacted(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return `text` with what is secret in it hidden: passwords in addresses, values of keys that say so, and `secrets`.

    Examples
    --------
    >>> redacted("jdbc:postgresql://ann:s3cret@db/x?sslpassword=abc&ssl=true")
    'jdbc:postgresql://***@db/x?sslpassword=***&ssl=true'
    >>> redacted("abfss://data@account.dfs.core.windows.net/rows")
    'abfss://data@account.dfs.core.windows.net/rows'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _ORACLE.sub(rf"\1{HIDDEN}@", text)
    text = _IN_ADDRESS.sub(rf"\1{HIDDEN}@", text)
    text = _TOKEN_IN_ADDRESS.sub(rf"\1{HIDDEN}@", text)
    text = _BARE_ADDRESS.sub(f"{HIDDEN}@", text)
    text = _KEY_BLOCK.sub(rf"\1{HIDDEN}\2", text)
    for written in (_HEADER, _FLAG, _SETTING):
        text = written.sub(rf"\g<1>{HIDDEN}", text)
    text = _KEYED.sub(lambda found: found["key"] + HIDDEN, text)
    return _QUOTED.sub(lambda found: f"{found['key']}{found['mark']}{HIDDEN}{found['mark']}", text)


def is_secret_key(name: str) -> bool:
    """Return whether an option's name says that its value is a secret."""
    return re.search(_WORDS, name, re.IGNORECASE) is not None


def secret_values(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of options whose names say that they are secret; what is shorter than a password is not looked for."""
    return tuple(value for name, value in options.items() if is_secret_key(name) and len(value) > 3)


class RedactedError(Exception):
    """Stands for an error of another library whose message holds a secret."""


def without_secrets(problem: Exception, secrets: tuple[str, ...] = ()) -> Exception:
    """Return `problem` as the cause that may be shown: itself, or one that stands for it where its message holds a secret.

    A traceback shows the messages of all causes. Use it as `raise OurError(...) from without_secrets(problem)`.
    """
    seen: set[int] = set()
    link: BaseException | None = problem
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if redacted(str(link), secrets) != str(link) or redacted(repr(link.args), secrets) != repr(link.args):
            return RedactedError(f"{type(problem).__name__}: {redacted(str(problem), secrets)}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return problem
