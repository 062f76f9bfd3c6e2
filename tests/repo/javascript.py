"""Where functions of a JavaScript file begin and end; enough for measuring their length."""

import re

_NOISE = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`", re.DOTALL
)
_HEAD = re.compile(
    r"(?:function\s*(?P<named>\w*)\s*\([^{}]*\)"
    r"|(?:(?P<value>\w+)\s*=\s*)?(?:async\s*)?(?:\([^()]*\)|\w+)\s*=>"
    r"|^[ \t]*(?:static |async |get |set )*(?!(?:if|for|while|switch|catch|with)\b)"
    r"(?P<method>#?\w+)\s*\([^;{}]*\))\s*\{",
    re.MULTILINE,
)


def functions(code: str) -> list[tuple[str, int]]:
    """Name (or `=>`) and number of lines of each function with a body in braces."""
    plain = _NOISE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), code)
    return [_measure(plain, head) for head in _HEAD.finditer(plain)]


def _measure(plain: str, head: re.Match[str]) -> tuple[str, int]:
    start = len(head[0]) - len(head[0].lstrip()) + head.start()
    depth, at = 1, head.end()
    while depth and at < len(plain):
        depth += {"{": 1, "}": -1}.get(plain[at], 0)
        at += 1
    name = head["named"] or head["value"] or head["method"] or "=>"
    return name, plain.count("\n", start, at) + 1
