"""The one look of every picture: palette, axes, number formats, and how a figure becomes PNG or SVG.

Figures are drawn without pyplot, so nothing is shared between threads or left open. The palette is safe for the common
kinds of colour blindness: blue against orange, told apart in lightness too.

SVG is meant to be put inline into a page: its text takes the page's font, and its colours become the page's CSS
variables (`--ink`, `--muted`, `--grid`, `--surface`, `--blue`, ...), so that a dark page darkens its pictures.
"""

from __future__ import annotations

import io
import logging
import math
import re
import textwrap
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

from synml_dagster.errors import SynmlError
from synml_dagster.plots.arrange import arrange

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

Format = Literal["png", "svg"]
P = ParamSpec("P")

INK, MUTED, GRID, SURFACE = "#1d2733", "#66727f", "#e4e8ed", "#ffffff"
BLUE, ORANGE, TEAL, PURPLE, GREY = "#2b6cb0", "#dd7a1e", "#14857d", "#7a5195", "#a9b3be"
SERIES = (BLUE, ORANGE, TEAL, PURPLE, "#b5485d", "#7c8a2c", GREY)
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    SURFACE: "--surface",
    BLUE: "--blue",
    ORANGE: "--orange",
    TEAL: "--teal",
    PURPLE: "--purple",
    GREY: "--grey",
}
_PNG_DPI = 144
_MOST_STEPS = 6  # between the numbers of an axis; each is a line, a mark and a text to be measured
_NARROW = 0.02  # of a number's size: three digits no longer tell neighbours on an axis apart
_RENDERING = threading.Lock()  # rc_context changes matplotlib's global settings for a moment


def guarded(draw: Callable[P, bytes]) -> Callable[P, bytes]:
    """Let a picture that cannot be drawn be one that says why: what is beside the numbers never ends the run that made them.

    Errors of this package go up as they are: they refuse what was asked for.
    """

    @wraps(draw)
    def drawn(*args: P.args, **more: P.kwargs) -> bytes:
        try:
            return draw(*args, **more)
        except SynmlError:
            raise
        except Exception as problem:
            why = f"{type(problem).__name__}: {problem}"
            logging.getLogger(__name__).warning("The picture %r could not be drawn: %s", draw.__name__, why)
            told = signature(draw).bind(*args, **more)
            told.apply_defaults()
            figure, axes = canvas(5.2, 1.6)
            axes.set_axis_off()
            said = textwrap.fill(f"This picture could not be drawn. {why}"[:400], 70)
            axes.text(0.5, 0.5, said, ha="center", va="center", color=MUTED, fontsize=9, parse_math=False)
            return rendered(figure, told.arguments["form"], draw.__name__)

    return drawn


def canvas(width: float = 5.2, height: float = 3.7) -> tuple[Figure, Axes]:
    """Return an empty figure of `width` by `height` inches and its axes in the common look."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for axis in (
        axes.xaxis,
        axes.yaxis,
    ):  # `locator_params` would also ask for other limits, where nothing is drawn yet
        locator = axis.get_major_locator()
        assert isinstance(locator, MaxNLocator)
        locator.set_params(nbins=_MOST_STEPS)
    dress(axes)
    return figure, axes


def dress(axes: Axes) -> None:
    """Give axes the common look: two quiet spines, light grid, small muted tick labels."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
        axes.spines[side].set_linewidth(0.8)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=3, width=0.8, color=GREY)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")


def label(axes: Axes, x: str, y: str, title: str | None = None) -> None:
    """Name the axes, and the whole where it stands alone."""
    axes.set_xlabel(x, color=INK, fontsize=9.5, labelpad=6)
    axes.set_ylabel(y, color=INK, fontsize=9.5, labelpad=6)
    if title:
        axes.set_title(title, color=INK, fontsize=11, loc="left", pad=10, fontweight="bold")


def legend(axes: Axes, **more: Any) -> None:
    """Add a legend without a box."""
    options: dict[str, Any] = {
        "frameon": False,
        "fontsize": 8.5,
        "labelcolor": INK,
        "handlelength": 1.6,
    } | more
    box = axes.legend(**options)
    box.get_title().set_color(INK)


