"""Human parts and saliency from the graph to pictures."""

import cv2
import numpy as np
import pytest
from six_task_model import make_model

from demt_perception.class_lists import HUMAN_PARTS, voc_palette
from demt_perception.cli.main import main
from demt_perception.inference import EngineError, Predictor
from demt_perception.tasks import TASKS


@pytest.fixture(scope='module')
def six(tiny_model, tmp_path_factory):
    return make_model(tmp_path_factory.mktemp('models') / 'six', tiny_model)


@pytest.fixture
def image():
    bgr = np.zeros((120, 200, 3), np.uint8)
    bgr[:, :100, 2] = 255
    bgr[:, 100:, 0] = 255
    return bgr


def test_the_outputs_are_what_the_graph_gives(six, image):
    predictions = Predictor(six, 'onnxruntime', 1).predict(image)
    parts = predictions.human_parts
    assert (parts.shape, parts.dtype) == ((120, 200), np.uint8)
    assert parts[60, 20] == 0
    assert parts[60, 180] == 6
    assert predictions.human_parts_color[60, 20].tolist() == [0, 0, 0]
    assert tuple(predictions.human_parts_color[60, 180]) == voc_palette(7)[6] == (0, 128, 128)
    np.testing.assert_array_equal(predictions.saliency, predictions.confidence)
    assert {'human_parts', 'human_parts_color', 'saliency'} <= set(predictions.timings)
    assert len(HUMAN_PARTS) == TASKS['human_parts'].channels


def test_the_sheet_has_two_more_panels(six, tiny_model, image):
    height = Predictor(tiny_model, 'onnxruntime', 1).predict(image).sheet().shape[0]
    sheet = Predictor(six, 'onnxruntime', 1).predict(image).sheet()
    assert sheet.shape[0] == pytest.approx(4 / 3 * height, abs=9)  # a fourth row of three


def test_predict_writes_them(six, image, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    assert main(['predict', str(tmp_path / 'a.png'), '--out', str(tmp_path / 'out'),
                 '--model', str(six), '--engine', 'onnxruntime']) == 0
    parts = cv2.imread(str(tmp_path / 'out' / 'a_human_parts.png'), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(parts)) == {0, 6}
    color = cv2.imread(str(tmp_path / 'out' / 'a_human_parts_color.png'))
    assert color[60, 180].tolist() == [128, 128, 0]
    assert (tmp_path / 'out' / 'a_saliency.png').exists()


def test_a_part_that_does_not_exist_is_an_error(tiny_model, tmp_path):
    folder = make_model(tmp_path / 'wrong', tiny_model, parts=4)
    predictor = Predictor(folder, 'onnxruntime', 1)
    with pytest.raises(EngineError, match=r'class 8, its card has 7 classes.*human_parts'):
        predictor.predict(np.full((64, 64, 3), (255, 0, 0), np.uint8))


def test_a_model_without_them_says_so(tiny_model, image):
    predictions = Predictor(tiny_model, 'onnxruntime', 1).predict(image)
    with pytest.raises(AttributeError, match="no output 'saliency'"):
        _ = predictions.saliency


def test_voc_palette_is_the_known_one():
    assert voc_palette(6) == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128),
                              (128, 0, 128))
    assert voc_palette(1, 20) == ((0, 64, 128),)
