"""From text to a checked tree; what the words mean is in `fieldvote.expressions`.

A grammar of its own, and not Python's with names taken out: what is not written here cannot be
said, in any version of any interpreter.
"""

import math
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple, NoReturn

from fieldvote.errors import SettingsError, nearest, quoted
from fieldvote.expressions import (
    DEEPEST,
    FUNCTIONS,
    LONGEST,
    MOST_STEPS,
    SIGNATURES,
    Expression,
    Type,
)

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
      | (?P<word>[A-Za-z_]\w*)
      | `(?P<quoted>[^`\n]+)`
      | (?P<date>"[^"\n]*"|'[^'\n]*')
      | (?P<sign><=|>=|==|!=|[-+*/%<>(),])
    )""",
    re.VERBOSE | re.ASCII,
)
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_RESERVED = ("and", "or", "not", "in")


def parse_expression(text: str, dates: Collection[str] = ()) -> Expression:
    """Return the tree of an expression, typed and within its limits.

    Args:
        text: The expression.
        dates: Names of the fields that are dates; the others are numbers.

    Raises:
        SettingsError: It is no expression, its types do not fit, or it is too large; the message
            tells the position, counted from 1.

    >>> print(parse_expression("speed>2*limit and not missing(limit)"))
    ((`speed` > (2.0 * `limit`)) and (not missing(`limit`)))
    >>> parse_expression("speed > ")
    Traceback (most recent call last):
    fieldvote.errors.SettingsError: at 9: expected a value, got the end
    """
    if len(text) > LONGEST:
        raise SettingsError(f"is {len(text)} characters long, expected at most {LONGEST}")
    return _Parser(text, dates).whole()


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Parser:
    """Recursive descent, one method for each level of binding."""

    def __init__(self, text: str, dates: Collection[str]) -> None:
        self._dates = dates
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0
        self._steps = 0

    def whole(self) -> Expression:
        found = self._either()
        if self._next.kind != "end":
            self._fail(f"expected an operator or the end, got {quoted(self._next.text)}")
        return found

    def _either(self) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"nested more than {DEEPEST} deep")
        left = self._both()
        while self._take("or"):
            left = self._made("or", left, self._both())
        self._depth -= 1
        return left

    def _both(self) -> Expression:
        left = self._negated()
        while self._take("and"):
            left = self._made("and", left, self._negated())
        return left

    def _negated(self) -> Expression:
        turns = 0
        while self._take("not"):
            turns += 1
        found = self._compared()
        for _ in range(turns):
            found = self._made("not", found)
        return found

    def _compared(self) -> Expression:
        left = self._sum()
        found: Expression | None = None
        while self._next.text in (*_COMPARISONS, "in", "not") and self._next.kind != "quoted":
            sign = self._advance().text
            if sign in _COMPARISONS:
                right = self._sum()
                one = self._made(sign, left, right)
                left = right
            else:
                if sign == "not":
                    self._expect("in")
                one = self._member(left)
                if sign == "not":
                    one = self._made("not", one)
            found = one if found is None else self._made("and", found, one)
        return left if found is None else found

    def _member(self, item: Expression) -> Expression:
        self._expect("(")
        options = [self._literal()]
        while self._take(","):
            options.append(self._literal())
        self._expect(")")
        for option in options:
            if option.type is not item.type or item.type is Type.TRUTH:
                self._fail(f"{item.type.value} cannot be in a list with {option.type.value}")
        return self._counted(Expression("in", Type.TRUTH, (item, *options)))

    def _literal(self) -> Expression:
        sign = -1.0 if self._take("-") else 1.0
        if self._next.kind not in ("number", "date") or (sign < 0 and self._next.kind == "date"):
            self._fail(f"expected a number or a date, got {_shown(self._next)}")
        found = self._value()
        return Expression("literal", found.type, value=sign * found.value)

    def _sum(self) -> Expression:
        left = self._product()
        while self._next.text in ("+", "-"):
            left = self._made(self._advance().text, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while self._next.text in ("*", "/", "%"):
            left = self._made(self._advance().text, left, self._signed())
        return left

    def _signed(self) -> Expression:
        turns = 0
        while self._take("-"):
            turns += 1
        found = self._value()
        for _ in range(turns):
            found = self._made("negate", found)
        return found

    def _value(self) -> Expression:
        token = self._advance()
        match token.kind:
            case "number":
                number = float(token.text)
                if not math.isfinite(number):
                    self._fail("a number too large to hold", token)
                return self._counted(Expression("literal", Type.NUMBER, value=number))
            case "date":
                return self._counted(Expression("literal", Type.DATE, value=self._seconds(token)))
            case "word" if self._next.text == "(" and token.text not in _RESERVED:
                return self._call(token)
            case "word" | "quoted" if token.kind == "quoted" or token.text not in _RESERVED:
                kind = Type.DATE if token.text in self._dates else Type.NUMBER
                return self._counted(Expression("field", kind, name=token.text))
            case "sign" if token.text == "(":
                found = self._either()
                self._expect(")")
                return found
        self._fail(f"expected a value, got {_shown(token)}", token)

    def _call(self, name: _Token) -> Expression:
        if name.text not in FUNCTIONS:
            self._fail(f"no function {quoted(name.text)}; {nearest(name.text, FUNCTIONS)}", name)
        self._expect("(")
        parts = [self._either()]
        while self._take(","):
            parts.append(self._either())
        self._expect(")")
        if name.text == "missing" and parts[0].operator != "field":
            self._fail("missing() takes a field", name)
        return self._made(name.text, *parts, at=name)

    def _made(self, operator: str, *parts: Expression, at: _Token | None = None) -> Expression:
        """Return a node whose type follows from its parts."""
        given = tuple(part.type for part in parts)
        for wanted, becomes in SIGNATURES[operator]:
            if given == wanted:
                return self._counted(Expression(operator, becomes, parts))
        options = " or ".join(
            " and ".join(each.value for each in wanted) for wanted, _ in SIGNATURES[operator]
        )
        got = " and ".join(each.value for each in given)
        hint = ""
        if Type.DATE in {each for wanted, _ in SIGNATURES[operator] for each in wanted}:
            hint = "; the contract says which fields are dates"
        self._fail(f"'{operator}' takes {options}, got {got}{hint}", at)

    def _counted(self, node: Expression) -> Expression:
        """Count a node that was made, and stop at the limit."""
        self._steps += len(node.parts) if node.operator == "in" else 1
        if self._steps > MOST_STEPS:
            self._fail(f"more than {MOST_STEPS} steps")
        return node

    def _seconds(self, token: _Token) -> float:
        """Read an ISO date; without a zone it is UTC."""
        try:
            read = datetime.fromisoformat(token.text[1:-1])
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self._fail(f'{token.text} is not a date as in "2024-05-31"', token)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _advance(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._place += 1
        return token

    def _take(self, text: str) -> bool:
        found = self._next.kind in ("word", "sign") and self._next.text == text
        if found:
            self._place += 1
        return found

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self._fail(f"expected '{text}', got {_shown(self._next)}")

    def _fail(self, said: str, at: _Token | None = None) -> NoReturn:
        raise SettingsError(f"at {(at or self._next).at + 1}: {said}")


def _tokens(text: str) -> list[_Token]:
    """Cut a text into words, numbers and signs."""
    found = []
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise SettingsError(f"at {at + 1}: unexpected '{text[at]}'")
        kind = match.lastgroup
        found.append(_Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return [*found, _Token("end", "", len(text))]


def _shown(token: _Token) -> str:
    """Return a token as a message names it."""
    return "the end" if token.kind == "end" else quoted(token.text)
