import subprocess
import sys

import pytest

from demt_perception.cli.main import main, VERBS


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(['--help'])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said and text in said for name, text in VERBS)


@pytest.mark.parametrize('name', ['predict', 'models', 'doctor'])
def test_each_verb_has_help(name, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([name, '--help'])
    assert exit_.value.code == 0
    assert f'usage: demt {name}' in capsys.readouterr().out


@pytest.mark.parametrize('arguments', [[], ['fly'], ['predict'], ['predict', '--bad']])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert 'usage' in capsys.readouterr().err


@pytest.mark.parametrize('module', ['demt_perception.cli', 'demt_perception.cli.main'])
def test_runs_as_a_module(module):
    done = subprocess.run([sys.executable, '-m', module, '--version'], capture_output=True,
                          text=True, timeout=60, check=True)
    assert done.stdout.startswith('demt_perception ')


def test_labels_of_the_ground_need_no_torch():
    code = ("import sys; sys.modules['torch'] = None; "
            'import demt_perception.training.labelling.ground')
    subprocess.run([sys.executable, '-c', code], timeout=60, check=True)


def test_listing_the_verbs_imports_no_heavy_package():
    code = ("import sys; from demt_perception.cli.main import _parser; _parser();"
            "print({'cv2', 'numpy', 'torch', 'openvino', 'rclpy'} & set(sys.modules))")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=60, check=True)
    assert done.stdout.strip() == 'set()'
