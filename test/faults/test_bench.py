"""The campaign's instruments notice what is wrong; the page holds what was measured."""

from array import array
import json

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from pictures import expected, picture, Sent, SIZE
import run_campaign
from sensor_msgs.msg import Image

SEMANTIC = 'semantic/image'


def output(stamp, colour, size=SIZE):
    """Return what a node must publish of a picture on semantic/image."""
    message = Image(header=picture(colour, stamp).header, height=size[0], width=size[1])
    message.data = array('B', expected(colour, size).semantic.tobytes())
    return message


@pytest.fixture
def sent():
    """Return the memory of two pictures."""
    sent = Sent()
    sent.note(picture(0, 7_000_000_001), 0)
    sent.note(picture(1, 7_000_000_002), 1)
    return sent


def test_right_outputs_are_right(sent):
    assert not sent.trouble(SEMANTIC, output(7_000_000_001, 0))
    assert not sent.trouble(SEMANTIC, output(7_000_000_002, 1))
    assert sent.last[SEMANTIC] == 1
    assert sent.checked == 2


@pytest.mark.parametrize(('message', 'says'), [
    (output(7_000_000_003, 0), 'no good picture'),
    (output(7_000_000_001, 1), 'not what is right'),
    (output(7_000_000_001, 0, (48, 64)), '64x48 of a picture'),
])
def test_wrong_outputs_are_told(sent, message, says):
    assert says in sent.trouble(SEMANTIC, message)


def test_repeated_and_late_outputs_are_told(sent):
    assert not sent.trouble(SEMANTIC, output(7_000_000_002, 1))
    assert 'again' in sent.trouble(SEMANTIC, output(7_000_000_002, 1))
    assert 'again' in sent.trouble(SEMANTIC, output(7_000_000_001, 0))


def test_a_loop_may_repeat_stamps(sent):
    for _ in range(2):
        assert not sent.trouble(SEMANTIC, output(7_000_000_001, 0))
        assert not sent.trouble(SEMANTIC, output(7_000_000_002, 1))
        sent.note(picture(0, 7_000_000_001), 0)
        sent.note(picture(1, 7_000_000_002), 1)


def test_an_output_of_a_bad_picture_is_told(sent):
    message = output(7_000_000_001, 0)
    message.header.frame_id = 'bad'
    assert 'no good picture' in sent.trouble(SEMANTIC, message)


def test_a_row_says_what_must_not_be():
    good = {'wrong': [], 'crashes': [], 'silences': [], 'recoveries': [0.01, 0.9]}
    assert not run_campaign.verdict(good)
    assert '1 wrong' in run_campaign.verdict(good | {'wrong': ['x']})
    assert 'back after 1.50 s' in run_campaign.verdict(good | {'recoveries': [0.1, 1.5]})


def test_percentiles_are_of_the_values():
    values = list(range(1, 21))
    assert [run_campaign.percentile(values, share) for share in (0.5, 0.95, 1)] == [10, 19, 20]
    assert run_campaign.percentile([3.0], 0.5) == 3.0


def test_the_page_holds_the_table_of_what_was_measured():
    rows = json.loads(run_campaign.RESULTS.read_text())
    assert run_campaign.table(rows) in run_campaign.PAGE.read_text()
