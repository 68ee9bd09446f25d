"""Each of the 25 complaints has an answer, and what the answer points to exists."""

from pathlib import Path
import re

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'complaints.md'


def test_each_is_answered():
    rows = [line.strip('|').split(' | ') for line in PAGE.read_text().splitlines()
            if re.match(r'\| \d', line)]
    assert [int(row[0]) for row in rows] == list(range(1, 26))
    for number, complaint, answer, where in rows:
        assert len(complaint) > 20 and len(answer) > 20, number
        targets = re.findall(r'`([\w/.]+)`', where) + [
            f'docs/{link.partition("#")[0]}' for link in re.findall(r'\]\(([^)]+)\)', where)]
        assert targets, f'{number} points to nothing'
        for target in targets:
            assert (PAGE.parents[1] / target).exists(), f'{number}: no {target}'


def test_nothing_is_installed_or_downloaded_at_run_time():
    """The answer to number 9."""
    root = PAGE.parents[1]
    for path in [*(root / 'demt_perception').rglob('*.py'), *(root / 'launch').glob('*.py')]:
        text = path.read_text(encoding='utf-8')
        assert not re.search(r'^\s*(import|from) (requests|httpx|pip|ensurepip)\b|urllib\.request|'
                             r"'-m', 'pip'|\burlretrieve\b", text, re.MULTILINE), path
