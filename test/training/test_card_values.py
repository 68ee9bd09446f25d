"""A range of depth that reaches the sky is refused where it begins and where it ends."""

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

import archives
import runs

from demt_perception.training import export, trainer
from demt_perception.training.config import ConfigError, load_config, save_config, TrainConfig


def test_a_range_that_reaches_the_sky_is_refused_and_may_be_mended_in_a_run_under_way(
        tmp_path):
    root = archives.write_folder(tmp_path / 'data', count=2, size=(48, 64))
    options = {'losses': 'driving', 'protocol': 'driving', 'far': 20.0}
    config = runs.small_config(root, tmp_path / 'r', **options, depth_range=(0.5, 20.0))
    with pytest.raises(ConfigError, match='far 20 with depth_range'):
        trainer.Run(config)
    (tmp_path / 'r').mkdir()
    save_config(config, tmp_path / 'r' / 'config.yaml')   # as before this was refused
    trainer.Run(runs.small_config(root, tmp_path / 'r', **options, depth_range=(0.5, 18.0)))


def test_a_range_that_reaches_the_sky_is_not_exported(tmp_path):
    config = TrainConfig(model='demt_light', backbone='efficientnet_lite0', tasks={'depth': 1},
                         iterations=7, out='a', data=[{'root': 'b'}], losses='driving', far=20.0,
                         depth_range=(0.5, 20.0))
    save_config(config, tmp_path / 'config.yaml')
    with pytest.raises(ConfigError, match='far 20 with depth_range'):
        export.export_model(config, tmp_path / 'no.safetensors', tmp_path / 'm')
    with pytest.raises(OSError, match=r'no\.safetensors'):
        export.export_model(load_config(tmp_path / 'config.yaml', ('depth_range=[0.5, 18]',)),
                            tmp_path / 'no.safetensors', tmp_path / 'm')
