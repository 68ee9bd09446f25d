import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import venv

import pytest

from demt_perception.cli import doctor_checks, doctor_transport, finding
from demt_perception.cli.finding import Level, try_python
from demt_perception.cli.main import main
from demt_perception.inference.models import DEFAULT_MODEL
from demt_perception.ros import transport


def levels(findings):
    return [finding.level for finding in findings]


def texts(findings):
    return '\n'.join(f'{finding.text} {finding.remedy}' for finding in findings)


def test_whole_report_runs_and_the_engines_work(capsys, tiny_model, tmp_path, monkeypatch):
    # A small model in the place of the shipped one: what is tried is the engines.
    shutil.copytree(tiny_model, tmp_path / DEFAULT_MODEL)
    monkeypatch.setenv('DEMT_MODELS', str(tmp_path))
    assert main(['doctor']) in (0, 1)
    said = capsys.readouterr().out
    for part in ('Python', 'Packages', 'Processor', 'Models', 'Engines', 'ROS 2', 'Transport',
                 'Running nodes'):
        assert part in said
    assert 'ms a frame' in said


def test_this_python_and_its_packages_are_good():
    assert levels(doctor_checks.python()) == [Level.GOOD]
    assert Level.BAD not in levels(doctor_checks.packages())


def test_each_missing_package_has_its_purposes_and_its_own_remedy(monkeypatch):
    def version(name):
        raise doctor_checks.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor_checks.metadata, 'version', version)
    found = {f.text.split(':')[0]: f for f in doctor_checks.packages() if f.level is Level.NOTE}
    assert 'engine torch' in found['no torch'].text
    assert '.whl[train]' in found['no torch'].remedy   # or there is no repository
    assert found['no onnx'].remedy == 'pip install onnx'   # not what brings torch with it
    for purpose in ('export', 'quantize', 'calibrate', 'tensorrt'):
        assert purpose in found['no onnx'].text


def test_without_a_model_no_engine_is_tried(tmp_path, monkeypatch):
    """Whatever lies beside the source tree, such as the tests' own models."""
    from demt_perception.inference import models
    monkeypatch.setenv('DEMT_MODELS', str(tmp_path))
    monkeypatch.setattr(models, 'share_folders', lambda name: [])
    assert [f.text for f in doctor_checks.engines()] == ['no model to run']


def test_the_remedies_are_the_settings_of_our_launch_files():
    said = texts(doctor_transport.transport_settings({}))
    assert all(f'{name}={value}' in said for name, value in transport.MALLOC.items())
    for name in transport.PROFILE_VARIABLES:
        said = texts(doctor_transport.transport_settings({name: '/none/such.xml'}))
        assert f'{name}=/none/such.xml: no such file' in said


def test_crashing_library_is_a_finding():
    works, why = try_python('-c', 'import os, signal; os.kill(os.getpid(), signal.SIGSEGV)')
    assert not works
    assert 'SIGSEGV' in why
    assert try_python('-c', 'import time; time.sleep(60)', timeout=0.5) == (
        False, 'no answer within 0.5 s')
    assert try_python('-c', 'print(1)') == (True, '1')


def test_damaged_model_is_bad(tiny_model, tmp_path, monkeypatch):
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
    found = [f for f in doctor_transport.transport_settings(environment)
             if said in f.text + f.remedy]
    assert levels(found) == [level]
    assert found[0].remedy or level is Level.NOTE


@pytest.mark.parametrize(('distro', 'profile', 'expected'), [
    ('humble', 'fastdds.xml', [Level.BAD]), ('humble', 'fastdds_localhost.xml', []),
    ('jazzy', 'fastdds.xml', [])])
def test_a_profile_that_lets_humble_listen_everywhere_is_found(distro, profile, expected):
    path = ROOT / 'config' / profile
    found = [f for f in doctor_transport.transport_settings(
        {'ROS_DISTRO': distro, 'ROS_LOCALHOST_ONLY': '1',
         'FASTRTPS_DEFAULT_PROFILES_FILE': str(path)}) if 'every interface' in f.text]
    assert levels(found) == expected
    assert all("FASTRTPS_DEFAULT_PROFILES_FILE as the package's config/fastdds_localhost.xml"
               in f.remedy for f in found)


