# SPDX-License-Identifier: Apache-2.0
"""The house is in order: one name on every level, imports in one direction, commands and paths that exist."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]

ARROW = ["core", "structures", "ops", "renderer", "io", "models", "patina3d"]
"""Packages; each may use those before it."""

CRATES = {
    "core": set(),
    "structures": {"core"},
    "ops": {"core", "structures"},
    "renderer": {"core", "structures", "ops"},
    "io": set(),
    "emulator": set(),
    "python": {"core", "structures", "ops", "renderer", "io", "emulator"},
}
"""What each crate may depend on. Tests of a crate may use any."""

AGAINST_THE_ARROW = {
    ("patina3d.structures.pointclouds.pointclouds", "patina3d.ops"),  # Pointclouds.estimate_normals
    ("patina3d.utils.camera_conversions", "patina3d.renderer"),  # the cameras it converts
    ("patina3d.utils.checkerboard", "patina3d.renderer"),  # its textures
}
"""(module, imported module): what PyTorch3D has in a place from which it needs a package further right. They import
inside the function and say what to install where it is absent."""

FIND_OP = ROOT / "tools/find_op.py"


def _find_op():
    spec = importlib.util.spec_from_file_location("find_op", FIND_OP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OPERATORS = _find_op().operators()
MACHINERY = _find_op().machinery()


def _files(*patterns: str) -> list[Path]:
    """What git knows of, and what it would take in; where there is no repository, what lies in the source folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8").stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git repository: nothing says which files are sources")
    return sorted(path for name in listed if name and (path := ROOT / name).is_file())


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# One operator, one name


@pytest.mark.parametrize("operator", [*OPERATORS, *MACHINERY], ids=lambda operator: operator.name)
class TestKernels:
    def test_stand_on_every_level(self, operator):
        missing = [f"create {_relative(room.path)} ({room.level})" for room in operator.rooms() if not room.exists]
        assert not missing, f"{operator.name}: " + "; ".join(missing)

    def test_are_known_to_the_native_module(self, operator):
        package, name = operator
        patterns = {
            f"crates/{package}/src/lib.rs": rf"^pub mod {name};",
            "crates/python/src/device.rs": rf"&patina3d_{package}::{name}::MODULE\b",
        }
        if operator in OPERATORS:
            patterns[f"crates/python/src/{package}/mod.rs"] = rf"^mod {name};"
        for file, pattern in patterns.items():
            assert re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (
                f"{file} must contain {pattern}"
            )

    def test_and_params_are_named_after_their_folder(self, operator):
        kernels = re.findall(r"\.entry (\w+)\(", _text(operator, "{}.ptx"))
        assert kernels, f"{operator.name}.ptx has no kernel"
        strangers = [kernel for kernel in kernels if not kernel.startswith(f"{operator.name}_")]
        assert not strangers, f"kernels of {operator.name}.cu must be named {operator.name}_<pass>..., not {strangers}"
        assert f"struct {operator.params} " in _text(operator, "{}.h"), f"{operator.name}.h: no {operator.params}"
        assert f"struct {operator.params} " in _text(operator, "cuda.rs"), f"cuda.rs: no {operator.params}"

    def test_have_a_test_of_the_shared_struct(self, operator):
        tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "crates/emulator/tests").glob("*.rs"))
        assert f"{operator.params}::layout()" in tests, f"no test in crates/emulator/tests compares {operator.params}"


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_a_contract_points_at_definition_and_page(operator):
    contract, rooms = _text(operator, "mod.rs"), {room.level: room.path for room in operator.rooms()}
    for level in ("definition", "page"):
        path = _relative(rooms[level])
        assert f"`{path}`" in contract, f"{operator.name}/mod.rs must name its {level}, `{path}`"


def test_machinery_and_operators_share_no_name():
    names = [operator.name for operator in [*OPERATORS, *MACHINERY]]
    assert sorted(set(names)) == sorted(names), "modules are loaded by name"


def _text(operator, file: str) -> str:
    return operator.native(file.format(operator.name)).read_text(encoding="utf-8")


def test_find_op_shows_the_rooms_of_an_operator():
    done = subprocess.run([sys.executable, FIND_OP, "knn"], capture_output=True, check=False, encoding="utf-8")
    assert "✓ kernel        crates/ops/src/knn/knn.cu" in done.stdout


