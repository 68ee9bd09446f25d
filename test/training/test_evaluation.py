"""Model folders on datasets of every layout, against a plain computation."""

from dataclasses import replace
import math
import os
import shutil

from archives import write_camvid, write_folder, write_nyud, write_pascal, write_rendered
import cv2
import numpy as np
import pytest
from six_task_model import make_model

pytest.importorskip('onnxruntime')

from demt_perception.inference import Predictor
from demt_perception.model_card import load_card, save_card
from demt_perception.training.datasets import class_edges, FileDataset, LAYOUTS
from demt_perception.training.evaluation import evaluate_camvid, evaluate_rendered, Job, measure
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.job import open_job, STRETCHED
from demt_perception.training.evaluation.report import document, figures_of
from demt_perception.training.metrics import BoundaryScore

WRITERS = {'nyud': lambda root: write_nyud(root, (45, 60), 3), 'pascal': write_pascal,
           'camvid': write_camvid, 'rendered': write_rendered, 'folder': write_folder}
TOLERANCES = {'nyud': 0.011}
SPLITS = {'rendered': '', 'camvid': 'test'}


def with_classes(folder, target, classes):
    """Copy a model and give it the classes of a dataset: its ids 0 to 2 stay what they are."""
    shutil.copytree(folder, target)
    save_card(replace(load_card(folder), classes=tuple(classes),
                      palette=((1, 2, 3),) * len(classes)), target)
    return target


@pytest.fixture(scope='module')
def six(tiny_model, tmp_path_factory):
    return make_model(tmp_path_factory.mktemp('models') / 'six', tiny_model)


@pytest.fixture(scope='module')
def job_of(six, tmp_path_factory):
    """Return a job of the six-task model on a small dataset of a layout."""
    jobs = {}

    def make(layout):
        if layout not in jobs:
            if layout == 'pascal':
                pytest.importorskip('scipy', reason='scipy writes the files: pip install scipy')
            home = tmp_path_factory.mktemp(layout)
            root = WRITERS[layout](home / 'data')
            split = SPLITS.get(layout, 'val')
            classes = LAYOUTS[layout].scan(root, split).classes
            model = with_classes(six, home / 'model', classes)
            jobs[layout] = Job(str(model), str(root), layout, split, (), 'onnxruntime', 1)
        return jobs[layout]
    return make


def plain_figures(job):
    """Compute the main figures image by image and pixel by pixel, with none of our metrics."""
    from pathlib import Path
    predictor = Predictor(job.model, 'onnxruntime', 1)
    listing = LAYOUTS[job.layout].scan(Path(job.root), job.split)
    near, far = (0, math.inf) if job.layout == 'nyud' else predictor.card.depth_range
    pairs = {'semseg': [], 'human_parts': []}
    squares, angles, salient = [], [], []
    boundary = BoundaryScore(TOLERANCES.get(job.layout, 0.0075))
    for sample in FileDataset(listing, resize=job.layout in STRETCHED):
        found = predictor.predict(np.ascontiguousarray(sample.image[..., ::-1]), sample.focal)
        for task, ids in (('semseg', found.semantic), ('human_parts', found.human_parts)):
            label = getattr(sample, task)
            if label is not None and not (
                    job.layout == 'pascal' and task == 'human_parts' and not label.any()):
                pairs[task] += [(p, t) for p, t in zip(ids.ravel().tolist(),
                                                       label.ravel().tolist(), strict=True)
                                if t != 255]
        if sample.depth is not None:
            missing = predictor.card.depth_range[1]
            squares += [((p if math.isfinite(p) else missing) - t) ** 2 for p, t in zip(
                found.depth.ravel().tolist(), sample.depth.ravel().tolist(), strict=True)
                if near <= t <= far and t > 0 and math.isfinite(t)]
        if sample.normals is not None:
            whole = cv2.resize(found.maps['normals'].transpose(1, 2, 0), found.size[::-1])
            for p, t in zip(whole.reshape(-1, 3).astype(float),
                            sample.normals.reshape(-1, 3).astype(float), strict=True):
                if t.any():
                    cosine = p @ t / np.linalg.norm(t) / (np.linalg.norm(p) or 1)
                    angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        if sample.sal is not None:
            salient += [(p, t) for p, t in zip(found.saliency.ravel().tolist(),
                                               sample.sal.ravel().tolist(), strict=True)
                        if t != 255]
        edge = sample.edge
        if edge is None and sample.semseg is not None:
            edge = class_edges(sample.semseg)
        if edge is not None:
            boundary.add(found.boundary.astype(np.float32) / 255, edge)
    figures = {'edge': boundary.summary()['f']}
    figures.update({task: mean_iou(found) for task, found in pairs.items() if found})
    if squares:
        figures['depth'] = math.sqrt(sum(squares) / len(squares))
    if angles:
        figures['normals'] = sum(angles) / len(angles)
    if salient:
        figures['sal'] = max(f_measure(salient, 255 * step / 20) for step in range(1, 20))
    return figures


def mean_iou(pairs):
    ious = []
    for name in {i for pair in pairs for i in pair}:
        hit = sum(p == t == name for p, t in pairs)
        ious.append(hit / sum(name in pair for pair in pairs))
    return sum(ious) / len(ious)


def f_measure(pairs, threshold):
    found = sum(p >= threshold - 1e-3 for p, _ in pairs)
    hit = sum(p >= threshold - 1e-3 and t == 1 for p, t in pairs)
    true = sum(t == 1 for _, t in pairs)
    precision, recall = hit / max(found, 1), hit / max(true, 1)
    return 1.3 * precision * recall / max(0.3 * precision + recall, 1e-12)


