"""A broken file in the middle of a run: one line that names it, from a worker as well."""

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

import archives
import runs

from demt_perception.cli.main import main
from demt_perception.training import loading, trainer
from demt_perception.training.config import save_config


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_broken_label_is_one_line(tmp_path, capsys, workers, split):
    root = archives.write_folder(tmp_path / 'data', count=2, size=(48, 64))
    name = 'frame_1' if split == 'train' else 'frame_2'
    label = root / 'semseg' / f'{name}.png'
    label.write_bytes(label.read_bytes()[:60])
    config = runs.small_config(
        root, tmp_path / 'r', tasks={'semseg': 5}, workers=workers, iterations=1,
        data=[{'root': str(root), 'split': 'train'}],
        validation=[{'root': str(root), 'split': 'val'}])
    save_config(config, tmp_path / 'c.yaml')
    assert main(['train', str(tmp_path / 'c.yaml')]) == 1
    said = capsys.readouterr().err.splitlines()
    line, = (line for line in said if line.startswith('demt train: '))
    assert line.startswith(f'demt train: {label} is not a readable image, or cut off: ')
    assert line.endswith('; run `demt data check` on the dataset, which names every such file')
    assert said[-1] == line, 'nothing comes after it'


def test_errors_of_ours_are_not_taken_for_broken_files(tmp_path):
    root = archives.write_folder(tmp_path / 'data', count=2, size=(48, 64))
    run = trainer.Run(runs.small_config(root, tmp_path / 'r', iterations=1))
    run.items.protocol = None
    with pytest.raises(TypeError, match='not callable'):
        next(loading.training_loader(run.items, run.config, 0, 1, 0, 1))


def test_few_batches_wait_in_shared_memory(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(loading, 'DataLoader', lambda items, **options: seen.update(options) or ())
    root = archives.write_folder(tmp_path / 'data', count=2, size=(48, 64))
    run = trainer.Run(runs.small_config(root, tmp_path / 'r', workers=3))
    assert list(loading.training_loader(run.items, run.config, 0, 1, 0, 1)) == []
    assert (seen['num_workers'], seen['prefetch_factor']) == (3, 2)
