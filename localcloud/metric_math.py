"""Metric math as far as arithmetic goes: numbers, ids, + - * /, parentheses, and FILL(id, number)."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Expression:
    """NotImplementedError where it is more than that."""

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise self._unknown() from error
        self._check(self._tree)

    def __call__(self, values: Mapping[str, float | None]) -> float | None:
        """None where a datapoint is missing that is not filled in, or where it divides by 0."""
        return self._compute(self._tree, values)

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.BinOp(left, kind, right) if type(kind) in _OPERATORS:
                self._check(left)
                self._check(right)
            case ast.UnaryOp(ast.USub(), operand):
                self._check(operand)
            case ast.Constant(int() | float()) | ast.Name():
                pass
            case ast.Call(ast.Name("FILL"), [filled, ast.Constant(int() | float())], []):
                self._check(filled)
            case _:
                raise self._unknown()

    def _compute(self, node: ast.expr, values: Mapping[str, float | None]) -> float | None:
        match node:
            case ast.BinOp(left, kind, right):
                one, other = self._compute(left, values), self._compute(right, values)
                if one is None or other is None or (isinstance(kind, ast.Div) and other == 0):
                    return None
                return _OPERATORS[type(kind)](one, other)
            case ast.UnaryOp(_, operand):
                found = self._compute(operand, values)
                return None if found is None else -found
            case ast.Constant(int() | float() as number):
                return float(number)
            case ast.Call(_, [filled, ast.Constant(int() | float() as number)], _):
                found = self._compute(filled, values)
                return float(number) if found is None else found
            case ast.Name(name):
                return values.get(name)
        raise AssertionError(node)

    def _unknown(self) -> NotImplementedError:
        return NotImplementedError(
            f'metric math "{self._text}"; numbers, ids, + - * / and FILL(id, number) are'
        )
