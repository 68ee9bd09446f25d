"""What is installed is what was locked; what is known of it is said, what is not known too."""

import hashlib
from importlib import metadata
import json
from pathlib import Path
import re
import subprocess
import sys
import zipfile

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'requirements'


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def canonical(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


def pins() -> dict[str, str]:
    lines = (FOLDER / 'constraints.txt').read_text().splitlines()
    return {canonical(name): version for name, _, version in
            (line.partition('==') for line in lines if re.match(r'\w', line))}


def locked(name: str = 'demo.lock') -> dict[str, tuple[str, str, list[str]]]:
    """Version, marker and hashes of every package of a locked file."""
    text = (FOLDER / name).read_text().replace('\\\n', ' ')
    found = {}
    for line in text.splitlines():
        if not line.startswith('#'):
            head, *hashes = re.split(r'\s+--hash=', line.strip())
            package, version, marker = re.fullmatch(
                r'([\w.-]+)==([^\s;]+)(?: ; (.*))?', head).groups()
            found[package] = version, marker or '', hashes
    return found


def test_the_lock_has_the_pins_and_all_that_is_wanted():
    packages, pinned = locked(), pins()
    assert {name: version for name, (version, _, _) in packages.items()} == {
        name: pinned[name] for name in packages}, 'make lock'
    for name in ('runtime', 'ros', 'msgs'):
        wanted = [line for line in (FOLDER / f'{name}.txt').read_text().splitlines()
                  if re.match(r'\w', line)]
        assert wanted
        for package in wanted:
            assert canonical(package) in packages, f'{package} is not in demo.lock: make lock'


@pytest.mark.parametrize('name', ['demo.lock', 'audit.lock'])
def test_every_locked_file_has_a_hash(name):
    for package, (_, _, hashes) in locked(name).items():
        assert hashes, package
        assert all(re.fullmatch('sha256:[0-9a-f]{64}', each) for each in hashes), package
        assert len(set(hashes)) == len(hashes), package


def test_the_set_up_installs_nothing_but_the_lock():
    """Each `pip install` of the demo's environment is bound to hashes, or installs this folder."""
    lines = (ROOT / 'Makefile').read_text().replace('\\\n', ' ').splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith('HASHED :='))
    end = next(index for index, line in enumerate(lines) if line.startswith('$(STAMPS)/docs:'))
    assert '--require-hashes' in lines[begin] and '--only-binary :all:' in lines[begin]
    installs = [line for line in lines[begin:end]
                if 'pip install' in line or 'pip_progress' in line]
    assert len(installs) == 3
    for line in installs:
        assert '$(HASHED)' in line or '--no-deps --no-build-isolation -e .' in line, line


def test_the_environment_is_the_locked_one():
    try:
        metadata.version('ros-rclpy')
    except metadata.PackageNotFoundError:
        pytest.skip('this is not the environment of make setup')
    for package, (version, marker, _) in locked().items():
        if not marker:   # of another Python's
            assert metadata.version(package) == version, package


def test_a_changed_file_is_refused(tmp_path):
    """As an index, or who stands before it, would serve it: same name, same version."""
    wheel = tmp_path / 'widget-1.0-py3-none-any.whl'
    with zipfile.ZipFile(wheel, 'w') as file:
        file.writestr('widget.py', '')
        file.writestr('widget-1.0.dist-info/METADATA',
                      'Metadata-Version: 2.1\nName: widget\nVersion: 1.0\n')
        file.writestr('widget-1.0.dist-info/WHEEL',
                      'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        file.writestr('widget-1.0.dist-info/RECORD', '')
    lock = tmp_path / 'widget.lock'

    def install() -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, '-m', 'pip', 'install', '--disable-pip-version-check', '--no-index',
             '--find-links', tmp_path, '--target', tmp_path / 'there', '--require-hashes',
             '--no-deps', '--only-binary', ':all:', '-r', lock], capture_output=True, text=True)

    good = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock.write_text(f'widget==1.0 --hash=sha256:{"0" * 64}\n')
    refused = install()
    assert refused.returncode and 'DO NOT MATCH THE HASHES' in refused.stderr
    assert not (tmp_path / 'there').exists()
    lock.write_text(f'widget==1.0 --hash=sha256:{good}\n')
    assert install().returncode == 0 and (tmp_path / 'there/widget.py').exists()


def package(name='jinja2', version='3.1.5', **flaw):
    """A package as pip-audit 2.10 reports it."""
    return {'name': name, 'version': version, 'vulns': [flaw] if flaw else []}