@pytest.mark.parametrize('layout', WRITERS)
def test_figures_are_those_of_a_plain_computation(job_of, layout):
    job = job_of(layout)
    tally = measure(job, range(len(open_job(job).samples)))
    wanted = plain_figures(job)
    assert set(tally.metrics) == set(wanted) and not tally.broken
    for task, figure in wanted.items():
        assert tally.metrics[task].main == pytest.approx(figure, rel=1e-5), task


def test_processes_and_ray_give_exactly_the_same(job_of, monkeypatch):
    job = job_of('folder')
    count = len(open_job(job).samples)
    # A shard for each of many, more than there are processes.
    monkeypatch.setattr('demt_perception.training.evaluation.shards.SHARD', 1)
    indices = [index % count for index in range(5)]
    alone = document(job, measure(job, indices))
    several = document(job, measure(job, indices, processes=3))
    assert several == alone and alone['conditions']['images'] == 5
    pytest.importorskip('ray', reason='pip install ray')
    monkeypatch.delenv('RAY_USAGE_STATS_ENABLED', raising=False)
    assert document(job, measure(job, indices, processes=2, ray='local')) == alone
    assert os.environ['RAY_USAGE_STATS_ENABLED'] == '0'


def test_classes_in_another_order_give_the_same_figures(job_of, tmp_path):
    job = job_of('folder')
    classes = load_card(job.model).classes
    # The model's ids 0, 1, 2 now mean the dataset's 1, 2, 0: rename, and measure the same.
    turned = (*classes[1:3], classes[0], *classes[3:])
    shutil.copytree(job.model, tmp_path / 'turned')
    save_card(replace(load_card(job.model), classes=turned), tmp_path / 'turned')
    other = replace(job, model=str(tmp_path / 'turned'), tasks=('semseg',))
    opened = open_job(other)
    found = measure(other, range(2)).metrics['semseg']
    predictor = Predictor(job.model, 'onnxruntime', 1)
    counts = np.zeros_like(found.counts)
    for index in range(2):
        sample = opened.samples[index]
        ids = predictor.predict(np.ascontiguousarray(sample.image[..., ::-1])).semantic
        for p, t in zip(ids.ravel(), sample.semseg.ravel(), strict=True):
            if t != 255:
                counts[t, (1, 2, 0)[p]] += 1
    np.testing.assert_array_equal(found.counts, counts)


def test_pictures_that_are_missing_count_as_broken(job_of, tmp_path):
    job = job_of('folder')
    shutil.copytree(job.root, tmp_path / 'data')
    next((tmp_path / 'data' / 'images').glob('frame_2.*')).unlink()
    tally = measure(replace(job, root=str(tmp_path / 'data')), [0])
    assert tally.images == 1 and len(tally.broken) == 1
    assert 'frame_2' in tally.broken[0].reason


def test_document_holds_the_conditions(job_of):
    job = job_of('camvid')
    content = document(job, measure(job, [0, 1]))
    conditions = content['conditions']
    assert conditions['model_sha256'] == load_card(job.model).onnx_sha256
    assert (conditions['engine'], conditions['images'], conditions['split']) == (
        'onnxruntime', 2, 'test')
    assert conditions['edge_labels'] == 'outlines of the classes'
    assert len(content['iou']['semseg']) == 11 and content['main'].keys() == {'semseg', 'edge'}


def test_what_does_not_fit_is_refused(job_of, tiny_model):
    job = job_of('camvid')
    with pytest.raises(EvaluationError, match=r'depth: none to measure.*model has semseg'):
        open_job(replace(job, tasks=('depth',)))
    with pytest.raises(EvaluationError, match='only the model has'):
        open_job(replace(job, model=str(tiny_model)))
    # Boundaries need no classes that agree.
    edges = replace(job, model=str(tiny_model), tasks=('edge',))
    assert figures_of(measure(edges, [0]))['edge']['images'] == 1


@pytest.mark.parametrize(('layout', 'evaluate'), [
    ('camvid', evaluate_camvid), ('rendered', evaluate_rendered)])
def test_the_card_is_measured_by_the_names_of_classes(job_of, tmp_path, layout, evaluate):
    job = job_of(layout)
    card = load_card(job.model)
    shutil.copytree(job.model, tmp_path / 'turned')
    turned = (*card.classes[1:3], card.classes[0], *card.classes[3:])
    save_card(replace(card, classes=turned), tmp_path / 'turned')
    found = evaluate(Predictor(tmp_path / 'turned', 'onnxruntime', 1), job.root)
    new = document(replace(job, model=str(tmp_path / 'turned'), tasks=('semseg',)), measure(
        replace(job, model=str(tmp_path / 'turned'), tasks=('semseg',)), range(2)))
    assert found['miou'] == new['main']['semseg']
    save_card(replace(card, classes=('odd', *turned[1:])), tmp_path / 'turned')
    with pytest.raises(EvaluationError, match=r"only the model has \['odd'\]"):
        evaluate(Predictor(tmp_path / 'turned', 'onnxruntime', 1), job.root)


def test_the_figures_of_the_card_are_the_same_as_those_of_data(job_of):
    camvid, rendered = job_of('camvid'), job_of('rendered')
    old = evaluate_camvid(Predictor(camvid.model, 'onnxruntime', 1), camvid.root)
    new = document(camvid, measure(camvid, range(2)))
    assert old['miou'] == new['main']['semseg'] and old['boundary']['f'] == new['main']['edge']
    old = evaluate_rendered(Predictor(rendered.model, 'onnxruntime', 1), rendered.root)
    new = document(rendered, measure(rendered, range(2)))
    assert old['depth']['abs_rel'] == pytest.approx(new['figures']['depth']['abs_rel'])
    assert old['normals']['mean_deg'] == new['main']['normals']
