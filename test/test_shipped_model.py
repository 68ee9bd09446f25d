"""The shipped models do what their cards say, on pictures they were not trained on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from shared_data import SHARED

from demt_perception.inference import Predictor
from demt_perception.model_card import file_sha256, load_card, WEIGHTS

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / 'models'
SHIPPED = {'demt_driving_fast': ('research', 0.55), 'demt_driving_base': ('research', 0.6),
           'demt_driving_open': ('Apache-2.0', 0.5)}
"""What the licence says, and a CamVid mIoU that the card does not fall below."""
CAMVID = SHARED / 'data' / 'camvid'
SKY, BUILDING, ROAD = 0, 1, 3


@pytest.fixture(scope='module', params=[
    ('demt_driving_fast', 'openvino'), ('demt_driving_fast', 'onnxruntime'),
    ('demt_driving_base', 'openvino'), ('demt_driving_open', 'onnxruntime')], ids='-'.join)
def predictor(request):
    model, engine = request.param
    pytest.importorskip(engine)
    return Predictor(MODELS / model, engine=engine)


def test_every_shipped_model_is_known():
    assert {path.name for path in MODELS.iterdir()} == set(SHIPPED)


@pytest.mark.parametrize('name', SHIPPED)
def test_card_tells_what_it_was_trained_with_and_how_good_it_is(name):
    card, (licence, least) = load_card(MODELS / name), SHIPPED[name]
    assert licence in card.licence.partition('encoder')[0]
    assert ('camvid' in card.training['sources']) == (licence == 'research')
    assert card.training['iterations'] > 0
    assert card.metrics['camvid_test']['miou'] >= least
    assert card.metrics['rendered_held_out']['depth']['abs_rel'] < 0.25
    assert sum(file.stat().st_size for file in (MODELS / name).iterdir()) < 30e6


@pytest.mark.parametrize('name', SHIPPED)
def test_no_path_of_the_training_machine_is_shipped(name):
    for file in ('model.onnx', 'card.yaml'):
        content = (MODELS / name / file).read_bytes()
        assert not [text for text in (b'.py"', b'site-packages', b'/home/', b'/opt/')
                    if text in content]


def test_a_street_is_understood(predictor):
    """The held-out generated street that ships with the package; its geometry is known."""
    image = cv2.imread(str(ROOT / 'demt_perception' / 'inference' / 'probe.jpg'))
    height, width = image.shape[:2]
    result = predictor.predict(image)
    bottom = (slice(int(0.85 * height), None), slice(width // 4, 3 * width // 4))
    assert np.mean(result.semantic[bottom] == ROAD) > 0.9
    # The road points up and comes nearer downwards.
    assert np.nanmean(result.normals[bottom][..., 1]) < -0.95
    rows = np.nanmedian(result.depth[int(0.7 * height):, width // 3:2 * width // 3], axis=1)
    assert rows[0] > 1.3 * rows[-1]
    assert 1 < rows[-1] < 12
    assert np.isnan(result.depth[result.semantic == SKY]).mean() > 0.8
    assert 0.02 < (result.boundary > 127).mean() < 0.4


def test_it_knows_how_sure_it_is(predictor):
    card = predictor.card
    assert card.temperature != 1 and card.uncertainty_factor > 0
    assert card.metrics['camvid_test']['ece'] < 0.05
    image = cv2.imread(str(ROOT / 'demt_perception' / 'inference' / 'probe.jpg'))
    result = predictor.predict(image)
    np.testing.assert_array_equal(np.isnan(result.depth_uncertainty), np.isnan(result.depth))
    share = result.depth_uncertainty / result.depth
    assert 0.02 < np.nanmedian(share) < 0.4
    near, far = result.depth < 10, result.depth > 40
    assert np.median(result.depth_uncertainty[far]) > 3 * np.median(result.depth_uncertainty[near])
    border = cv2.dilate((result.boundary > 127).astype(np.uint8), np.ones((5, 5))) > 0
    assert result.confidence[border].mean() < result.confidence[~border].mean() - 20


def test_camvid_is_segmented_as_the_card_says(predictor):
    if not CAMVID.exists():
        pytest.skip(f'{CAMVID} is not at hand')
    pytest.importorskip('torch', reason='the evaluation is part of training')
    from demt_perception.training.datasets import CamVid
    from demt_perception.training.metrics import ConfusionMatrix
    dataset, confusion = CamVid(CAMVID, 'test'), ConfusionMatrix(11)
    for index in range(0, len(dataset), 4):
        sample = dataset[index]
        bgr = np.ascontiguousarray(sample.image[..., ::-1])
        confusion.add(predictor.predict(bgr).semantic, sample.semseg)
    card = predictor.card.metrics['camvid_test']['miou']
    # A quarter of the pictures, in another engine or precision.
    assert confusion.miou() == pytest.approx(card, abs=0.03)


@pytest.mark.parametrize('name', SHIPPED)
def test_the_card_names_every_file_that_is_shipped(name):
    card = load_card(MODELS / name)
    assert card.onnx_sha256 == file_sha256(MODELS / name / card.onnx)
    weights = MODELS / name / WEIGHTS   # base has none: with them it were over 30 MB
    assert card.weights_sha256 == (file_sha256(weights) if weights.exists() else '')