def percent_axis(axis: Axis) -> None:
    """Write an axis that runs over shares as whole percentages."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def number_axis(axis: Axis) -> None:
    """Write large numbers with thousands marks or as 12k, 3.4M, and small ones plainly; in full where an axis is far from 0."""
    from matplotlib.ticker import FuncFormatter

    def written(value: float, _: Any) -> str:
        low, high = sorted(axis.get_view_interval())
        return number_between(value, low, high)

    axis.set_major_formatter(FuncFormatter(written))


def number_between(value: float, low: float, high: float) -> str:
    """Return a number in as few characters as tell it from others between `low` and `high`: 1,700,000,120 beside 1,700,000,140."""
    span = high - low
    if not 0 < span < _NARROW * max(abs(low), abs(high)):
        return short_number(value)
    digits = min(max(2 - math.floor(math.log10(span) + 1e-9), 0), 15)
    return f"{value:,.{digits}f}".replace("-", "−")


def short_number(value: float) -> str:
    """Return a number in few characters: 0.25, 1,200, 48k, 3.4M."""
    size = abs(value)
    if size >= 1e4:
        limit, unit = next((at, u) for at, u in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if size >= at)
        text = f"{value / limit:.3g}{unit}"
    elif size >= 1e3:
        text = f"{value:,.0f}"
    elif size >= 1e-3:
        text = f"{value:.3g}"
    else:
        text = f"{value:.1e}" if size else "0"
    return text.replace("-", "−")


def shortened(name: str, most: int = 28) -> str:
    """Return a name that fits beside an axis, its middle left out where it is too long, without math markup."""
    name = " ".join(name.split())
    if len(name) > most:
        keep = most - 1
        name = f"{name[: keep - keep // 3]}…{name[len(name) - keep // 3 :]}"
    return name.replace("$", r"\$")


def ramp(name: str = "value") -> LinearSegmentedColormap:
    """Return the colour map of low to high ("value", blue over grey to orange) or of few to many ("density")."""
    from matplotlib.colors import LinearSegmentedColormap

    if name == "density":
        # Few rows let the page shine through, whether it is light or dark.
        return LinearSegmentedColormap.from_list(
            "density", [f"{BLUE}28", f"{BLUE}90", f"{BLUE}ff", "#184a80ff"]
        )
    return LinearSegmentedColormap.from_list("value", [BLUE, "#8fb0d3", "#c9c4c4", "#eba866", ORANGE])


def rendered(figure: Figure, form: Format = "png", name: str = "figure") -> bytes:
    """Return the figure as PNG bytes on white, or as an inline SVG element (UTF-8) named `name`.

    Matplotlib's `savefig` would draw the figure twice, the first time for nobody.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    if form == "png":
        figure.dpi = _PNG_DPI  # before it is arranged: texts are measured for one size of pixels, once
        figure.set_facecolor(SURFACE)
        arrange(figure)
        canvas = figure.canvas
        assert isinstance(canvas, FigureCanvasAgg)
        canvas.draw()
        return _of_few_colours(canvas.buffer_rgba())
    figure.dpi = 72  # as SVG counts
    arrange(figure)
    figure.patch.set_alpha(0)
    figure.dpi = 200  # of its dense parts, which are pixels
    buffer = io.BytesIO()
    with _RENDERING, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return _inline(buffer.getvalue().decode("utf-8"), name).encode("utf-8")


def _of_few_colours(pixels: Any) -> bytes:
    """Keep 128 colours, which nobody tells from all of them: Dagster stores pictures in its event log, and MLflow beside each run."""
    import numpy as np
    from PIL import Image

    smaller = io.BytesIO()
    picture = Image.fromarray(np.asarray(pixels)[:, :, :3])
    picture.quantize(128, dither=Image.Dither.NONE).save(smaller, "png")
    return smaller.getvalue()


def _inline(svg: str, name: str) -> str:
    """Cut the XML prologue, make ids unique on the page, and hand colours and font to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(?::\w+)?="[^"]*"', "", svg)  # HTML knows them, and the page names no address at all
    prefix = re.sub(r"[^A-Za-z0-9]+", "-", name)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable}, {colour})")
    # 'DejaVu Sans' is what was measured; system fonts are narrower, so texts never outgrow their place.
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1system-ui, sans-serif", svg)
    size = re.search(r'<svg[^>]*?width="([\d.]+)pt"', svg)
    width = float(size.group(1)) * 4 / 3 if size else 480
    head = f'<svg class="figure" style="max-width: {width:.0f}px" role="img" aria-label="{prefix}" '
    svg = re.sub(r"^<svg ", head, svg, count=1)
    return re.sub(
        r'(<svg[^>]*?) width="[\d.]+pt"| height="[\d.]+pt"', lambda m: m.group(1) or "", svg, count=2
    )


def beside(
    axes: Axes, x: float, y: float, text: str, *, left: bool = False, size: float = 8, color: str = MUTED
) -> None:
    """Write `text` a few points to the right of a bar's end, or to the left of it."""
    axes.annotate(
        text,
        (x, y),
        xytext=(-4 if left else 4, 0),
        textcoords="offset points",
        va="center_baseline",
        ha="right" if left else "left",
        color=color,
        fontsize=size,
    )


def colours(count: int) -> Sequence[str]:
    """Return `count` colours for lines, repeating where there are more lines than can be told apart."""
    return [SERIES[i % len(SERIES)] for i in range(count)]
