"""A publication that hangs, is held up, or takes too long: told, and when it ends the process."""

from hanging_work import hold_up, looks, working
import pytest
from test_pipeline import SECOND, wait_for

from demt_perception.ros.engine_care import EngineCare, HungError, PERIOD, STUCK
from demt_perception.ros.pipeline import PUBLICATION


@pytest.fixture
def work(tiny_model):
    with working(tiny_model) as work:
        yield work


def test_a_subscriber_that_holds_up_a_publication_is_told_and_ends_nothing(work):
    hold_up(work, '/node/depth/image')
    care = EngineCare()
    wanted, now = looks(care, work.pipeline, PUBLICATION - 1)
    assert not wanted
    assert care.trouble == care.name == ''
    news = []
    for _ in range(round(600 / PERIOD)):
        now += PERIOD
        assert not care.look(work.pipeline, now), 'another engine would not help'
        news += [care.news] if care.news else []
    assert len(news) == 1 and news[0].startswith('a message on /node/depth/image'), 'once'
    assert care.name == 'publication_hung'
    assert care.trouble.startswith('a message on /node/depth/image has not been sent for 60')
    work.camera.may_publish.set()
    wait_for(lambda: work.camera.published)
    assert not care.look(work.pipeline, now)
    assert care.trouble == care.name == ''


def test_a_publication_that_hangs_in_something_else_is_told_and_ends_the_process(work):
    hold_up(work, '')
    care = EngineCare()
    _, now = looks(care, work.pipeline, PUBLICATION + STUCK - 2)
    assert care.name == 'publication_hung'
    assert care.trouble.startswith('a publication has not come back for 6')
    with pytest.raises(HungError, match='publication'):
        looks(care, work.pipeline, 4, now)


def test_a_frame_that_becomes_too_old_while_it_is_published_is_withheld(work):
    sent = []

    def publish(result):
        from demt_perception.ros.frame import check_age
        for topic in 'first', 'second', 'third':
            check_age(result.camera, result.frame)
            sent.append(topic)
            work.camera.time += SECOND * 2 // 5   # max_age is 0.5 s
        return {}

    work.camera.publish = publish
    work.send()
    wait_for(lambda: work.drops.get('too_old') == 1)
    assert sent == ['first', 'second']
    assert work.camera.statistics.snapshot().processed == 0
