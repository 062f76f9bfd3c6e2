"""What is in the repository: files, packages, Markdown. Read once, for the tests beside it."""

import ast
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".git", ".venv", "node_modules", "build", "dist", "__pycache__")


@cache
def files() -> tuple[Path, ...]:
    """Files that are tracked, or would be; without git every file that is not built."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = [ROOT / line for line in done.stdout.splitlines()]
    except (OSError, subprocess.CalledProcessError):
        found = [p for p in ROOT.rglob("*") if not set(p.parts) & set(LEFT_OUT)]
    return tuple(sorted(path for path in found if path.is_file()))


def named(*suffixes: str) -> list[Path]:
    return [path for path in files() if path.suffix in suffixes]


def place(path: Path) -> str:
    """As messages name it."""
    return path.relative_to(ROOT).as_posix()


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(text(path), str(path))


@cache
def project() -> dict:
    """`pyproject.toml`."""
    return tomllib.loads(text(ROOT / "pyproject.toml"))


def packages() -> list[str]:
    """Folders with an `__init__.py`, by dotted name; `tests` is none of the distribution."""
    folders = [path.parent.relative_to(ROOT) for path in files() if path.name == "__init__.py"]
    return sorted(".".join(folder.parts) for folder in folders if folder.parts[0] != "tests")


def sources() -> list[Path]:
    """Python files of the packages."""
    roots = {name.partition(".")[0] for name in packages()}
    return [path for path in named(".py") if path.relative_to(ROOT).parts[0] in roots]


def pages() -> list[Path]:
    """The Markdown of the project."""
    return named(".md")


_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [body for name, body in _FENCE.findall(text(page)) if name == language]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", text(page))


def commands(page: Path) -> Iterator[list[str]]:
    """Every command line shown, in a block or in backticks, as words; `\\` joins lines."""
    shown = [line for body in blocks(page, "sh") for line in body.replace("\\\n", " ").splitlines()]
    for line in [*shown, *_CODE.findall(prose(page))]:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # not a command: code with a quote in it
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words:
            yield words


def anchors(page: Path) -> set[str]:
    """What `#...` can name in a page, made from its headings as GitHub does."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found
