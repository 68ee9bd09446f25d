"""Runs beside each other: seeds belong together, Delta_m is over the single-task runs."""

import json

import pytest

pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.cli.main import main
from demt_perception.training.comparison import compare
from demt_perception.training.config import ConfigError, save_config, TrainConfig

BOTH = {'semseg': 3, 'depth': 1}


def write(folder, figures, seed=0, **options):
    folder.mkdir()
    tasks = {task: BOTH[task] for task in figures}
    save_config(TrainConfig(**{'model': 'multi_task', 'tasks': tasks, 'data': [{'root': 'a'}],
                               'out': str(folder), 'iterations': 1, 'seed': seed, **options}),
                folder / 'config.yaml')
    lines = [{'step': 1, 'kind': 'train', 'seconds_per_step': 0.5},
             {'step': 1, 'kind': 'validation', 'main': dict.fromkeys(figures, 9.0)},
             {'step': 2, 'kind': 'validation', 'main': figures}]
    (folder / 'log.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return str(folder)


def test_seeds_belong_together_and_gains_are_over_their_mean(tmp_path, capsys):
    runs = [write(tmp_path / 'single_a_0', {'semseg': 0.4}),
            write(tmp_path / 'single_a_1', {'semseg': 0.6}, 1),
            write(tmp_path / 'single_b_0', {'depth': 2.0}),
            write(tmp_path / 'both_0', {'semseg': 0.55, 'depth': 1.8}),
            write(tmp_path / 'both_1', {'semseg': 0.45, 'depth': 2.2}, 1),
            write(tmp_path / 'other', {'semseg': 0.5, 'depth': 2.0}, lr=0.5)]
    begun = write(tmp_path / 'begun', {'semseg': 0.7, 'depth': 1.0}, 2, start_from='w.safetensors')
    assert {row.name for row in compare([*runs, begun])} - {'begun'} == {
        row.name for row in compare(runs)}
    rows = {row.name: row for row in compare(runs)}
    assert set(rows) == {'single_a', 'single_b_0', 'both', 'other'}
    assert rows['both'].figures == {'semseg': (0.55, 0.45), 'depth': (1.8, 2.2)}
    assert rows['both'].gains == pytest.approx((0.1, -0.1)) and rows['single_a'].gains == ()
    assert main(['analyze', 'runs', *runs, '--json', str(tmp_path / 'f.json')]) == 0
    text = capsys.readouterr().out
    assert '| both | 2 | 0.5000 ± 0.0707 | 2.00 ± 0.28 | +0.00 ± 14.14 | 0.50 |' in text
    assert len(json.loads((tmp_path / 'f.json').read_text())) == 4


def test_without_single_task_runs_there_is_no_gain(tmp_path):
    row, = compare([write(tmp_path / 'both', {'semseg': 0.5, 'depth': 2.0})])
    assert row.gains == () and row.name == 'both'


def test_what_is_no_run(tmp_path):
    with pytest.raises(ConfigError, match='holds no run'):
        compare([tmp_path])
    folder = write(tmp_path / 'r', {'depth': 1.0})
    (tmp_path / 'r' / 'log.jsonl').unlink()
    with pytest.raises(ConfigError, match='never measured'):
        compare([folder])
