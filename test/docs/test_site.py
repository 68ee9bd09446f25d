"""The site builds without a warning, and a broken link is one."""

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip('material', reason='mkdocs-material is not installed: make docs')

ROOT = Path(__file__).resolve().parents[2]


def build(docs: Path, site: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict',
         '-f', docs / 'site' / 'mkdocs.yml', '-d', site],
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'}, capture_output=True, text=True)


def test_the_site_builds_without_a_warning(tmp_path):
    result = build(ROOT / 'docs', tmp_path)
    assert result.returncode == 0, result.stderr
    pages = list(tmp_path.rglob('*.html'))
    for source in (ROOT / 'docs').rglob('*.md'):
        page = source.relative_to(ROOT / 'docs').with_suffix('.html')
        assert (tmp_path / page).is_file(), f'{source} is not on the site'
    for page in pages:
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"',
                            page.read_text(encoding='utf-8'))
        assert not loaded, f'{page.name} loads {loaded} from elsewhere'


@pytest.mark.parametrize('link', ['gone.md', 'start.md#gone', '../README.md'])
def test_a_broken_link_is_found(tmp_path, link):
    docs = tmp_path / 'docs'
    (docs / 'site').mkdir(parents=True)
    shutil.copy(ROOT / 'docs/site/mkdocs.yml', docs / 'site')
    config = docs / 'site' / 'mkdocs.yml'
    config.write_text(config.read_text().partition('\nnav:')[0])
    (docs / 'start.md').write_text('# Start\n')
    (docs / 'index.md').write_text(f'# Here\n\n[there]({link})\n')
    result = build(docs, tmp_path / 'site')
    assert result.returncode != 0
    assert link.partition('#')[0] in result.stderr, result.stderr


def test_every_page_is_reached():
    """A page that no other page and no list names is read by nobody."""
    docs = ROOT / 'docs'
    named = set()
    for page in [*docs.rglob('*.md'), ROOT / 'README.md']:
        for link in re.findall(r'\]\(([^)#\s]+\.md)', page.read_text(encoding='utf-8')):
            named.add((page.parent / link).resolve())
    for page in docs.rglob('*.md'):
        assert page.resolve() in named or page == docs / 'index.md', page.relative_to(docs)
