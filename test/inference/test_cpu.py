"""What is told of processor and GPU, by what other machines say of theirs."""

import os
import subprocess
import sys

from host_tensorrt import make_driver
import pytest

from demt_perception.inference import cpu


@pytest.mark.parametrize(('quota', 'share'), [
    ('200000 100000', 2), ('150000 100000', 2), ('10000 100000', 1), ('6400000 100000', 64),
    ('max 100000', None), ('', None), ('200000', None), ('nan 100000', None)])
def test_a_container_s_quota_counts(tmp_path, monkeypatch, quota, share):
    (tmp_path / 'cpu.max').write_text(quota)
    monkeypatch.setattr(cpu, 'QUOTA', tmp_path / 'cpu.max')
    cores = len(os.sched_getaffinity(0))
    assert cpu.usable_cores() == (cores if share is None else min(cores, share))


def test_without_cgroups_the_affinity_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, 'QUOTA', tmp_path / 'cpu.max')
    assert cpu.usable_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(('cores', 'threads'), [
    (1, 1), (2, 2), (3, 2), (8, 7), (9, 8), (64, 8)])
def test_one_core_is_left_to_others_where_there_are_more_than_two(monkeypatch, cores, threads):
    monkeypatch.setattr(cpu, 'usable_cores', lambda: cores)
    assert cpu.default_threads() == threads


@pytest.mark.parametrize(('text', 'name', 'flags'), [
    ('processor\t: 0\nmodel name\t: AMD EPYC: 9354\nflags\t\t: fpu avx2\nflags\t\t: x\n',
     'AMD EPYC: 9354', {'fpu', 'avx2'}),
    ('processor\t: 0\nFeatures\t: fp asimd bf16\n', None, {'fp', 'asimd', 'bf16'}),   # Jetson
    (None, None, set())])
def test_the_processor_tells_its_name_and_instructions(tmp_path, monkeypatch, text, name, flags):
    if text is not None:
        (tmp_path / 'cpuinfo').write_text(text)
    monkeypatch.setattr(cpu, 'CPUINFO', tmp_path / 'cpuinfo')
    assert cpu.cpu_flags() == flags
    assert cpu.cpu_name() == name if name else cpu.cpu_name()   # the architecture, at least


def test_the_gpu_is_named_with_its_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, 'NVIDIA', tmp_path)
    assert cpu.gpu_name() == ''
    (tmp_path / 'version').write_text(
        'NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 2025\n'
        'GCC version:  gcc 12\n')
    assert cpu.gpu_name() == ''   # the driver, but no GPU
    for bus, model in (('0000:41:00.0', 'NVIDIA A2'), ('0000:01:00.0', 'NVIDIA L4')):
        (tmp_path / 'gpus' / bus).mkdir(parents=True)
        (tmp_path / 'gpus' / bus / 'information').write_text(
            f'Model: \t\t {model}\nIRQ:   \t\t 99\n')
    assert cpu.gpu_name() == (
        'NVIDIA L4, NVIDIA UNIX x86_64 Kernel Module 570.86.15 Thu Jan 23 2025')


@pytest.mark.parametrize(('environ', 'there'), [({}, True), ({'HOST_CUDA_NONE': '1'}, False)])
def test_a_driver_is_asked_for_its_gpus(tmp_path, environ, there):
    """The driver's calls, answered by a library of that name."""
    make_driver(tmp_path).rename(tmp_path / 'libcuda.so.1')
    path = os.pathsep.join([str(tmp_path), os.environ.get('LD_LIBRARY_PATH', '')])
    done = subprocess.run(
        [sys.executable, '-c',
         'from demt_perception.inference.cpu import has_gpu; print(has_gpu())'],
        env=os.environ | environ | {'LD_LIBRARY_PATH': path}, capture_output=True, text=True,
        check=True, timeout=60)
    assert done.stdout.strip() == str(there)
