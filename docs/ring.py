"""Draws docs/ring.svg: how data goes round, and where it stops.

Run as `python docs/ring.py docs/ring.svg`. Every place is laid by hand; the same script gives the
same bytes. The picture brings its own paper, so it reads on light and dark pages.
"""

import sys
from html import escape
from pathlib import Path

WIDTH, TOP, HEIGHT = 1006, 34, 512

PAPER, INK, QUIET, RULE = "#FBFBF9", "#22272E", "#5C6570", "#D5D9DE"
DEVICE, DEVICE_TINT = "#0B6BA8", "#E8F2F9"
FLEET, FLEET_TINT = "#A8480B", "#FBEFE6"
PEOPLE, PEOPLE_TINT = "#0A7A5A", "#E6F4EF"

STEPS = ("survey", "select", "collect", "label", "fit", "train", "evaluate", "promote or roll back")

STYLE = f"""
  text {{ font-family: system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif;
         fill: {INK}; font-size: 14px; }}
  .zone {{ font-size: 13px; font-weight: 600; letter-spacing: .06em; }}
  .name {{ font-size: 15px; font-weight: 600; text-anchor: middle; }}
  .note {{ font-size: 12px; fill: {QUIET}; text-anchor: middle; }}
  .lane {{ font-size: 12.5px; text-anchor: middle; }}
  .step {{ font-size: 13px; fill: {QUIET}; text-anchor: middle; white-space: pre; }}
  .way {{ fill: none; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }}
"""


def text(x: float, y: float, words: str, kind: str, colour: str = "") -> str:
    """Return one line of text at a baseline."""
    style = f' style="fill: {colour}"' if colour else ""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}"{style}>{escape(words)}</text>'


def box(x: float, y: float, w: float, h: float, edge: str, fill: str = "#FFFFFF") -> str:
    """Return a rounded box."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="9" fill="{fill}" '
        f'stroke="{edge}" stroke-width="1.4"/>'
    )


def room(x: float, y: float, w: float, h: float, name: str, edge: str, *notes: str) -> list[str]:
    """Return a box with a name and up to two lines below it."""
    middle = y + h / 2 + 5 - 8 * len(notes)
    lines = [text(x + w / 2, middle, name, "name")]
    lines += [
        text(x + w / 2, middle + 17 * (row + 1), note, "note") for row, note in enumerate(notes)
    ]
    return [box(x, y, w, h, edge), *lines]


def way(points: str, colour: str, *, width: float = 2) -> str:
    """Return a path with an arrow head at its end."""
    return (
        f'<path class="way" d="{points}" stroke="{colour}" style="stroke-width: {width:g}" '
        f'marker-end="url(#{_head(colour)})"/>'
    )


def door(x: float, y: float, h: float, name: str, colour: str) -> list[str]:
    """Return a door in a wall: a filled box with its name written up along it."""
    return [
        f'<rect x="{x - 17:g}" y="{y:g}" width="34" height="{h:g}" rx="6" fill="{colour}"/>',
        f'<text transform="translate({x + 5:g} {y + h / 2:g}) rotate(-90)" class="name" '
        f'style="fill: #FFFFFF">{escape(name)}</text>',
    ]


def _head(colour: str) -> str:
    """Return the name of the arrow head of this colour."""
    return f"head-{colour[1:].lower()}"


def _heads() -> list[str]:
    """Return the arrow heads, one for each colour of way."""
    return [
        f'<marker id="{_head(colour)}" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="5.5" '
        f'markerHeight="5.5" orient="auto"><path d="M0.5 0.8 9.5 5 0.5 9.2 2.6 5z" '
        f'fill="{colour}"/></marker>'
        for colour in (DEVICE, FLEET, PEOPLE)
    ]


def device() -> list[str]:
    """Return the left side: one device of many, with its two doors."""
    return [
        box(46, 58, 330, 390, RULE, PAPER),
        box(38, 66, 330, 390, RULE, PAPER),
        box(30, 74, 330, 390, DEVICE, DEVICE_TINT),
        text(50, 102, "EVERY DEVICE", "zone", DEVICE),
        *room(58, 122, 112, 84, "pool", DEVICE, "private items", "stay here"),
        *room(206, 122, 118, 84, "scorer", DEVICE, "and labeling", "functions"),
        *room(58, 258, 266, 62, "ledger and policy", DEVICE, "what was given away, what may be"),
        *room(58, 366, 112, 72, "learning", DEVICE, "on the", "unmasked item"),
        *room(206, 366, 118, 72, "install", DEVICE, "signatures", "checked"),
        way("M170 164 H202", DEVICE),
        way("M324 164 H339", DEVICE),
        way("M324 289 H360 V210", DEVICE),
        way("M206 402 H174", DEVICE),
        way("M58 402 H42 V164 H54", DEVICE),
        *door(360, 122, 84, "outbox", DEVICE),
    ]


def coordinator() -> list[str]:
    """Return the right side: the coordinator, and the people beside it."""
    return [
        box(620, 74, 236, 390, FLEET, FLEET_TINT),
        text(652, 102, "COORDINATOR", "zone", FLEET),
        *room(676, 122, 148, 84, "labels", FLEET, "consensus, then", "a label model"),
        *room(676, 244, 148, 84, "models", FLEET, "trained from sums,", "evaluated by sums"),
        *room(676, 366, 148, 72, "rounds", FLEET, "one budget for all,", "durable"),
        way("M637 164 H672", FLEET),
        way("M750 206 V240", FLEET),
        way("M750 328 V362", FLEET),
        *door(620, 122, 84, "inbox", FLEET),
        box(884, 122, 92, 84, PEOPLE, PEOPLE_TINT),
        text(930, 158, "people", "name", PEOPLE),
        text(930, 176, "who label", "note"),
        way("M826 148 H880", PEOPLE),
        way("M884 180 H828", PEOPLE),
        text(930, 228, "see masked", "note"),
        text(930, 244, "candidates only", "note"),
    ]


def between() -> list[str]:
    """Return what crosses, there and back."""
    up = ("sums of votes", "offers without content", "masked, sealed candidates", "updates in sums")
    return [
        *(text(490, 92 + 18 * row, words, "lane") for row, words in enumerate(up)),
        way("M381 164 H599", DEVICE, width=3.5),
        text(490, 186, "one door out, one door in", "note"),
        way("M676 402 H331", FLEET, width=3.5),
        text(490, 386, "signed bundle", "lane"),
        text(490, 425, "answers, sealed to their device", "lane"),
        text(490, 282, "raw data never crosses", "name"),
        text(490, 302, "a device learns from items", "note"),
        text(490, 318, "that it never gave away", "note"),
    ]


def steps() -> list[str]:
    """Return the round, step by step, as one line below."""
    return [
        f'<line x1="30" y1="490" x2="976" y2="490" stroke="{RULE}"/>',
        text(503, 522, "   →   ".join(STEPS), "step"),
    ]


def ring() -> str:
    """Return the picture."""
    body = [
        "<title>The fieldvote ring</title>",
        "<desc>Devices send sums, offers, sealed candidates and summed updates out through one "
        "door; people label masked candidates; models and answers come back signed.</desc>",
        f"<style>{STYLE}</style>",
        "<defs>",
        *_heads(),
        "</defs>",
        f'<rect y="{TOP}" width="{WIDTH}" height="{HEIGHT}" rx="14" fill="{PAPER}"/>',
        *device(),
        *coordinator(),
        *between(),
        *steps(),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {TOP} {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">'
    )
    return "\n".join((head, *body, "</svg>")) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(ring(), encoding="utf-8")