def test_good_settings_are_not_complained_about():
    settings = {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA', 'MALLOC_MMAP_THRESHOLD_': '1'}
    assert list(doctor_transport.transport_settings(settings)) == []


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
    # Best effort: where every core is taken one may be lost, but not each time.
    said = [texts(list(doctor_transport.transport()))]
    if '30 of 30' not in said[0]:
        said.append(texts(list(doctor_transport.transport())))
    assert '30 of 30' in said[-1], said


ROOT = Path(__file__).resolve().parents[2]
# What a library built for NumPy 1 does first, on any NumPy: import_array() of its C interface.
IMPORT_ARRAY = """
try:
    from numpy.core._multiarray_umath import _ARRAY_API
except Exception:
    import traceback
    traceback.print_exc()
    raise ImportError('numpy.core.multiarray failed to import') from None
"""


def test_library_built_for_numpy_1_is_found(tmp_path, monkeypatch):
    import numpy
    if numpy.__version__ < '2':
        pytest.skip('this is NumPy 1')
    (tmp_path / 'cv2.py').write_text(IMPORT_ARRAY)
    monkeypatch.syspath_prepend(tmp_path)
    found = [f for f in doctor_checks.packages() if f.text.startswith('OpenCV')]
    assert levels(found) == [Level.BAD]
    assert "pip install 'numpy<2'" in found[0].remedy


@pytest.mark.parametrize('text', [
    'module compiled against ABI version 0x2000000 but this version of numpy is 0x1000009',
    'numpy.core.multiarray failed to import'])
def test_numpy_remedy_is_for_the_numpy_that_is_there(monkeypatch, text):
    monkeypatch.setattr(finding.metadata, 'version', lambda name: '1.26.4')
    assert "'numpy>=2'" in finding.numpy_remedy(text)
    assert finding.numpy_remedy("No module named 'numpy'") == ''


def test_venv_without_ros_is_found(tmp_path, monkeypatch):
    """A virtual environment made as usual, where ROS is installed for the system's Python."""
    venv.create(tmp_path / 'venv', symlinks=True)
    (tmp_path / 'ros' / 'jazzy').mkdir(parents=True)
    code = (f'import sys; sys.path.insert(0, {str(ROOT)!r})\n'
            'from pathlib import Path\n'
            'from demt_perception.cli import doctor_ros\n'
            f'doctor_ros.ROS = Path({str(tmp_path / "ros")!r})\n'
            'print([(f.level.name, f.text, f.remedy) for f in doctor_ros.installation()])')

    def report(**changes):
        environ = {name: value for name, value in os.environ.items()
                   if name not in ('PYTHONPATH', 'AMENT_PREFIX_PATH')}
        return subprocess.run(
            [tmp_path / 'venv' / 'bin' / 'python', '-c', code], env=environ | changes,
            capture_output=True, text=True, timeout=60, check=True).stdout

    said = report()
    assert 'BAD' in said
    assert "No module named 'rclpy'" in said
    assert 'source' in said
    assert 'jazzy/setup.bash' in said
    assert '--system-site-packages' in report(AMENT_PREFIX_PATH='/opt/ros/jazzy')


def test_missing_engines_are_found(tmp_path, monkeypatch, tiny_model):
    """No engine imports: what pip did not install, or installed broken."""
    for name in ('onnxruntime', 'openvino', 'tensorrt', 'torch'):
        (tmp_path / f'{name}.py').write_text(f'raise ImportError("No module named {name!r}")')
    monkeypatch.syspath_prepend(tmp_path)
    found = list(doctor_checks.engines())
    assert levels(found)[-1] == Level.BAD
    assert 'pip install openvino onnxruntime' in found[-1].remedy
    assert 'pip install' in found[0].remedy


def test_little_room_for_images_is_found(tmp_path, monkeypatch):
    (tmp_path / 'core').mkdir()
    (tmp_path / 'core' / 'rmem_max').write_text('212992\n')
    assert [(f.level, 'rmem_max' in f.remedy) for f in doctor_transport.limits(
        Path('/nowhere'), tmp_path)] == [(Level.NOTE, True)]
    monkeypatch.setattr(doctor_transport, 'SHARED_MEMORY', 1 << 60)
    full = list(doctor_transport.limits(tmp_path, Path('/nowhere')))
    assert levels(full) == [Level.BAD]
    assert '--shm-size' in full[0].remedy
    (tmp_path / 'core' / 'rmem_max').write_text('67108864\n')
    assert not list(doctor_transport.limits(Path('/nowhere'), tmp_path))


def test_json_and_exit_code_for_scripts(capsys, monkeypatch):
    pytest.importorskip('rclpy', reason='needs ROS 2')
    monkeypatch.setenv('ROS_DOMAIN_ID', '101')
    assert main(['doctor', '--topic', '/demt/no/such/image', '--json']) == 1
    report = json.loads(capsys.readouterr().out)
    assert report['broken'] >= 1
    said = [f for f in report['findings'] if 'nobody publishes it' in f['text']]
    assert [(f['check'], f['level']) for f in said] == [('Running nodes', 'bad')]


def opencv(folder, *names):
    """Make a folder of packages in which pip has put these."""
    for name in names:
        info = folder / f'{name.replace("-", "_")}-4.10.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 4.10\n')
    return str(folder)


def test_only_opencvs_in_one_folder_disturb_each_other(tmp_path, monkeypatch):
    own = opencv(tmp_path / 'venv', 'opencv-python-headless')
    system = opencv(tmp_path / 'system', 'opencv-contrib-python')
    monkeypatch.setattr(doctor_checks, 'try_python', lambda *_: (True, '1'))
    monkeypatch.setattr(sys, 'path', [own, system, own])
    assert Level.BAD not in levels(doctor_checks.packages())
    opencv(tmp_path / 'venv', 'opencv-python')
    found = [one for one in doctor_checks.packages() if one.level is Level.BAD]
    assert [one.text for one in found] == [
        f'opencv-python and opencv-python-headless are installed over one another in {own}']


def test_an_engine_whose_build_takes_long_is_to_be_built_and_not_installed(monkeypatch):
    monkeypatch.setattr(finding.subprocess, 'run', slow_tensorrt)
    found = {one.text.partition(':')[0]: one for one in doctor_checks.engines()}
    assert found['tensorrt'].text == 'tensorrt: no answer within 120 s'
    assert found['tensorrt'].remedy == 'demt build --engine tensorrt'
    assert 'pip install' in found['openvino'].remedy


def slow_tensorrt(command, **_):
    if command[-1] == 'tensorrt':
        raise subprocess.TimeoutExpired(command, 120)
    return subprocess.CompletedProcess(command, 1, '', 'no such module')
