"""The house: who may import whom, and how long a file may be.

What is read is the source alone, imports inside functions included.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRODUCT = ("xabl", "checkpoints_conversion", "experiments")
LONGEST = 400  # lines

# The storeys are those of the page; one statement serves readers and this test.
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@functools.cache
def rooms() -> dict[str, tuple[int, str]]:
    """Storey and room by what the names of a room's modules begin with.

    A room is written `xabl/models`, or `xabl/ablation/{run,inputs}` for some files.
    """
    found = {}
    for storey, cell in re.findall(r"^\| (\d+) \| (.*?) \|", PAGE, re.M):
        for room in re.findall(r"`(.+?)`", cell):
            stem, _, files = room.replace("/", ".").partition("{")
            for file in files.removesuffix("}").split(","):
                found[stem + file] = int(storey), room
    return found


@functools.cache
def modules() -> dict[str, Path]:
    """Every file of the product, by the name it is imported by."""
    found = {}
    for package in PRODUCT:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[: -1 if parts[-1] == "__init__" else None])] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Modules of the product that a file imports by name, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [n if n in modules() else node.module for n in inside]
        else:
            continue
        yield from (name for name in names if name in modules())


@functools.cache
def imports() -> dict[str, frozenset[str]]:
    return {name: frozenset(imported(path)) for name, path in modules().items()}


def place(module: str) -> tuple[int, str]:
    """Storey and room of a module: those of the longest name that it begins with."""
    while module not in rooms():
        module = module.rpartition(".")[0]
    return rooms()[module]


def test_every_room_is_there():
    assert {place(module) for module in modules()} == set(rooms().values())


def test_nothing_imports_upward():
    wrong = []
    for module, others in imports().items():
        storey, room = place(module)
        for other in others:
            its_storey, its_room = place(other)
            if its_room != room and its_storey >= storey:
                wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_no_files_import_in_a_circle():
    left = {module: set(others) - {module} for module, others in imports().items()}
    while free := [module for module, others in left.items() if not others]:
        for module in free:
            del left[module]
        for others in left.values():
            others.difference_update(free)
    assert left == {}  # each of these imports another one of them


def test_no_file_is_long():
    files = [
        path
        for folder in (*PRODUCT, "benchmarks", "tests")
        for suffix in ("py", "js", "css", "html")
        for path in (ROOT / folder).rglob(f"*.{suffix}")
    ]
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().split("\n")) - 1
        for path in files
    }
    assert {name: n for name, n in lines.items() if n > LONGEST} == {}
