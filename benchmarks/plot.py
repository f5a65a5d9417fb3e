"""Bars as an SVG, which is read in light and in dark."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

_ROW, _LABEL, _WIDTH, _FIGURE = 26, 240, 760, 60
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.bar{fill:#8c959f}.ours{fill:#0969da}"
    ".one{stroke:#8c959f;stroke-dasharray:3}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.bar{fill:#6e7681}.ours{fill:#4493f8}"
    ".one{stroke:#6e7681}}"
)


def bars(title: str, figures: Mapping[str, float]) -> str:
    """A bar for each figure, the least first. Ours, whose names begin so, are blue."""
    rows = sorted(figures.items(), key=lambda row: row[1])
    scale = (_WIDTH - _LABEL - _FIGURE) / max(figures.values())
    one = _LABEL + scale
    height = _ROW * (len(rows) + 1) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="{_LABEL}" y="18">{escape(title)}</text>',
        f'<line class="one" x1="{one:.0f}" x2="{one:.0f}" y1="{_ROW}" y2="{height}"/>',
    ]
    for number, (name, figure) in enumerate(rows, 1):
        top, length = number * _ROW, max(1, figure * scale)
        kind = "ours" if name.startswith("pikku_auth") else "bar"
        lines += [
            f'<text x="{_LABEL - 8}" y="{top + 17}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{_LABEL}" y="{top + 4}" width="{length:.0f}" height="18"/>',
            f'<text x="{_LABEL + length + 6:.0f}" y="{top + 17}">{figure:.2f}</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])
