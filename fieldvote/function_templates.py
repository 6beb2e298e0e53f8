r"""Templates: one function written once, and a table that makes many of it.

::

    [[template]]
    id = "mentions_${shop}"
    kind = "regex"
    class = "${class}"
    pattern = '(?i)\b${name} (?:order|voucher)\b'
    owner = "ann"
    rows = [
        { shop = "acme", name = "Acme Ltd.", class = "offer" },
        { shop = "corner", name = "corner shop", class = "ordinary" },
    ]

A value that is nothing but `${column}` becomes the column's value as it is: a number, a list, a raw
pattern. Inside a longer text it is written out, and inside a `pattern` it stands for itself to the
letter. Each row makes an ordinary function, versioned by what it then says. `library = "name@1"`
takes a template that comes with the program (`fieldvote.function_library`); keys beside it win.
"""

import re
from collections.abc import Mapping

import re2

from fieldvote.errors import SettingsError, nearest
from fieldvote.function_library import library_templates

MOST_ROWS = 5000

_PLACE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NOT_OF_THE_FUNCTION = ("library", "rows", "about")


def expand_template(template: Mapping[str, object], place: str) -> list[dict[str, object]]:
    """Return the function tables a template makes, one for each row.

    Args:
        template: The `[[template]]` table.
        place: Where it stands, for messages.

    Raises:
        SettingsError: A column is missing or unused, or the library has no such template.

    >>> expand_template({"id": "at_${n}", "above": "${n}", "rows": [{"n": 1}, {"n": 2}]}, "t")
    [{'id': 'at_1', 'above': 1}, {'id': 'at_2', 'above': 2}]
    """
    said = {**_from_library(template.get("library"), place), **template}
    rows = said.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
        raise SettingsError(f"{place}: rows: expected an array of tables, one for each function")
    if len(rows) > MOST_ROWS:
        raise SettingsError(f"{place}: rows: expected at most {MOST_ROWS}, got {len(rows)}")
    body = {key: value for key, value in said.items() if key not in _NOT_OF_THE_FUNCTION}
    made = []
    for number, row in enumerate(rows, start=1):
        filled = _Filled(row, f"{place}: row {number}")
        made.append({key: filled.value(value, key) for key, value in body.items()})
        if unused := [column for column in row if column not in filled.used]:
            wanted = f"column '{unused[0]}' is used nowhere; write ${{{unused[0]}}}"
            raise SettingsError(f"{place}: row {number}: {wanted}")
    return made


def _from_library(name: object, place: str) -> Mapping[str, object]:
    """Return a template of the library, or nothing where none was asked for."""
    if name is None:
        return {}
    known = library_templates()
    if not isinstance(name, str) or name not in known:
        raise SettingsError(f"{place}: library: no template '{name}'; {nearest(str(name), known)}")
    return known[name]


class _Filled:
    """Fills the places of one row in, and remembers which columns were used."""

    def __init__(self, row: Mapping[str, object], place: str) -> None:
        self._row = row
        self._place = place
        self.used: set[str] = set()

    def value(self, value: object, key: str) -> object:
        """Return a value of the template with this row's columns in it."""
        if isinstance(value, str):
            if whole := _PLACE.fullmatch(value):
                return self._column(whole[1], key)
            return _PLACE.sub(lambda found: self._written(found[1], key), value)
        if isinstance(value, list):
            return [self.value(each, key) for each in value]
        if isinstance(value, dict):
            return {
                _PLACE.sub(lambda found: self._written(found[1], key), name): self.value(each, key)
                for name, each in value.items()
            }
        return value

    def _column(self, name: str, key: str) -> object:
        if name not in self._row:
            raise SettingsError(
                f"{self._place}: {key}: no column '{name}'; {nearest(name, self._row)}"
            )
        self.used.add(name)
        return self._row[name]

    def _written(self, name: str, key: str) -> str:
        column = self._column(name, key)
        if isinstance(column, bool) or not isinstance(column, str | int | float):
            raise SettingsError(f"{self._place}: {key}: column '{name}' is no text and no number")
        # a name with a dot or a plus in it must not become a pattern by accident
        return str(re2.escape(str(column))) if key == "pattern" else str(column)
