"""The picture of the method in the README: `python -m radt.figures.method` writes docs/method.svg.

It is written by hand as text and boxes, so that the file is small, the same on every machine, and follows the reader's dark mode.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

FILE = Path(__file__).parents[3] / "docs/method.svg"
WIDTH, HEIGHT = 800, 270
STYLE = """
text { font: 13px sans-serif; fill: #222; }
.name { font-weight: bold; }
.box { fill: #f4f6fa; stroke: #555; }
.memory { fill: #fff3d6; stroke: #b07d00; }
.found { fill: #ffd166; stroke: #b07d00; stroke-width: 2; }
.model { fill: #dbe8fb; stroke: #004488; }
.line { fill: none; stroke: #555; stroke-width: 1.5; }
.head { fill: #555; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e6e6; }
  .box { fill: #22272e; stroke: #aaa; }
  .memory { fill: #3a2f14; stroke: #d9a520; }
  .found { fill: #7a5b00; stroke: #ffd166; }
  .model { fill: #16304f; stroke: #6699cc; }
  .line { stroke: #aaa; }
  .head { fill: #aaa; }
}
"""
ALT = (
    "The task shows an observation and pays a reward. RA-DT, a transformer, reads the present episode and chooses an action."
    " Its last steps are the query that searches a memory of finished episodes. A part that is similar and of high return"
    " is read by cross-attention. A finished episode goes into the memory."
)


def box(x: int, y: int, width: int, height: int, kind: str, *lines: str) -> str:
    """A box with centred lines of text, the first of them bold."""
    first = y + height / 2 + 5 - 8.5 * (len(lines) - 1)
    texts = []
    for number, line in enumerate(lines):
        bold = "" if number else ' class="name"'
        place = f'x="{x + width / 2:g}" y="{first + 17 * number:g}" text-anchor="middle"'
        texts.append(f"<text {place}{bold}>{escape(line)}</text>")
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>' + "".join(texts)


def arrow(*points: tuple[int, int]) -> str:
    """A line through points with a head at its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline class="line" points="{path}" marker-end="url(#head)"/>'


def note(x: int, y: int, text: str, anchor: str = "middle") -> str:
    """Words beside an arrow."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def svg() -> str:
    """The whole picture."""
    memory = [
        box(20, 168 + 24 * row, 210, 20, "found" if row == 1 else "memory", f"episode {row + 1}, return {paid}")
        for row, paid in enumerate((3, 71, 12))
    ]
    parts = [
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>',
        box(20, 40, 150, 70, "box", "Task", "never seen before"),
        box(300, 40, 190, 70, "model", "RA-DT", "weights do not change"),
        box(590, 40, 200, 70, "box", "Present episode", "all steps until now"),
        note(125, 156, "Memory of finished episodes"),
        *memory,
        note(125, 258, "each finished episode is added"),
        box(300, 180, 190, 44, "found", "Retrieved part", "similar, of high return"),
        box(590, 180, 200, 44, "box", "Query", "the last steps as a vector"),
        arrow((300, 75), (172, 75)),
        note(236, 68, "action"),
        arrow((95, 40), (95, 26), (690, 26), (690, 38)),
        note(395, 19, "observation, reward"),
        arrow((590, 75), (492, 75)),
        arrow((690, 110), (690, 178)),
        arrow((395, 180), (395, 112)),
        note(402, 150, "cross-attention", "start"),
        arrow((232, 202), (298, 202)),
        arrow((690, 224), (690, 256), (270, 256), (270, 214), (232, 214)),
        note(480, 250, "search"),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(ALT)}</title>'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    FILE.write_text(svg(), encoding="utf-8")
