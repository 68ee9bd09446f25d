"""Writes the software bill of materials, in CycloneDX 1.6 JSON: `make sbom`.

Usage: python sbom.py FILE, with the Python of the environment that it is about.

Its components are the installed packages with licence, the libraries that their wheels bundle (no
audit of packages sees those), and the shipped models with the SHA-256 of their files. The same
environment gives the same bytes.
"""

from collections.abc import Iterator
import hashlib
from importlib import metadata
import json
from pathlib import Path
import re
import sys
from typing import Any
import uuid

import yaml

ROOT = Path(__file__).resolve().parents[1]
NAME = 'demt_perception'


def canonical(name: str) -> str:
    """Return a package's name as the package index writes it."""
    return re.sub(r'[-_.]+', '-', name).lower()


def file_component(name: str, path: Path) -> dict[str, Any]:
    """Return a file, with its SHA-256."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {'type': 'file', 'name': name, 'hashes': [{'alg': 'SHA-256', 'content': digest}]}


def licence(package: metadata.Distribution) -> str:
    """Return what a package says of its licence in one line, or ''."""
    said = package.metadata.get_all('License-Expression') or [
        text.rpartition('::')[2].strip()
        for text in package.metadata.get_all('Classifier') or ()
        if text.startswith('License ::')] or package.metadata.get_all('License') or ['']
    return ' '.join(' and '.join(said).split())[:200]


def wanted(package: metadata.Distribution, installed: dict[str, str]) -> list[str]:
    """Return references of the installed packages that a package asks for; extras left out."""
    names = {canonical(re.match(r'[\w.-]+', line)[0]) for line in package.requires or ()
             if 'extra ==' not in line}
    return sorted(installed[name] for name in names & installed.keys())


def library(package: metadata.Distribution) -> dict[str, Any]:
    """Return an installed package, with the libraries that it bundles."""
    name, version = canonical(package.metadata['Name']), package.version
    reference = f'pkg:pypi/{name}@{version}'
    component: dict[str, Any] = {'type': 'library', 'bom-ref': reference, 'name': name,
                                 'version': version, 'purl': reference}
    if said := licence(package):
        component['licenses'] = [{'license': {'name': said}}]
    bundled = sorted(str(path) for path in package.files or () if '.libs/' in str(path))
    if bundled:
        component['components'] = [
            file_component(path, Path(str(package.locate_file(path)))) for path in bundled]
    return component


def models() -> Iterator[dict[str, Any]]:
    """Yield the shipped models, as their cards describe them."""
    for path in sorted((ROOT / 'models').glob('*/card.yaml')):
        card = yaml.safe_load(path.read_text(encoding='utf-8'))
        yield {'type': 'machine-learning-model', 'bom-ref': f'model/{card["name"]}',
               'name': card['name'], 'description': card['architecture'],
               'licenses': [{'license': {'name': card['licence']}}],
               'components': [file_component(file.name, file)
                              for file in sorted(path.parent.iterdir())]}


def bill() -> dict[str, Any]:
    """Return the bill of the running Python's environment, where this package is installed."""
    # What pip did not install is a part of something that it did: ros-rclpy brings rclpy.
    found = {canonical(package.metadata['Name']): package
             for package in metadata.distributions() if package.read_text('INSTALLER')}
    own = found.pop(canonical(NAME))
    found = dict(sorted(found.items()))
    libraries = [library(package) for package in found.values()]
    installed = {component['name']: component['bom-ref'] for component in libraries}
    shipped = list(models())
    below = {each for package in found.values() for each in wanted(package, installed)}
    content: dict[str, Any] = {
        'bomFormat': 'CycloneDX', 'specVersion': '1.6', 'version': 1,
        'metadata': {'component': {
            'type': 'application', 'bom-ref': NAME, 'name': NAME,
            'version': own.version,
            'licenses': [{'license': {'id': 'Apache-2.0'}}]}},
        'components': [*libraries, *shipped],
        'dependencies': [
            {'ref': NAME, 'dependsOn': [
                *(each for each in installed.values() if each not in below),
                *(model['bom-ref'] for model in shipped)]},
            *({'ref': installed[name], 'dependsOn': wanted(package, installed)}
              for name, package in found.items())]}
    seed = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return {**content, 'serialNumber': f'urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, seed)}'}


if __name__ == '__main__':
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    found = bill()
    target.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    print(f'{target}: {len(found["components"])} components')