def test_every_kernel_file_belongs_to_an_operator():
    homes = {operator.native(f"{operator.name}.cu") for operator in [*OPERATORS, *MACHINERY]}
    strays = [_relative(path) for path in _files("crates/*/src/**/*.cu") if path not in homes]
    assert not strays, f"a kernel lies in a folder of its own name in a crate with operators: move {strays}"


# The arrow


def _imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_relative(path)}:{node.lineno}: imports name the whole module"
            found |= {node.module or ""}
            if node.module == "patina3d":
                found |= {f"patina3d.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            found |= {name.value for name in node.args if isinstance(name, ast.Constant)}
    return {name for name in found if name.startswith("patina3d.")}


def _homes() -> dict[str, str]:
    """The package in which each importable name under patina3d lies."""
    return {
        folder.name: package for package in ARROW for folder in (ROOT / f"packages/{package}/src/patina3d").glob("*/")
    }


@pytest.mark.parametrize("package", ARROW)
def test_python_imports_follow_the_arrow(package):
    homes, source = _homes(), ROOT / f"packages/{package}/src"
    wrong = []
    for path in sorted(source.rglob("*.py")):
        module = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for imported in sorted(_imports(path)):
            home = homes.get(imported.split(".")[1])
            if home is None:
                wrong.append(f"{_relative(path)} imports {imported}, which is in no package")
            elif ARROW.index(home) > ARROW.index(package) and (module, imported) not in AGAINST_THE_ARROW:
                wrong.append(f"{_relative(path)} ({package}) imports {imported} ({home}): {' <- '.join(ARROW)}")
    assert not wrong, "\n".join(wrong)


def test_exceptions_to_the_arrow_are_in_use():
    for module, imported in sorted(AGAINST_THE_ARROW):
        files = [path for path in _files("packages/*/src/**/*.py") if _module(path) == module]
        assert any(imported in _imports(path) for path in files), f"{module} no longer imports {imported}"


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[3:]).removesuffix(".__init__")


@pytest.mark.parametrize("package", ARROW)
def test_packages_depend_on_what_they_import(package):
    declared = {
        requirement.split("==")[0].removeprefix("patina3d-")
        for requirement in _toml(f"packages/{package}/pyproject.toml")["project"]["dependencies"]
        if requirement.startswith("patina3d-")
    }
    backwards = {name for name in declared if ARROW.index(name) >= ARROW.index(package)}
    assert not backwards, f"packages/{package}/pyproject.toml: {backwards} are not left of {package}"
    homes = _homes()
    used = {
        homes.get(imported.split(".")[1])
        for path in (ROOT / f"packages/{package}/src").rglob("*.py")
        for imported in _imports(path)
        if (_module(path), imported) not in AGAINST_THE_ARROW
    }
    undeclared = sorted(used - {None, package} - declared)
    assert not undeclared, f"packages/{package}/pyproject.toml must depend on patina3d-{', patina3d-'.join(undeclared)}"


@pytest.mark.parametrize("crate", sorted(path.parent.name for path in ROOT.glob("crates/*/Cargo.toml")))
def test_crates_follow_the_arrow(crate):
    assert crate in CRATES, f"say in {Path(__file__).name} what crates/{crate} may depend on"
    manifest = _toml(f"crates/{crate}/Cargo.toml")
    assert manifest["package"]["name"] == f"patina3d-{crate}"
    names = manifest.get("dependencies", {})
    depends = {name.removeprefix("patina3d-") for name in names if name.startswith("patina3d-")}
    assert depends <= CRATES[crate], f"crates/{crate} must not depend on {sorted(depends - CRATES[crate])}"


@pytest.mark.parametrize("crate", sorted(path.parent.name for path in ROOT.glob("crates/*/Cargo.toml")))
def test_only_the_core_knows_cuda(crate):
    depends = _toml(f"crates/{crate}/Cargo.toml").get("dependencies", {})
    assert crate == "core" or "cudarc" not in depends, f"crates/{crate}: only crates/core depends on cudarc"


def _toml(name: str) -> dict:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def test_nobody_owns_the_namespace():
    owners = [_relative(path) for path in ROOT.glob("packages/*/src/patina3d/__init__.py")]
    assert not owners, f"patina3d is a namespace (PEP 420): remove {owners}"


def test_every_package_is_whole():
    for package in ARROW:
        declared = _toml(f"packages/{package}/pyproject.toml")["project"]
        assert declared["name"] == ("patina3d" if package == "patina3d" else f"patina3d-{package}")
        assert (ROOT / f"packages/{package}/README.md").is_file(), f"create packages/{package}/README.md"
        for folder in (ROOT / f"packages/{package}/src/patina3d").glob("*/__init__.py"):
            assert folder.with_name("py.typed").is_file(), f"create {_relative(folder.with_name('py.typed'))}"


