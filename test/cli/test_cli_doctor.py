import subprocess
import sys

import pytest

from demt_perception.cli import doctor_checks, doctor_ros
from demt_perception.cli.finding import Level, try_python
from demt_perception.cli.main import main


def levels(findings):
    return [finding.level for finding in findings]


def texts(findings):
    return '\n'.join(f'{finding.text} {finding.remedy}' for finding in findings)


def test_whole_report_runs_and_the_engines_work(capsys):
    assert main(['doctor']) in (0, 1)
    said = capsys.readouterr().out
    for part in ('Python', 'Packages', 'Processor', 'Models', 'Engines', 'ROS 2', 'Transport'):
        assert part in said
    assert 'ms a frame' in said


def test_this_python_and_its_packages_are_good():
    assert levels(doctor_checks.python()) == [Level.GOOD]
    assert Level.BAD not in levels(doctor_checks.packages())


def test_crashing_library_is_a_finding():
    works, why = try_python('-c', 'import os, signal; os.kill(os.getpid(), signal.SIGSEGV)')
    assert not works
    assert 'SIGSEGV' in why
    assert try_python('-c', 'import time; time.sleep(60)', timeout=0.5) == (
        False, 'no answer within 0.5 s')
    assert try_python('-c', 'print(1)') == (True, '1')


def test_damaged_model_is_bad(tiny_model, tmp_path, monkeypatch):
    import shutil
    folder = shutil.copytree(tiny_model, tmp_path / 'models' / 'damaged')
    (folder / 'model.onnx').write_bytes(b'x')
    monkeypatch.setenv('DEMT_MODELS', str(tmp_path / 'models'))
    findings = [f for f in doctor_checks.models() if f.text == 'damaged']
    assert levels(findings) == [Level.BAD]
    assert 'SHA-256' in findings[0].remedy


@pytest.mark.parametrize(('environment', 'level', 'said'), [
    ({}, Level.NOTE, 'fastdds.xml'),
    ({'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
     Level.BAD, 'is ignored'),
    ({'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA', 'ROS_LOCALHOST_ONLY': '1'},
     Level.BAD, 'is ignored'),
    ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}, Level.BAD, 'do not find each other'),
    ({'FASTRTPS_DEFAULT_PROFILES_FILE': '/none/such.xml'}, Level.BAD, 'no such file'),
    ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, Level.NOTE, 'do not apply'),
])
def test_traps_in_the_environment_are_named(environment, level, said):
    found = [f for f in doctor_ros.transport_settings(environment) if said in f.text + f.remedy]
    assert levels(found) == [level]
    assert found[0].remedy or level is Level.NOTE


def test_good_settings_are_not_complained_about():
    settings = {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA', 'MALLOC_MMAP_THRESHOLD_': '1'}
    assert list(doctor_ros.transport_settings(settings)) == []


def test_broken_opencv_leaves_the_report_usable():
    code = ('import sys; sys.modules["cv2"] = None\n'
            'from demt_perception.cli.doctor_checks import processor\n'
            'from demt_perception.cli.doctor import _findings\n'
            'print([f.text for f in _findings(processor)])')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=60, check=True)
    assert 'cannot be checked' in done.stdout


def test_large_images_cross_processes_with_the_packages_profile():
    pytest.importorskip('rclpy', reason='needs ROS 2')
    findings = list(doctor_ros.transport())
    assert '30 of 30' in texts(findings), texts(findings)
