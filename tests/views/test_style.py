"""The style sheet, as far as numbers can judge it: contrast (WCAG 2.2, AA) and size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pikku_auth

SHEET = (Path(pikku_auth.__file__).parent / "static/pikku_auth/pages.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
)

TEXT, EDGE = 4.5, 3.0  # success criteria 1.4.3 and 1.4.11


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("text", "ground", TEXT),
        ("text", "sheet", TEXT),
        ("quiet", "ground", TEXT),
        ("quiet", "sheet", TEXT),
        ("accent", "sheet", TEXT),
        ("on-accent", "accent", TEXT),
        ("on-warning", "warning", TEXT),
        ("on-problem", "problem", TEXT),
        ("edge", "sheet", EDGE),
    ],
)
def test_what_matters_stands_out(
    front: str, back: str, least: float, colours: dict[str, str]
) -> None:
    assert contrast(colours[front], colours[back]) >= least


def test_black_on_white_is_the_strongest_contrast() -> None:
    assert contrast("000000", "ffffff") == pytest.approx(21)


def test_no_side_is_called_left_or_right() -> None:
    assert re.findall(r"(?:left|right|top|bottom)\b", SHEET) == []


def test_it_is_short_and_fetches_nothing() -> None:
    assert len(SHEET.splitlines()) <= 200
    assert re.findall(r"url\(|@import|@font-face", SHEET) == []
