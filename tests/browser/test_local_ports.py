"""A page on another port of this machine, in headless Chromium, sends to store and registry whatever a page can send."""

import http.server
import threading
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser

from tests.browser.test_snippet import chromium

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.clickhouse]
#: The store has no password here: what keeps pages out must hold by itself.
TRIES = """async ([store, registry]) => {
  const sql = name => `CREATE TABLE page_${name} (x UInt8) ENGINE = Memory`;
  const at = name => `${store}/?query=${encodeURIComponent(sql(name))}`;
  const subject = name => `${registry}/subjects/page-${name}/versions`;
  const schema = JSON.stringify({schema: '"string"'});
  const answers = [];
  const settled = promise => Promise.race([promise.catch(() => null), new Promise(done => setTimeout(done, 3000))]);
  const element = (tag, attribute, url) => settled(new Promise(done => {
    const made = document.createElement(tag);
    made.onload = made.onerror = done; made[attribute] = url; if (tag === 'link') made.rel = 'stylesheet';
    document.body.append(made);
  }));
  await element('img', 'src', at('img'));
  await element('script', 'src', at('script'));
  await element('iframe', 'src', at('iframe'));
  await element('link', 'href', at('link'));
  const targets = [['store', at('form'), ''], ['registry', subject('form'), schema]];
  for (const [kind, url, text] of targets) for (const method of ['get', 'post'])
    for (const type of ['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded']) {
      const frame = document.createElement('iframe'); frame.name = `f${Math.random()}`; document.body.append(frame);
      const form = document.createElement('form');
      Object.assign(form, {action: url, method, enctype: type, target: frame.name});
      const field = document.createElement('input');
      const json = {name: text.slice(0, -1) + ',"a":"', value: '"}'};
      Object.assign(field, kind === 'store' ? {name: 'query', value: sql('field')} : json);
      form.append(field); document.body.append(form);
      await settled(new Promise(done => { frame.onload = done; form.submit(); }));
    }
  for (const mode of ['no-cors', 'cors']) for (const method of ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])
    for (const [url, body] of [[at('fetch'), undefined], [store + '/', sql('body')], [subject('fetch'), schema]]) {
      const sent = ['GET', 'HEAD'].includes(method) ? undefined : body;
      const answer = await settled(fetch(url, {mode, method, body: sent, referrerPolicy: 'no-referrer'}));
      if (answer && answer.type !== 'opaque') answers.push(await answer.text());
    }
  for (const type of ['text/plain', '']) {
    navigator.sendBeacon(at('beacon'), new Blob([''], {type}));
    navigator.sendBeacon(store + '/', new Blob([sql('blob')], {type}));
    navigator.sendBeacon(subject('beacon'), new Blob([schema], {type}));
  }
  for (const made of [() => new WebSocket(at('socket').replace('http', 'ws')), () => new EventSource(at('events'))])
    await settled(new Promise(done => { const opened = made(); opened.onerror = opened.onopen = done; }));
  const hidden = document.createElement('iframe');
  hidden.sandbox = 'allow-scripts allow-forms';
  hidden.srcdoc = `<script>fetch(${JSON.stringify(at('sandbox'))}, {mode: 'no-cors', method: 'POST'})</` + 'script>';
  document.body.append(hidden);
  await new Promise(done => setTimeout(done, 1500));
  return answers;
}"""


class Quiet(http.server.BaseHTTPRequestHandler):
    """A page and nothing else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body></body>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """Port of a site that is neither of the servers."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "rebound.example.org"])
def test_a_page_elsewhere_writes_nothing(
    chromium: Browser, clickhouse_url: str, registry_url: str, elsewhere: int, name: str
) -> None:
    page = chromium.new_page()
    page.route(
        "http://rebound.example.org:*/", lambda route: route.fulfill(body="<body></body>", content_type="text/html")
    )
    page.goto(f"http://{name}:{elsewhere}/")
    answers = page.evaluate(TRIES, [clickhouse_url, registry_url])
    page.close()
    assert requests.post(clickhouse_url, data="SHOW TABLES LIKE 'page%'", timeout=10).text == ""
    assert not [s for s in requests.get(f"{registry_url}/subjects", timeout=10).json() if s.startswith("page")]
    assert answers == [], "a page could even read"
