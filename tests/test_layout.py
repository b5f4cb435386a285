"""Where tests lie: what several of them need is in tests/support, and none imports another."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT


def imported(path: Path) -> Iterator[str]:
    """The full names of the modules that a file may import, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (module, *(f"{module}.{alias.name}" for alias in node.names))


def test_no_file_imports_a_test() -> None:
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert len(files) > 80
    for path in files:
        for name in imported(path):
            first, *rest = name.split(".")
            assert first, f"{path}: a relative import, {name}"
            assert first != "tests" or rest[:1] in ([], ["support"]), f"{path} imports {name}"
            assert not first.startswith("test_"), f"{path} imports {name}"
