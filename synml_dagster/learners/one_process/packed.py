"""Arrays as text within JSON: compressed, little-endian, base64. They open without running code."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

DAMAGE = (KeyError, ValueError, TypeError, IndexError, zlib.error, binascii.Error)
"""What reading a damaged text raises."""


def packed(values: NDArray, kind: str) -> str:
    """Return the values as text, of NumPy's type `kind`, in row order."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values, kind).tobytes(), 6)).decode("ascii")


def unpacked(text: str, kind: str) -> NDArray[Any]:
    """Return what `packed` packed, in one dimension. Raises one of `DAMAGE` where it is damaged."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), dtype=kind)