def test_versions_agree():
    version = _toml("Cargo.toml")["workspace"]["package"]["version"]
    for package in ARROW:
        project = _toml(f"packages/{package}/pyproject.toml")["project"]
        pins = {pin.split("==")[1] for pin in project["dependencies"] if pin.startswith("patina3d")}
        assert {project["version"], *pins} == {version}, (
            f"packages/{package}/pyproject.toml: all versions are {version}"
        )


# Tests and benches stand where their subjects do


@pytest.mark.parametrize("shape", ["tests", "benches"])
def test_folders_have_the_shape_of_packages(shape):
    homes = {folder.name for package in ARROW for folder in (ROOT / f"packages/{package}/src/patina3d").glob("*/")}
    others = {"support", "results", "upstream", "patina3d", "__pycache__"}
    strangers = {folder.name for folder in (ROOT / shape).glob("*/")} - homes - others
    assert not strangers, f"{shape}/ has folders for no package: {sorted(strangers)}"


# Sources

LICENCE = "SPDX-License-Identifier: Apache-2.0"
SOURCES = ["*.py", "*.pyi", "*.rs", "*.cu", "*.cuh", "*.h", "*.cpp", "*.sh", "justfile", "justw", ".ci/run"]


def test_every_source_names_its_licence():
    without = [
        _relative(path)
        for path in _files(*SOURCES)
        if LICENCE not in "\n".join(path.read_text(encoding="utf-8").splitlines()[:2])
    ]
    assert not without, f"begin with a line `{LICENCE}`: {without}"


HOME = re.compile(r"(?<![\w./-])/(?:home|root|Users|work|tmp)/(?!\.)[\w-]+")
TODO = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [(HOME, "names a path of one machine"), (TODO, "leaves work without an issue: write TODO(#12)")],
    ids=["paths", "todos"],
)
def test_sources_speak_of_themselves(pattern, why):
    found = [
        f"{_relative(path)}:{number}: {line.strip()}"
        for path in _files(*SOURCES, "*.md", "*.toml")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, f"{why}:\n" + "\n".join(found)


# Commands and pages

RECIPE = re.compile(r"^([a-z][\w-]*)(?: [^:]*)?:(?!=)", re.MULTILINE)
PAGES = ["*.md"]


def _recipes() -> list[str]:
    return RECIPE.findall((ROOT / "justfile").read_text(encoding="utf-8"))


def test_every_recipe_says_what_it_does():
    lines = (ROOT / "justfile").read_text(encoding="utf-8").splitlines()
    for recipe in _recipes():
        at = next(number for number, line in enumerate(lines) if re.match(rf"{recipe}\b.*:", line))
        above = [line for line in lines[:at] if not line.startswith("[")]
        assert above[-1].startswith("# "), f"justfile: one line of comment above {recipe}"


def test_pages_name_commands_that_exist():
    recipes = set(_recipes())
    wrong = [
        f"{_relative(page)}: just {recipe}"
        for page in _files(*PAGES)
        for recipe in re.findall(
            r"(?:^|`)(?:\./justw|just) ([a-z][\w-]*)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
        if recipe not in recipes
    ]
    assert not wrong, f"there are no such recipes: {wrong}"


def test_the_readme_names_the_commands_to_start():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "./justw demo" in text
    assert "./justw test" in text


IN_THE_HOUSE = re.compile(
    r"(?:crates|packages|tests|benches|docs|tools)/[\w./-]*|[\w.-]+\.(?:md|toml|lock)|justw|justfile"
)


def test_pages_name_files_that_exist():
    wrong = []
    for page in _files(*PAGES):
        text = page.read_text(encoding="utf-8")
        paths = [path for path in re.findall(r"`([^`\s]+)`", text) if IN_THE_HOUSE.fullmatch(path)]
        links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
        wrong += [f"{_relative(page)}: `{path}`" for path in paths if not _somewhere(page, path)]
        wrong += [f"{_relative(page)}: ({link})" for link in links if not (page.parent / link).exists()]
    assert not wrong, "there are no such files:\n" + "\n".join(wrong)


def _somewhere(page: Path, path: str) -> bool:
    return any((folder / path).exists() for folder in (ROOT, page.parent))


def test_ci_runs_the_test_command():
    assert re.search(r"^exec \./justw test\b", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