def test_an_advisory_is_told_until_it_is_accepted():
    import audit

    report = {'dependencies': [package(), package(
        'pillow', '12.0', id='PYSEC-2026-1', aliases=['CVE-2026-2', 'GHSA-a-b'],
        fix_versions=['12.1'])], 'fixes': []}
    assert audit.judge(report, ()) == (['pillow 12.0: PYSEC-2026-1, fixed in 12.1'], [])
    assert audit.judge(report, ['PYSEC-2025-9']) == audit.judge(report, ())
    for name in ('PYSEC-2026-1', 'CVE-2026-2'):
        assert audit.judge(report, [name]) == ([], [])


def test_what_could_not_be_looked_up_is_not_healthy(tmp_path, capsys):
    """pip-audit itself says `No known vulnerabilities found`, and ends with 0."""
    import audit

    skipped = {'name': 'numpy', 'skip_reason': 'Dependency not found on PyPI and could not be '
               'audited: numpy (2.4.6)'}
    assert audit.judge({'dependencies': [skipped, package()], 'fixes': []}, ()) == ([], ['numpy'])
    program = tmp_path / 'pip-audit'
    for text, code, said in (
            (json.dumps({'dependencies': [skipped]}), 3, 'NOT LOOKED UP: 1 of 1'),
            ('', 3, 'NOT DONE'),
            (json.dumps({'dependencies': [package(id='PYSEC-1-2')]}), 1, 'no version yet'),
            (json.dumps({'dependencies': [package()]}), 0, 'nothing known of 1')):
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(0o755)
        assert audit.main(str(program)) == code
        assert said in capsys.readouterr().out


def test_accepted_advisories_are_of_pins_in_force_and_say_why():
    import audit

    pinned = pins()
    for line, (pin, reason) in audit.accepted(
            (FOLDER / 'advisories.txt').read_text().splitlines()).items():
        name, _, version = pin.partition('==')
        assert pinned.get(canonical(name)) == version, f'{line}: {pin} is no longer pinned'
        assert len(reason.split()) > 3, line
    assert audit.accepted(['# a note', '', 'CVE-2026-1 a==1 never reads XML']) == {
        'CVE-2026-1': ('a==1', 'never reads XML')}
    with pytest.raises(ValueError, match='want: ID package==version reason'):
        audit.accepted(['CVE-2026-1 a==1'])


@pytest.fixture(scope='module')
def bill(tmp_path_factory):
    try:
        metadata.version('demt-perception')
    except metadata.PackageNotFoundError:
        pytest.skip('the package is not installed here: make setup')
    files = [tmp_path_factory.mktemp('bill') / name for name in 'ab']
    for file in files:
        subprocess.run([sys.executable, FOLDER / 'sbom.py', file], check=True, timeout=120)
    assert files[0].read_bytes() == files[1].read_bytes()
    return json.loads(files[0].read_text())


def test_the_bill_has_every_installed_package_and_its_bundled_libraries(bill):
    listed = {component['name']: component for component in bill['components']}
    assert len(listed) == len(bill['components'])
    for name in ('numpy', 'opencv-python-headless', 'onnxruntime', 'pyyaml'):
        assert listed[name]['version'] == metadata.version(name)
        assert listed[name]['purl'] == f'pkg:pypi/{name}@{metadata.version(name)}'
    files = metadata.files('opencv-python-headless')
    bundled = {str(path): path for path in files if '.libs/' in str(path)}
    assert bundled
    assert {file['name']: file['hashes'][0]['content'] for file in
            listed['opencv-python-headless']['components']} == {
        name: hashlib.sha256(path.locate().read_bytes()).hexdigest()
        for name, path in bundled.items()}


def test_the_bill_has_the_models_by_hash(bill):
    models = {each['name']: each for each in bill['components']
              if each['type'] == 'machine-learning-model'}
    cards = [yaml.safe_load(path.read_text()) for path in (ROOT / 'models').glob('*/card.yaml')]
    assert models.keys() == {card['name'] for card in cards}
    for card in cards:
        files = {file['name']: file['hashes'][0]['content']
                 for file in models[card['name']]['components']}
        assert files[card['onnx']] == card['onnx_sha256']


def test_the_bill_is_one_graph(bill):
    references = {component['bom-ref'] for component in bill['components']}
    reached, left = set(), [bill['metadata']['component']['bom-ref']]
    edges = {each['ref']: each['dependsOn'] for each in bill['dependencies']}
    while left:
        reference = left.pop()
        if reference not in reached:
            reached.add(reference)
            left += edges.get(reference, [])
    assert references <= reached <= references | {'demt_perception'}
