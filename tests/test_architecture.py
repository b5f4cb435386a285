"""Modules import each other in one direction alone, whether at once, lazily or for their types only."""

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.support.paths import ROOT

PACKAGES = ("pipeline", "extractors", "sequence_models", "data", "tasks")


def modules() -> dict[str, Path]:
    """File of every module, by dotted name."""
    paths = chain.from_iterable((ROOT / package).rglob("*.py") for package in PACKAGES)
    return {_dotted(path): path for path in paths}


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def named(path: Path) -> Iterator[str]:
    """Full names that a file imports anywhere in it, of modules and of what is in them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not followed here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(path: Path, known: set[str]) -> set[str]:
    """Modules that a file imports anywhere in it; a name that is no module stands for its package."""
    names = set(named(path))
    return {name if name in known else name.rpartition(".")[0] for name in names} & known


def components(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Strongly connected components of more than one module: Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[set[str]]:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                yield from visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            place = stack.index(module)
            component = set(stack[place:])
            del stack[place:]
            if len(component) > 1:
                yield component

    for module in graph:
        if module not in index:
            yield from visit(module)


def graph() -> dict[str, set[str]]:
    """What each module imports: eagerly, in functions, and under ``TYPE_CHECKING``."""
    known = modules()
    return {name: imported(path, set(known)) - {name} for name, path in known.items()}


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert [sorted(component) for component in components(graph())] == []


def test_a_circle_is_seen() -> None:
    circle = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert list(components(circle)) == [{"a", "b", "c"}]


def test_all_kinds_of_imports_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "here.py"
    path.write_text(
        "import a\nfrom p import b, function\n"
        "if TYPE_CHECKING:\n    from p.c import Kind\n"
        "def lazily():\n    from d import e\n"
    )
    assert imported(path, {"a", "p", "p.b", "p.c", "d", "d.e", "f"}) == {"a", "p", "p.b", "p.c", "d.e"}


def test_the_machinery_has_few_entries() -> None:
    marks = {"__pycache__", "py.typed"}
    assert len([path for path in (ROOT / "pipeline").iterdir() if path.name not in marks]) <= 16


def test_no_file_imports_a_test() -> None:
    """What several tests need lies in ``tests/support``."""
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert len(files) > 80
    for path in files:
        for name in named(path):
            first, *rest = name.split(".")
            assert first != "tests" or rest[:1] in ([], ["support"]), f"{path} imports {name}"
            assert not first.startswith("test_"), f"{path} imports {name}"
