"""A module imports only from its own level and from the levels below it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "realnvp_jax"
MOST_LINES = 300

LEVELS = (  # from the bottom up; a name is that of a folder
    "arrays",  # the modules of the top folder
    "networks",
    "bijections",
    "models",
    "package",  # realnvp_jax itself, whose names everything above may use
    "compression",
    "data",
    "training",
    "interop",
    "configs",
    "plots",
    "runs",
    "analysis",
    "cli",
)


def module_name(path: Path) -> str:
    """realnvp_jax.models.flow, or realnvp_jax.models for an __init__.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


CONFIGS = (PACKAGE / "configs").glob("*.py")  # behind a link, which rglob does not follow
MODULES = {module_name(path): path for path in sorted({*PACKAGE.rglob("*.py"), *CONFIGS})}


def level(module: str) -> int:
    parts = module.split(".")
    if module == "realnvp_jax":
        return LEVELS.index("package")
    is_folder = len(parts) > 2 or MODULES[module].name == "__init__.py"
    return LEVELS.index(parts[1] if is_folder else "arrays")


def imports(tree: ast.AST) -> set[str]:
    """Modules of the package that are imported anywhere in a tree."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {nearest for name in found if (nearest := nearest_module(name))}


def nearest_module(name: str) -> str | None:
    """The module that a dotted name is, or is in; None outside of the package."""
    while name not in MODULES:
        if "." not in name:
            return None
        name = name.rpartition(".")[0]
    return name


def at_import_time(tree: ast.Module) -> ast.Module:
    """A module without what runs later or never: the bodies of functions, and `if TYPE_CHECKING`."""

    class Now(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

        visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # noqa: N815

        def visit_If(self, node):
            is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return None if is_for_types else self.generic_visit(node)

    return Now().visit(tree)


def arrows_up(module: str, source: str) -> list[str]:
    tree = ast.parse(source)
    if module == "realnvp_jax":  # `load`, `fit` and `train` are imported when they are used
        late = [name for name in imports(tree) if level(name) > LEVELS.index("runs")]
        tree = at_import_time(tree)
    else:
        late = []
    up = [name for name in imports(tree) if level(name) > level(module)]
    return [f"{module} ({LEVELS[level(module)]}) -> {name} ({LEVELS[level(name)]})" for name in sorted(up + late)]


def test_no_import_runs_up():
    found = [arrow for module, path in MODULES.items() for arrow in arrows_up(module, path.read_text())]
    assert not found, "imports that run up:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("realnvp_jax.models.flow", "import realnvp_jax.data.examples"),
        ("realnvp_jax.models.flow", "from realnvp_jax.training import steps"),
        ("realnvp_jax.models.flow", "from realnvp_jax.training.steps import train_step"),
        ("realnvp_jax.models.flow", "import realnvp_jax"),
        ("realnvp_jax.masks", "def f():\n    from realnvp_jax.models.flow import Flow"),
        ("realnvp_jax.training.fit", "from realnvp_jax.interop import sklearn"),
        ("realnvp_jax.training.fit", "if TYPE_CHECKING:\n    from realnvp_jax.runs import load"),
        ("realnvp_jax", "from realnvp_jax.runs.load import load"),
        ("realnvp_jax", "if TYPE_CHECKING:\n    from realnvp_jax.analysis.run import Run"),
    ],
)
def test_an_import_that_runs_up_is_found(module, source):
    assert len(arrows_up(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("realnvp_jax.models.flow", "from realnvp_jax import likelihood"),
        ("realnvp_jax.runs.load", "import realnvp_jax"),
        ("realnvp_jax.models.flow", "import jax.numpy as jnp"),
        ("realnvp_jax", "if TYPE_CHECKING:\n    from realnvp_jax.runs.load import load"),
    ],
)
def test_an_import_that_runs_down_is_allowed(module, source):
    assert arrows_up(module, source) == []


def test_no_module_is_long():
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    found = [f"{module}: {length}" for module, length in lengths.items() if length > MOST_LINES]
    assert not found, f"modules of more than {MOST_LINES} lines:\n" + "\n".join(found)
