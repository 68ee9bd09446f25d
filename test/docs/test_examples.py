"""The examples in docstrings are true, and those of the pages run or at least compile."""

import ast
import doctest
import importlib
import os
from pathlib import Path
import re

import cv2
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WITH_EXAMPLES = sorted(
    path for path in (ROOT / 'demt_perception').rglob('*.py') if '\n    >>> ' in path.read_text())
PAGES = sorted([ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')])


def blocks(page: Path, kind: str) -> list[str]:
    found = re.findall(rf'^( *)```{kind}\n(.*?)^ *```', page.read_text(encoding='utf-8'),
                       re.MULTILINE | re.DOTALL)
    return [re.sub(f'^{indent}', '', text, flags=re.MULTILINE) for indent, text in found]


@pytest.mark.parametrize('path', WITH_EXAMPLES, ids=lambda path: path.stem)
def test_docstring_examples(path):
    if 'networks' in path.parts:
        pytest.importorskip('torch', reason='torch is not installed')
    name = '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, extraglobs={'np': np})
    assert tried and not failed


def test_the_public_api_has_examples():
    assert {path.stem for path in WITH_EXAMPLES} >= {
        'predictor', 'model_card', 'tasks', 'rates', 'scheduling'}


def test_the_readme_s_first_example(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / 'street.jpg'), np.full((90, 160, 3), 128, np.uint8))
    monkeypatch.chdir(tmp_path)
    code = next(text for text in blocks(ROOT / 'README.md', 'python') if 'Predictor' in text)
    # One engine, the same everywhere: others would be built and compared first.
    names: dict = {}
    exec(code.replace("fast')", "fast', engine='onnxruntime')"), names)
    assert names['result'].depth.shape == (90, 160)
    names['predictor'].close()


@pytest.mark.parametrize('page', PAGES, ids=lambda page: os.path.relpath(page, ROOT))
def test_code_and_settings_of_the_pages_can_be_read(page):
    for text in blocks(page, 'python'):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('demt_'):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), text
    for text in blocks(page, 'yaml'):
        assert yaml.safe_load(text), text
