"""Functions compiled by Numba on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Return `function` compiled on first use, kept on disk for the next process where there is a folder to keep it in.

    Executors run this from a zip, perhaps as a user without a home: then every process compiles for itself.
    """
    import numba

    try:
        kept = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba knows of no folder
        return cast(Callable[..., Any], numba.njit(**options)(function))
    chosen = [kept]

    def call(*arguments: Any) -> Any:
        try:
            return chosen[0](*arguments)
        except (
            OSError
        ):  # it knew of one and cannot write there; raised by compiling, before anything was computed
            chosen[0] = numba.njit(**options)(function)
            return chosen[0](*arguments)

    return call


def part_of_compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Return `function` for compiled ones to call: it is compiled into each of them, and kept with them."""
    import numba

    return cast(Callable[..., Any], numba.njit(**options)(function))


def lowest_bit() -> Callable[[Any], Any]:
    """Return a function for compiled ones to call: the number of the lowest bit of a whole number that is set, of 0 how many bits it has."""
    from llvmlite import ir  # what numba stands on
    from numba import types
    from numba.extending import intrinsic

    def counted(typing_context: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            found = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))
            return context.cast(builder, found, number, types.int64)

        return types.int64(number), generate

    return cast(Callable[[Any], Any], intrinsic(counted))
