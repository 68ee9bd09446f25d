"""ROS's own linters, where they are installed: `colcon test` in a ROS 2 workspace.

ruff checks the same and more in `make lint`. Left out: ament_copyright, for the licence is in
LICENSE and not in the head of every file.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = [str(ROOT / name) for name in ('demt_perception', 'launch', 'setup.py')]


@pytest.mark.filterwarnings('ignore')
def test_flake8():
    ament = pytest.importorskip('ament_flake8.main', reason='ament_flake8 is part of ROS 2')
    code, errors = ament.main_with_errors(
        argv=['--config', str(Path(__file__).with_name('flake8.ini')), *OURS])
    assert code == 0, '\n'.join(errors)


def test_pep257():
    ament = pytest.importorskip('ament_pep257.main', reason='ament_pep257 is part of ROS 2')
    # Magic methods and __init__ are documented by their class, forward() is told by its.
    ignored = ['D102', 'D105', 'D107', 'D205', 'D402', 'D403', 'D415']
    assert ament.main(argv=['--convention', 'google', '--add-ignore', *ignored, '--', *OURS]) == 0


def test_xmllint():
    ament = pytest.importorskip('ament_xmllint.main', reason='ament_xmllint is part of ROS 2')
    manifests = [str(ROOT / name) for name in ('package.xml', 'demt_msgs/package.xml')]
    assert ament.main(argv=manifests) == 0
