"""Draws docs/rounds.svg: every phase of a round and every way between them, from the code.

Run as `python docs/rounds.py docs/rounds.svg`. The ways are found by trying every event on every
state that can be reached; only where a phase stands on the page is laid by hand.
"""

import sys
from html import escape
from pathlib import Path

from coordinator.rounds.machine import HELD, OVER, Phase
from coordinator.rounds.table import ways

WIDTH, HEIGHT = 1010, 560
PAPER, INK, QUIET = "#FBFBF9", "#22272E", "#5C6570"
WORKS, WORKS_TINT = "#0B6BA8", "#E8F2F9"
ENDS, ENDS_TINT = "#0A7A5A", "#E6F4EF"
HOLDS, HOLDS_TINT = "#A8480B", "#FBEFE6"
BOX_W, BOX_H, STEP_X, STEP_Y, LEFT, TOP = 150, 46, 196, 116, 30, 64

PLACES: dict[Phase, tuple[int, int]] = {
    Phase.PLANNED: (0, 0), Phase.SURVEYING: (1, 0), Phase.SELECTED: (2, 0),
    Phase.COLLECTING: (3, 0), Phase.LABELING: (4, 0),
    Phase.EVALUATING: (0, 1), Phase.TRAINING: (1, 1), Phase.SNAPSHOT: (2, 1),
    Phase.FITTING: (3, 1), Phase.RESOLVING: (4, 1),
    Phase.GATE: (0, 2), Phase.CANARY: (1, 2), Phase.ROLLING_OUT: (2, 2), Phase.DONE: (3, 2),
    Phase.REJECTED: (0, 3), Phase.ROLLED_BACK: (2, 3),
    Phase.PAUSED: (4, 2), Phase.QUARANTINED: (4, 3), Phase.ABANDONED: (3, 3),
}  # fmt: skip
"""Column and row of each phase; a round walks the first row to the right, the second back."""

STYLE = f"""
  text {{ font-family: system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif;
         fill: {INK}; }}
  .phase {{ font-size: 14px; font-weight: 600; text-anchor: middle; }}
  .event {{ font-size: 11.5px; fill: {QUIET}; text-anchor: middle; }}
  .note {{ font-size: 12.5px; fill: {QUIET}; }}
  .way {{ fill: none; stroke: {QUIET}; stroke-width: 1.6; marker-end: url(#head); }}
"""


def corner(phase: Phase) -> tuple[int, int]:
    """Return where a phase's box begins."""
    column, row = PLACES[phase]
    return LEFT + column * STEP_X, TOP + row * STEP_Y


def box(phase: Phase) -> list[str]:
    """Return a phase's box."""
    x, y = corner(phase)
    edge, tint = WORKS, WORKS_TINT
    if phase in OVER:
        edge, tint = ENDS, ENDS_TINT
    if phase in HELD:
        edge, tint = HOLDS, HOLDS_TINT
    return [
        f'<rect x="{x}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="9" fill="{tint}" '
        f'stroke="{edge}" stroke-width="1.4"/>',
        f'<text x="{x + BOX_W // 2}" y="{y + 28}" class="phase">{phase.name}</text>',
    ]


def way(before: Phase, event: str, after: Phase) -> list[str]:
    """Return an arrow between two phases that stand beside, below or far from each other."""
    (x, y), (to_x, to_y) = corner(before), corner(after)
    half = BOX_H // 2
    if y == to_y and abs(to_x - x) == STEP_X:
        start, end = (x + BOX_W, to_x - 3) if to_x > x else (x, to_x + BOX_W + 3)
        path = f"M{start} {y + half} H{end}"
        label = (start + end) // 2, y - 7
    elif x == to_x:
        middle = x + BOX_W // 2
        path = f"M{middle} {y + BOX_H} V{to_y - 3}"
        label = middle + 44, y + BOX_H + 22
    elif y == to_y:  # over what stands between
        start, end = x + BOX_W - 20, to_x + BOX_W // 2
        path = f"M{start} {y} V{y - 26} H{end} V{y - 3}"
        label = (start + end) // 2, y - 31
    else:
        start, end = x + BOX_W // 2, to_x + BOX_W // 2
        end += 40 if start > end else -40
        bend = to_y - (STEP_Y - BOX_H) // 2
        path = f"M{start} {y + BOX_H} V{bend} H{end} V{to_y - 3}"
        label = start + (34 if start > end else -34), bend - 6
    return [
        f'<path class="way" d="{path}"/>',
        f'<text x="{label[0]}" y="{label[1]}" class="event">{escape(event)}</text>',
    ]


def notes(found: list[tuple[Phase, str, Phase]]) -> list[str]:
    """Return in words what would be too many arrows, counted from the ways."""
    held = {before for before, _, after in found if after in HELD}
    given_up = {before for before, _, after in found if after is Phase.ABANDONED}
    working = {phase for phase in Phase if phase not in OVER | HELD | {Phase.NONE}}
    if held != working:
        raise SystemExit("the picture says that every phase that works can be held")
    late = sorted((working - given_up), key=list(Phase).index)
    lines = [
        "Paused, Quarantined: from every blue phase; Resumed goes back to it.",
        f"Abandoned: from every blue and orange phase but {' and '.join(p.name for p in late)},"
        " whose model devices may serve: those are Reverted.",
        "Asked, Extended and Closed open and end the exchanges inside a phase.",
    ]
    return [
        f'<text x="{LEFT}" y="{HEIGHT - 62 + 19 * row}" class="note">{escape(line)}</text>'
        for row, line in enumerate(lines)
    ]


def draw() -> str:
    """Return the whole picture."""
    found = ways()
    missing = {phase for _, _, phase in found} - set(PLACES)
    if missing:
        raise SystemExit(f"no place for {missing}: lay it in PLACES")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">',
        "<title>The phases of a round and the events that lead from one to the next</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{QUIET}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="{PAPER}"/>',
        f'<text x="{LEFT}" y="34" class="note">Planned begins a round.</text>',
    ]
    for before, event, after in found:
        everywhere = after in HELD | {Phase.ABANDONED} or before in HELD | {Phase.NONE}
        if not everywhere:
            lines += way(before, event, after)
    for phase in PLACES:
        lines += box(phase)
    return "\n".join([*lines, *notes(found), "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
