"""What is installed is what is there, and what is imported is what is declared."""

import ast
from distutils.core import run_setup  # setuptools brings it where Python has dropped it
import importlib.util
from pathlib import Path
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

import demt_perception

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'demt_perception'
SOURCES = sorted(PACKAGE.rglob('*.py'))


@pytest.fixture(scope='module')
def distribution(request: pytest.FixtureRequest):
    """What setup.py says, without building anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return run_setup('setup.py', stop_after='init')


def manifest(folder: str = '.') -> ElementTree.Element:
    return ElementTree.parse(ROOT / folder / 'package.xml').getroot()


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition('.')[0])
    return names


def test_versions_agree(distribution):
    versions = {
        'package.xml': manifest().findtext('version'),
        'demt_msgs/package.xml': manifest('demt_msgs').findtext('version'),
        'setup.py': distribution.get_version(),
        '__init__.py': demt_perception.__version__,
    }
    assert len(set(versions.values())) == 1, versions


@pytest.mark.parametrize('folder', ['.', 'demt_msgs'])
@pytest.mark.filterwarnings('ignore')
def test_changelogs_can_be_released(folder):
    """catkin_prepare_release names the section Forthcoming by version and date."""
    catkin_pkg = pytest.importorskip('catkin_pkg.changelog', reason='catkin_pkg: make setup')
    text = (ROOT / folder / 'CHANGELOG.rst').read_text()
    title = f'Changelog for package {manifest(folder).findtext("name")}'
    assert text.splitlines()[:3] == ['^' * len(title), title, '^' * len(title)]
    released = text.replace('Forthcoming\n-----------',
                            f'{demt_perception.__version__} (2026-01-31)\n------------------')
    changelog = catkin_pkg.Changelog()
    catkin_pkg.populate_changelog_from_rst(changelog, released)
    version, _, (entries,) = next(iter(changelog.foreach_version()))
    assert version == demt_perception.__version__
    # Each entry begins a line of its own: one that is not indented well ends the list.
    assert len(list(entries)) == text.count('\n* ')


def test_manifest_and_setup_say_the_same(distribution):
    assert manifest().get('format') == '3'
    assert manifest().findtext('name') == distribution.get_name()
    assert manifest().findtext('license') == distribution.get_license()
    assert manifest().findtext('export/build_type') == 'ament_python'


def test_every_data_file_is_installed(distribution):
    installed = {file for _, files in distribution.data_files for file in files}
    wanted = {str(path.relative_to(ROOT)) for folder in ('launch', 'config', 'models')
              for path in (ROOT / folder).rglob('*')
              if path.is_file() and '__pycache__' not in path.parts}
    assert wanted <= installed
    assert {'package.xml', 'resource/demt_perception'} <= installed
    for target, files in distribution.data_files:
        for file in files:
            parent = str(Path(file).parent)
            if file not in ('package.xml', 'resource/demt_perception'):
                assert target == f'share/demt_perception/{parent}', file


def test_every_module_is_installed(distribution):
    packages = set(distribution.packages)
    for path in SOURCES:
        assert '.'.join(path.parent.relative_to(ROOT).parts) in packages, (
            f'{path}: its folder has no __init__.py')


def test_every_file_beside_the_modules_is_installed(distribution):
    matched = {path for package, patterns in distribution.package_data.items()
               for pattern in patterns
               for path in (ROOT / package.replace('.', '/')).glob(pattern)}
    for path in PACKAGE.rglob('*'):
        hidden = any(part.startswith('.') for part in path.relative_to(ROOT).parts)
        if path.is_file() and path.suffix not in ('.py', '.pyc') and not hidden:
            assert path in matched, path


def test_the_commands_exist(distribution):
    for line in distribution.entry_points['console_scripts']:
        module, function = re.fullmatch(r'\S+ = ([\w.]+):(\w+)', line).groups()
        spec = importlib.util.find_spec(module)
        assert spec is not None, f'{line}: there is no such module'
        tree = ast.parse(Path(spec.origin).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_extra_of_the_generated_world_brings_all_that_it_imports(distribution):
    named = {'cv2': 'opencv-python-headless', 'yaml': 'PyYAML'}
    brought = {re.split(r'[=;<>]', line)[0] for line in [
        *distribution.install_requires, *distribution.extras_require['synthetic']]}
    for path in sorted((PACKAGE / 'synthetic').glob('*.py')):
        for name in imported(path) - sys.stdlib_module_names - {'demt_perception', 'mathutils'}:
            assert named.get(name, name) in brought, f'{path.name} imports {name}'


def test_the_extra_of_the_cpu_brings_what_the_verbs_import(distribution):
    """What it does not has a remedy of its own, see ``cli.main.INSTALL``."""
    from demt_perception.cli.main import INSTALL
    named = {'cv2': 'opencv-python-headless', 'yaml': 'PyYAML'}
    brought = {re.split(r'[=;<>]', line)[0] for line in [
        *distribution.install_requires, *distribution.extras_require['cpu']]}
    for path in sorted((PACKAGE / 'cli').glob('*.py')):
        for name in imported(path) - sys.stdlib_module_names - {'demt_perception'}:
            assert named.get(name, name) in brought or '.[' in INSTALL[name] or (
                name in ('rclpy', 'onnx')), f'{path.name} imports {name}'


def test_colcon_runs_pytest_with_what_every_test_loads(distribution):
    """It does where an extra `test` names it; else `colcon test` runs nothing, and passes."""
    loaded = imported(ROOT / 'test' / 'conftest.py') - sys.stdlib_module_names
    loaded -= {'demt_perception'}
    assert set(distribution.extras_require['test']) == loaded
    assert {f'python3-{name}' for name in loaded} <= {
        element.text for element in manifest().iter('test_depend')}


def test_what_ros_has_and_we_import_is_declared():
    ros = re.compile(r'rclpy|launch(_\w+)?|ament_index_python|cv_bridge|rcl_interfaces|'
                     r'builtin_interfaces|'
                     r'\w+_(msgs|srvs)')
    declared = {element.text for element in manifest() if element.tag.endswith('depend')}
    for path in [*SOURCES, *sorted((ROOT / 'launch').glob('*.py'))]:
        used = {name for name in imported(path) if ros.fullmatch(name)}
        assert used <= declared, f'{path.name} imports {used - declared}'


@pytest.mark.parametrize(('folders', 'modules'), [
    (('ros',), {'rclpy', 'sensor_msgs', 'std_msgs', 'demt_msgs', 'diagnostic_msgs'}),
    (('networks', 'training'), {'torch'}),
    (('synthetic',), {'bpy'}),
])
def test_layers(folders, modules):
    engine = 'inference/engines/torch'
    for path in SOURCES:
        here = path.relative_to(PACKAGE)
        if here.parts[0] not in folders and not str(here).startswith(engine):
            assert not imported(path) & modules, f'{path} imports {imported(path) & modules}'


def test_the_lower_layers_do_not_know_the_upper_ones():
    above = {'inference': ('ros', 'cli', 'bags', 'training', 'networks'),
             'bags': ('ros', 'cli', 'bench', 'inference', 'training', 'networks'),
             'networks': ('training', 'inference', 'ros', 'cli'),
             'training': ('ros', 'cli', 'bench'), 'ros': ('cli', 'bench')}
    for lower, uppers in above.items():
        for path in sorted((PACKAGE / lower).rglob('*.py')):
            for upper in uppers:
                assert f'demt_perception.{upper}' not in path.read_text(), path


def test_a_bag_is_read_without_the_package_of_inference():
    """Nor by way of other modules of ours: it would bring cv2 and the engines."""
    modules = {'.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'):
               path for path in SOURCES}
    left = [name for name in modules if name.startswith('demt_perception.bags')]
    seen = set(left)
    while left:
        for name in known_modules(modules[left.pop()], modules) - seen:
            assert not name.startswith('demt_perception.inference'), f'{name} by {sorted(seen)}'
            seen.add(name)
            left.append(name)


def known_modules(path: Path, modules: dict[str, Path]) -> set[str]:
    """Names of those of our modules that a file imports, anywhere in it, and their packages."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f'{node.module}.{alias.name}' for alias in node.names)}
    parents = {name.rsplit('.', count)[0] for name in names for count in range(name.count('.'))}
    return (names | parents) & modules.keys()


def test_every_requirement_is_pinned():
    folder = ROOT / 'requirements'
    pins = {}
    for line in (folder / 'constraints.txt').read_text().splitlines():
        if line and not line.startswith('#'):
            name, version = line.split('==')
            pins[name.lower().replace('_', '-')] = version
    for path in folder.glob('*.txt'):
        for line in path.read_text().splitlines():
            if line and not line.startswith(('#', '-')) and '==' not in line:
                assert line.lower().replace('_', '-') in pins, f'{path.name}: {line}'
    assert pins['torch'] == '2.13.0'


def test_this_machine_is_not_in_the_tree():
    for path in [*SOURCES, ROOT / 'Makefile', ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]:
        assert str(ROOT) not in path.read_text(encoding='utf-8'), path
