"""Axes stand where matplotlib's own arrangement, which measures everything twice, would put them."""

from __future__ import annotations

import numpy as np
import pytest

from synml_dagster.plots.arrange import arrange
from synml_dagster.plots.style import canvas, label


def plain():
    figure, axes = canvas(5.2, 3.4)
    axes.plot([0, 1000], [0, 123456])
    label(axes, "across", "up", "with a title")
    return figure


def long_names():
    figure, axes = canvas(5.2, 2.0)
    axes.barh(range(3), [1, 2, 3])
    axes.set_yticks(range(3), ["a", "a name that takes a third of it", "b"])
    return figure


def colour_bar():
    figure, axes = canvas(5.2, 3.4)
    drawn = axes.scatter([0, 1], [0, 1], c=[0, 1])
    figure.colorbar(drawn, ax=axes, pad=0.02, aspect=32).set_label("how much")
    return figure


def text_beyond():
    figure, axes = canvas(5.2, 3.4)
    axes.plot([0, 1], [0, 1])
    axes.set_xlim(0, 1)
    axes.text(1, 0.5, "a text in the middle of the right edge", ha="center")
    return figure


def panels():
    figure, _ = canvas(5.2, 5.2)
    figure.clear()
    figure.subplots(2, 1, sharex=True)
    return figure


@pytest.mark.parametrize("draw", [plain, long_names, colour_bar, text_beyond, panels])
def test_axes_are_where_matplotlib_would_put_them(draw):
    ours, theirs = draw(), draw()
    arrange(ours)
    theirs.draw_without_rendering()
    ours.draw_without_rendering()
    for one, other in zip(ours.axes, theirs.axes, strict=True):
        np.testing.assert_allclose(one.get_position().bounds, other.get_position().bounds, atol=0.006)
