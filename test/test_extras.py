"""What is told to whom a package is missing."""

from pathlib import Path
import re

from demt_perception.cli.main import INSTALL
from demt_perception.extras import installing

ROOT = Path(__file__).resolve().parents[1]


def test_whoever_has_only_the_wheel_is_told_too():
    said = installing('train')
    assert said.startswith("pip install '.[train]' in the repository, or ")
    wheel = re.search(r"'(demt_perception-\S+\.whl)\[train\]'", said)
    assert wheel
    assert f'"{wheel[1]}[' in (ROOT / 'docs/start.md').read_text(), 'as it is called there'
    for name in ('torch', 'bpy', 'matplotlib'):
        assert '.whl[' in INSTALL[name], name


def test_nobody_tells_it_in_other_words():
    names = set()
    for path in (ROOT / 'demt_perception').rglob('*.py'):
        text = path.read_text()
        names |= set(re.findall(r"""installing\(['"](\w+)""", text))
        if path.name not in ('extras.py', 'stage.py'):   # which names the packages, too
            assert "'.[" not in text, path
    extras = set(re.findall(r"^ {8}'(\w+)': \[", (ROOT / 'setup.py').read_text(), re.MULTILINE))
    assert names == {'train', 'plots', 'synthetic'}
    assert names <= extras
