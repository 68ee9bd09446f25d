"""sdist and wheel hold what the package needs. (Their clean installation is tried by hand.)"""

from email import message_from_string
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_OURS = ('.*', 'out', 'runs', 'build', 'install', 'log', 'data', '*.egg-info', '__pycache__',
            'docs', 'test', 'benchmarks')
BUILD = 'import sys; from setuptools import build_meta as b; print(b.build_{}(sys.argv[1]))'


def build(kind: str, source: Path, out: Path) -> Path:
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', BUILD.format(kind), out],
                            cwd=source, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return out / result.stdout.split()[-1]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel that is built from the sdist, as a package index would have it."""
    folder = tmp_path_factory.mktemp('wheel')
    source = shutil.copytree(ROOT, folder / 'source', ignore=shutil.ignore_patterns(*NOT_OURS))
    sdist = build('sdist', source, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / 'unpacked', filter='data')
    unpacked, = (folder / 'unpacked').iterdir()
    with zipfile.ZipFile(build('wheel', unpacked, folder)) as archive:
        yield archive


def test_every_module_and_file_of_the_package_is_in_the_wheel(wheel):
    held = set(wheel.namelist())
    for path in (ROOT / 'demt_perception').rglob('*'):
        hidden = any(part.startswith('.') for part in path.relative_to(ROOT).parts)
        if path.is_file() and path.suffix != '.pyc' and not hidden:
            assert str(path.relative_to(ROOT)) in held, path
    assert not [name for name in held if name.startswith('test/')]


@pytest.mark.parametrize('folder', ['models', 'config', 'launch'])
def test_data_is_installed_whole_where_ros_looks_for_it(wheel, folder):
    held = {name.partition('.data/data/share/demt_perception/')[2]: name
            for name in wheel.namelist()}
    for path in (ROOT / folder).rglob('*'):
        if path.is_file() and '__pycache__' not in path.parts:
            name = str(path.relative_to(ROOT))
            assert wheel.read(held[name]) == path.read_bytes(), name


def test_the_extras_are_those_of_requirements(wheel):
    name, = (name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
    metadata = message_from_string(wheel.read(name).decode())
    wanted = metadata.get_all('Requires-Dist')
    pinned = (ROOT / 'requirements/constraints.txt').read_text()
    pins = dict(re.findall(r'^([\w-]+)==(\S+)$', pinned, re.MULTILINE))
    ros = {re.split('[=;]', line)[0].strip(): line for line in wanted
           if "extra == 'ros'" in line.replace('"', "'")}
    assert set(ros) == {line for line in (ROOT / 'requirements/ros.txt').read_text().splitlines()
                        if re.match(r'\w', line)}
    for package, line in ros.items():
        assert f'{package}=={pins[package]};' in line.replace(' ;', ';'), line


def test_the_commands_are_in_the_wheel(wheel):
    name, = (name for name in wheel.namelist() if name.endswith('.dist-info/entry_points.txt'))
    text = wheel.read(name).decode()
    for command in ('demt', 'perception_node', 'camera_source'):
        assert f'{command} = demt_perception.' in text
