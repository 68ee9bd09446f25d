"""A browser without a screen, driven by ChromeDriver over the WebDriver protocol (W3C).

https://www.w3.org/TR/webdriver2/ ; only what the tests need, so that no package is needed.
"""

import base64
import json
import re
import shutil
import subprocess
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE = 30.0
# Nothing is looked for outside: the tests' page is on this machine.
FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--disable-dev-shm-usage', '--hide-scrollbars', '--force-device-scale-factor=1')


def missing():
    """Return why there is no browser to test in, or ''."""
    if shutil.which('chromedriver') and chromium():
        return ''
    return 'no Chromium with ChromeDriver: apt-get install chromium chromium-driver'


def chromium():
    """Return the browser, or None."""
    return shutil.which('chromium') or shutil.which('google-chrome')


class Browser:
    """One window; ends with ``close``."""

    def __init__(self, profile, size=(1600, 1000)):
        self._driver = subprocess.Popen(
            ['chromedriver', '--port=0', '--allowed-ips='], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self._base = None
        for line in self._driver.stdout:
            if found := re.search(r'started successfully on port (\d+)', line):
                self._base = f'http://127.0.0.1:{found[1]}'
                break
        assert self._base, 'ChromeDriver ended at once'
        answer = self._call('POST', '/session', {'capabilities': {'alwaysMatch': {
            'goog:chromeOptions': {
                'binary': chromium(), 'args': [
                    *FLAGS, f'--user-data-dir={profile}',
                    f'--window-size={size[0]},{size[1]}']},
            'goog:loggingPrefs': {'browser': 'ALL'}}}})
        self._session = f'/session/{answer["sessionId"]}'

    def close(self):
        try:
            self._call('DELETE', self._session)
        finally:
            self._driver.terminate()
            self._driver.wait(PATIENCE)
            self._driver.stdout.close()

    def open(self, url):
        self.post('/url', {'url': url})

    def run(self, script, *arguments):
        """Return what the body of a JavaScript function returns."""
        return self.post('/execute/sync', {'script': script, 'args': list(arguments)})

    def wait(self, script, *arguments):
        """Wait until a script returns something true, and return that."""
        limit = time.monotonic() + PATIENCE
        while not (value := self.run(script, *arguments)):
            assert time.monotonic() < limit, f'in vain waited for: {script}\n{self.log()}'
            time.sleep(0.05)
        return value

    def point(self, selector, u, v):
        """Move the pointer to a place in an element, as shares of its width and height."""
        box = self.run('const b = document.querySelector(arguments[0]).getBoundingClientRect();'
                       'return [b.left, b.top, b.width, b.height]', selector)
        self.post('/actions', {'actions': [{
            'type': 'pointer', 'id': 'mouse', 'parameters': {'pointerType': 'mouse'},
            'actions': [{'type': 'pointerMove', 'duration': 0,
                         'x': round(box[0] + u * box[2]), 'y': round(box[1] + v * box[3])}]}]})

    def press(self, *keys):
        """Press and release keys, one after the other, by their WebDriver characters."""
        actions = [{'type': kind, 'value': key} for key in keys for kind in ('keyDown', 'keyUp')]
        self.post('/actions', {'actions': [{'type': 'key', 'id': 'keys', 'actions': actions}]})

    def screenshot(self):
        """Return the window as PNG."""
        return base64.b64decode(self._call('GET', f'{self._session}/screenshot'))

    def log(self):
        """Return what the console said since the last call: errors, and refused requests."""
        return [entry['message'] for entry in self.post('/se/log', {'type': 'browser'})]

    def post(self, path, body):
        return self._call('POST', self._session + path, body)

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._base + path, data, {'Content-Type': 'application/json'},
                          method=method)
        try:
            with urlopen(request, timeout=60) as answer:
                return json.load(answer)['value']
        except HTTPError as error:
            raise AssertionError(f'{path}: {error.read().decode(errors="replace")}') from error
