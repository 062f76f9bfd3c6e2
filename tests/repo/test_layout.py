"""The shape of the repository: folders, imports, sizes, names, versions."""

import ast
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.repo import javascript, tree

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
BANNED_NAMES = {"utils.py", "util.py", "common.py", "helpers.py", "helper.py", "misc.py"}


def test_pyproject_lists_the_packages_on_disk_and_never_tests():
    listed = tree.project()["tool"]["setuptools"]["packages"]
    assert sorted(listed) == tree.packages()
    assert not [name for name in listed if name.split(".")[0] == "tests"]


def test_import_contracts_name_packages_and_modules_that_exist():
    config = tree.project()["tool"]["importlinter"]
    roots = sorted({name.split(".")[0] for name in tree.packages()})
    assert sorted(config["root_packages"]) == roots
    ours = [
        module
        for contract in config["contracts"]
        for key in ("modules", "source_modules", "forbidden_modules")
        for module in contract.get(key, [])
        if module.split(".")[0] in roots
    ]
    assert ours
    missing = [module for module in ours if not _exists(module)]
    assert not missing


def _exists(module: str) -> bool:
    path = tree.ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_a_folder_says_what_it_is_for_and_exports_nothing():
    inits = [path for path in tree.files() if path.name == "__init__.py"]
    assert inits
    for path in inits:
        module = tree.parsed(path)
        documented = ast.get_docstring(module) is not None
        assert documented or path not in tree.sources(), f"{tree.place(path)}: no docstring"
        assert len(module.body) == documented, f"{tree.place(path)}: holds more than its docstring"


def test_modules_say_what_they_are_for():
    silent = [tree.place(p) for p in tree.sources() if not ast.get_docstring(tree.parsed(p))]
    assert not silent


def test_python_files_and_functions_stay_short():
    long = []
    for path in tree.named(".py"):
        lines = tree.text(path).count("\n")
        long += [f"{tree.place(path)}: {lines} lines"] if lines > FILE_LINES_MAX else []
        for node in ast.walk(tree.parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    long.append(f"{tree.place(path)}: {node.name} has {length} lines")
    assert not long


def test_javascript_files_and_functions_stay_short():
    web = tree.ROOT / "player" / "web"
    own = [p for p in tree.named(".js") if p.is_relative_to(web) and "vendor" not in p.parts]
    assert own
    for path in own:
        assert tree.text(path).count("\n") <= FILE_LINES_MAX, tree.place(path)
        for name, length in javascript.functions(tree.text(path)):
            assert length <= FUNCTION_LINES_MAX, f"{tree.place(path)}: {name} has {length} lines"


def test_functions_of_javascript_are_found():
    code = 'const f = (a) => {\n  if (a) { return "}"; }\n  // }\n};\nfunction g() { return 1; }\n'
    assert javascript.functions(code) == [("f", 4), ("g", 1)]


def test_a_thing_lives_with_its_owner():
    assert not [tree.place(path) for path in tree.files() if path.name in BANNED_NAMES]


def test_imports_are_absolute():
    for path in tree.named(".py"):
        for node in ast.walk(tree.parsed(path)):
            assert not (isinstance(node, ast.ImportFrom) and node.level), (
                f"{tree.place(path)}:{node.lineno}: relative import"
            )


def test_packages_write_to_the_log_or_to_a_stream_they_name():
    for path in tree.sources():
        for node in ast.walk(tree.parsed(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                named = {keyword.arg for keyword in node.keywords}
                assert "file" in named, f"{tree.place(path)}:{node.lineno}: print to no stream"


def test_the_version_is_the_newest_of_the_changelog():
    changelog = tree.text(tree.ROOT / "CHANGELOG.md")
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)
    assert newest and newest[1] == tree.project()["project"]["version"]


def test_locks_pin_what_pyproject_asks_for():
    project = tree.project()["project"]
    runtime, dev = _locked("requirements.lock"), _locked("requirements-dev.lock")
    wanted = project["dependencies"]
    _assert_pinned(runtime, wanted)
    _assert_pinned(dev, wanted + project["optional-dependencies"]["dev"])
    differing = {name for name, version in runtime.items() if dev.get(name) != version}
    assert not differing, "the two locks pin different versions"


def _locked(name: str) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in tree.text(tree.ROOT / name).splitlines()]
    pins = {}
    for line in filter(None, lines):
        pin = re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;]+)(?:\s*;.*)?", line)
        assert pin, f"{name}: {line!r} is not one package and one version"
        pins[canonicalize_name(pin[1])] = pin[2]
    return pins


def _assert_pinned(pins: dict[str, str], wanted: list[str]) -> None:
    for requirement in map(Requirement, wanted):
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"
