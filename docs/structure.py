# ruff: noqa: INP001 - a program beside the pages that it draws for, no package
"""Draw the structure of the package from its layers and its imports; `python -m docs.tables` writes it."""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import grimp
from importlinter.api import read_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grimp import ImportGraph

DOCS: Final = Path(__file__).resolve().parent
PICTURE: Final = DOCS / "explanation" / "structure.svg"
PACKAGE: Final = "ska_oso_oet"
SOURCE: Final = DOCS.parent / "src" / PACKAGE
GROUND: Final = 2
"""The lowest layers, which everybody may import: arrows to them are left out."""

_WIDTH, _ROW, _BOX, _CHAR = 1080, 76, 30, 8.4


class Box(NamedTuple):
    """A room of the picture: its name, the middle of its upper edge, and its width."""

    name: str
    x: float
    y: float
    width: float


def layers() -> list[list[str]]:
    """Read the layers of the contract, from top to bottom."""
    contracts = read_configuration(str(DOCS.parent / "pyproject.toml"))["contracts_options"]
    [rows] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return [[name.strip(" ()") for name in row.replace(":", "|").split("|")] for row in rows]


def imports(graph: ImportGraph) -> dict[str, set[str]]:
    """Return which rooms each room imports."""
    rooms: dict[str, set[str]] = {}
    for module in graph.modules - {PACKAGE}:
        found = graph.find_modules_directly_imported_by(module) - {PACKAGE}
        rooms.setdefault(_room(module), set()).update(_room(imported) for imported in found)
    return {room: others - {room} for room, others in rooms.items()}


def _room(module: str) -> str:
    return module.split(".")[1]


def arrows(rooms: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Leave out of the imports those that others imply, and those of the ground."""
    ground = _ground()
    reached = {room: _reached(rooms, room) for room in rooms}
    return sorted(
        (room, other)
        for room in rooms
        for other in rooms[room] - ground
        if not any(other in reached.get(between, ()) for between in rooms[room])
    )


def _ground() -> set[str]:
    return {name for row in layers()[-GROUND:] for name in row}


def _reached(rooms: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = rooms.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def purpose(name: str) -> str:
    """Return the first sentence of a room's docstring."""
    package = SOURCE / name / "__init__.py"
    file = package if package.is_file() else SOURCE / f"{name}.py"
    documented = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return " ".join(documented.split("\n\n")[0].split())


def rooms() -> list[tuple[str, str]]:
    """Return the name and the purpose of each package and module, from top to bottom."""
    return [(name, purpose(name)) for row in layers() for name in row]


def picture() -> str:
    """Draw the structure as SVG."""
    rows = layers()
    boxes = {box.name: box for number, row in enumerate(rows) for box in _row(row, number)}
    known = grimp.build_graph(PACKAGE, cache_dir=None)
    lines = [_line(boxes[upper], boxes[lower]) for upper, lower in arrows(imports(known))]
    bands = [
        f'<rect class="band" x="0" y="{number * _ROW + 8}" width="{_WIDTH}" height="{_ROW - 22}"/>'
        for number in range(len(rows))
    ]
    drawn = [_box(box, "ground" if box.name in _ground() else "room") for box in boxes.values()]
    parts = [*bands, *lines, *drawn]
    return _SVG.format(width=_WIDTH, height=len(rows) * _ROW, parts="\n".join(parts))


def _row(names: Sequence[str], number: int) -> Iterator[Box]:
    for place, name in enumerate(names):
        x = _WIDTH * (place + 0.5) / len(names)
        yield Box(name, x, number * _ROW + (_ROW - 14 - _BOX) / 2 + 8, len(name) * _CHAR + 18)


def _box(box: Box, kind: str) -> str:
    left = box.x - box.width / 2
    return (
        f'<g class="{kind}"><title>{escape(purpose(box.name))}</title>'
        f'<rect x="{left:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{_BOX}" rx="5"/>'
        f'<text x="{box.x:.0f}" y="{box.y + 20:.0f}">{box.name}</text></g>'
    )


def _line(upper: Box, lower: Box) -> str:
    x1, y1, x2, y2 = (round(place) for place in (upper.x, upper.y + _BOX, lower.x, lower.y - 2))
    middle = (y1 + y2) // 2
    return f'<path d="M{x1},{y1} C{x1},{middle} {x2},{middle} {x2},{y2}"/>'


_SVG: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>The layers of ska_oso_oet, and which room imports which</title>
<style>
svg {{ background: #fff; font: 14px sans-serif }}
.band {{ fill: #f1f4f8 }}
path {{ fill: none; stroke: #5b7089; stroke-width: 1.3; marker-end: url(#tip) }}
.room rect {{ fill: #dbe8f7; stroke: #2a5a8c }}
.ground rect {{ fill: #fff; stroke: #8a97a5 }}
text {{ text-anchor: middle; fill: #10243a }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<polygon points="0,0 8,4 0,8" fill="#5b7089"/></marker></defs>
{parts}
</svg>
"""
