"""The page in headless Chromium, fed with made-up frames: what a person sees and does."""

import threading
import time

import cv2
import numpy as np
import pytest
from view_testing import frame, NAMES, put_all, SIZE, state, TOPICS
import webdriver

from demt_perception.view import hub as hubs
from demt_perception.view import viewers

pytestmark = pytest.mark.skipif(bool(webdriver.missing()), reason=webdriver.missing() or 'here')

RIGHT, ESCAPE, ENTER = '\ue014', '\ue00c', '\ue007'
DRAWN = ("return [...document.querySelectorAll('.screen p')].filter((p) => p.hidden).length"
         ' >= arguments[0]')
PROBE = "return document.querySelector('#probe').innerText.split('\\n')"
FILLED = "return document.querySelectorAll('#probe dd').length >= 4"
PICTURE = """const canvas = document.querySelectorAll('.screen canvas')[arguments[0]];
return [...canvas.getContext('2d').getImageData(canvas.width * arguments[1] | 0,
                                                canvas.height / 2 | 0, 1, 1).data]"""


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    browser = webdriver.Browser(tmp_path_factory.mktemp('profile'))
    yield browser
    browser.close()


@pytest.fixture
def page(browser, server, hub):
    """Return the browser with the page open, while frames and reports come."""
    over = threading.Event()

    def feed():
        stamp = 0
        while not over.wait(0.05):
            stamp += 1
            put_all(hub, time.time_ns() // 1_000_000_000 * 1_000_000_000 + stamp)
            if stamp % 10 == 1:
                hub.add_report({
                    'camera': '', 'time': time.time(), 'model': 'm', 'engine': 'e',
                    'device': 'CPU', 'precision': 'f32', 'input_rate': 30.0, 'output_rate': 20.0,
                    'received': 9, 'processed': 6, 'dropped': 3, 'idle': 0,
                    'drops': {'superseded': 3}, 'stages': {'engine': [20, 30], 'total': [40, 60]}})

    thread = threading.Thread(target=feed)
    thread.start()
    browser.open(server.url)
    browser.run('localStorage.clear()')
    browser.open(server.url)
    browser.wait(DRAWN, 2)
    yield browser
    browser.open('about:blank')
    over.set()
    thread.join()
    # But for advice about how the tests read pixels.
    assert not [line for line in browser.log() if 'willReadFrequently' not in line]


def near(color, wanted):
    return max(abs(a - b) for a, b in zip(color[:3], wanted, strict=True)) < 12


def test_pictures_legend_and_figures_are_shown(page, hub):
    assert near(page.run(PICTURE, 0, 0.5), (200, 40, 40))
    assert near(page.run(PICTURE, 1, 0.2), (51, 51, 51))
    assert near(page.run(PICTURE, 1, 0.8), (255, 255, 255))
    # A class name that is HTML stays text.
    assert page.run("return [...document.querySelectorAll('#legend span')].map("
                    '(one) => one.textContent)') == list(NAMES)
    assert page.run("return document.querySelectorAll('#legend img').length") == 0
    page.wait("return document.querySelector('#counts').innerText.includes('superseded')")
    assert '20.0' in page.run("return document.querySelector('#stages').innerText")
    hub.set_state(state(health=[{'name': 'n: inference', 'level': 2, 'message': '<b>broken</b>',
                                 'values': [['key', 'value']]}]), TOPICS, {'': NAMES})
    assert page.wait("return document.querySelector('#status').dataset.level === '2' && "
                     "document.querySelector('#status').innerText") == '<b>broken</b>'


def test_figures_that_are_open_stay_open_and_keep_the_focus(page, hub):
    def report(message, value):
        hub.set_state(state(health=[{'name': 'n: inference', 'level': 0, 'message': message,
                                     'values': [['rss_mb', value]]}]), TOPICS, {'': NAMES})
        page.wait("return document.querySelector('#health p')?.innerText.includes(arguments[0])",
                  message)

    report('first', '1')
    page.run("document.querySelector('#health summary').click();"
             "document.querySelector('#health summary').focus()")
    report('second', '<i>2</i>')
    assert '<i>2</i>' in page.run("return document.querySelector('#health dl').innerText")
    assert page.run('return document.activeElement.localName') == 'summary'


def test_the_pointer_and_the_arrow_keys_read_values(page):
    page.point('.screen', 0.75, 0.5)
    page.wait(FILLED)
    assert page.run(PROBE)[:2] == ['Class', NAMES[1]]
    assert '12.25 m' in page.run(PROBE)
    assert page.run("return document.querySelector('#legend .hit').dataset.id") == '1'
    page.point('header', 0.5, 0.5)
    page.wait("return !document.querySelector('#probe').children.length")
    page.run("document.querySelector('.screen').focus()")
    page.press(RIGHT, RIGHT)
    page.wait(FILLED)
    assert page.run("return parseFloat(document.querySelector('.cross').style.left)") == (
        pytest.approx(52))
    page.press(ESCAPE)
    page.wait("return document.querySelector('.cross').hidden")


def test_a_pause_freezes_picture_and_values(page):
    page.press(' ')
    page.wait("return document.querySelector('#pause').getAttribute('aria-pressed') === 'true'")
    time.sleep(0.5)
    age = "return document.querySelector('.age').textContent"
    before = page.run(age)
    page.point('.screen', 0.75, 0.5)
    page.wait(FILLED)
    assert page.run(PROBE)[1] == NAMES[1]
    assert page.run(age) == before
    page.press(' ')
    page.wait(f'{age} !== arguments[0]', before)


def hide(page, hidden):
    """Make the page believe that its tab is in the background, or back."""
    page.run("Object.defineProperty(document, 'hidden', "
             '{value: arguments[0], configurable: true});'
             "document.dispatchEvent(new Event('visibilitychange'))", hidden)


@pytest.mark.parametrize('kept', [True, False])
def test_a_paused_page_that_was_in_the_background_has_its_values_or_says_so(
        page, hub, monkeypatch, kept):
    def wait_while(wanted):
        limit = time.monotonic() + webdriver.PATIENCE
        while wanted():
            assert time.monotonic() < limit
            time.sleep(0.05)

    page.press(' ')
    page.point('.screen', 0.75, 0.5)
    page.wait(FILLED)
    wait_while(lambda: hub.wanted()[1])   # a paused page wants no topics
    if not kept:
        monkeypatch.setattr(viewers, 'PAUSE', 0.0)
    hide(page, True)
    wait_while(lambda: hub.wanted()[0])
    hub.wanted()
    hide(page, False)
    page.point('.screen', 0.25, 0.5)
    if kept:
        page.wait(f'{PROBE}[1] === arguments[0]', NAMES[0])
    else:
        page.wait("return document.querySelector('#probe').innerText.includes('gone: resume')")
    page.press(' ')
    page.point('.screen', 0.75, 0.5)
    page.wait(FILLED)


def test_a_camera_that_does_not_stamp_is_seen(browser, server, hub):
    browser.open(server.url)
    put_all(hub, 0)
    browser.wait(DRAWN, 2)
    hub.put('/n/boundary/image', frame(np.full(SIZE, 90, np.uint8), 0))
    limit = time.monotonic() + webdriver.PATIENCE
    while not near(browser.run(PICTURE, 1, 0.8), (90, 90, 90)):
        assert time.monotonic() < limit
        time.sleep(0.05)
    browser.open('about:blank')


def test_topics_layout_and_theme_can_be_chosen(page):
    page.run("const one = document.querySelector('.panel select'); one.value = 'Camera';"
             "one.dispatchEvent(new Event('change'))")
    limit = time.monotonic() + webdriver.PATIENCE
    while not near(page.run(PICTURE, 0, 0.5), (200, 40, 40)[::-1]):
        assert time.monotonic() < limit, page.run(PICTURE, 0, 0.5)
        time.sleep(0.05)
    page.run("document.querySelector('.screen').focus()")
    page.press(ENTER)
    page.wait("return [...document.querySelectorAll('.panel')].filter("
              '(one) => one.offsetParent).length === 1')
    page.run("document.querySelectorAll('#count button')[2].click()")
    page.wait("return [...document.querySelectorAll('.panel')].filter("
              '(one) => one.offsetParent).length === 4')
    ground = 'return getComputedStyle(document.body).backgroundColor'
    before = page.run(ground)
    page.press('d')
    assert page.run(ground) != before


def test_a_screenshot_shows_the_pictures(page):
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == 1600
    red = (np.abs(picture.astype(int) - (40, 40, 200)).max(-1) < 16).mean()
    assert red > 0.1, f'{red:.3f} of the page is the red picture'
    assert SIZE[1] / SIZE[0] == pytest.approx(page.run(
        "const box = document.querySelector('.screen').getBoundingClientRect();"
        'return box.width / box.height'), rel=0.01)


def test_after_a_failed_request_all_reports_are_asked_for_again(page):
    page.wait("return document.querySelector('#model').innerText.startsWith('m')")
    page.run("""const ask = window.fetch;
        window.asked = [];
        window.fetch = (address) => {
          window.asked.push(address);
          window.fetch = (other, options) => {
            window.asked.push(other);
            return ask(other, options);
          };
          return Promise.reject(new TypeError('gone'));
        };""")
    failed, again = page.wait('return window.asked.length > 1 && window.asked.slice(0, 2)')
    assert 'number=0' not in failed
    assert 'version=0&number=0' in again


def test_reports_of_one_camera_do_not_push_out_those_of_another(browser, server, hub, monkeypatch):
    monkeypatch.setattr(hubs, 'HISTORY', 1000)   # what is tried is the page
    report = {
        'camera': '', 'time': time.time(), 'model': 'mine', 'engine': 'e', 'device': 'CPU',
        'precision': 'f32', 'input_rate': 30.0, 'output_rate': 20.0, 'received': 9,
        'processed': 6, 'dropped': 3, 'idle': 0, 'drops': {}, 'stages': {'total': [40, 60]}}
    hub.add_report(report)
    for _ in range(700):
        hub.add_report({**report, 'camera': 'other', 'model': 'others'})
    browser.open(server.url)
    browser.wait("return document.querySelector('#model').innerText")
    assert browser.run("return document.querySelector('#model').innerText").startswith('mine ')
    browser.open('about:blank')


def test_the_colours_of_the_ball_are_called_what_they_are(page):
    def color(row):   # down the middle: upwards at the top, towards the camera in the centre
        return page.run("return [...document.querySelector('#ball').getContext('2d')"
                        f'.getImageData(44, {row}, 1, 1).data]')

    assert near(color(2), (128, 6, 86))    # almost that of a floor
    assert near(color(44), (128, 128, 0))   # that of a wall that faces the camera
    assert page.run("return document.querySelector('#ball').ariaLabel").endswith(
        'a floor is purple, a wall that faces you olive')


def test_a_server_that_ends_is_told(page, server, hub):
    server.shutdown()
    server.server_close()
    hub.close()
    page.wait("return document.querySelector('#status').innerText.includes('stopped?')")
    assert page.run("return document.querySelector('#status').dataset.level") == '2'
    page.open('about:blank')
    page.log()   # the browser's own complaints about refused connections
