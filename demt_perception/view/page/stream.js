// Asks for the next moment when the last one is drawn, so that a slow viewer gets fewer.
// The wire format is described in moments.py.

const PAUSE = 40;        // ms between two requests: at most 25 pictures a second
const RETRY = 1500;      // ms after a failure

const letters = crypto.getRandomValues(new Uint8Array(12));
export const viewer = Array.from(letters, (value) => (value % 36).toString(36)).join('');

const sleep = (time) => new Promise((done) => { setTimeout(done, time); });

export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  for (const picture of head.pictures) {
    picture.data = new Uint8Array(buffer, at, picture.size);
    at += picture.size;
  }
  return head;
}

export class Stream {
  // wants() returns {show: Map of topic to number of frame, width, probing}; onMoment may be async and is
  // waited for; onTrouble gets a text, or '' when all is well again.
  constructor(wants, onMoment, onTrouble) {
    Object.assign(this, { wants, onMoment, onTrouble, version: 0, number: 0 });
  }

  // What is wanted has changed: do not wait for the answer to the old request.
  hurry() {
    this.abort?.abort();
  }

  async run() {
    for (;;) {
      if (document.hidden) {   // nobody looks: the node need not work for this page
        await new Promise((done) => {
          document.addEventListener('visibilitychange', done, { once: true });
        });
        continue;
      }
      const begin = performance.now();
      try {
        await this.step();
        this.onTrouble('');
      } catch (error) {
        if (error.name !== 'AbortError') {
          this.onTrouble(error instanceof TypeError
            ? 'demt view does not answer: has it been stopped?' : error.message);
          // It may be another server that answers next: everything anew, reports included.
          Object.assign(this, { version: 0, number: 0 });
          await sleep(RETRY);
        }
      }
      await sleep(Math.max(0, PAUSE - (performance.now() - begin)));
    }
  }

  async step() {
    const { show, width, probing } = this.wants();
    const query = new URLSearchParams({
      viewer, version: this.version, number: this.number, width: Math.round(width),
      probing: probing ? 1 : 0,
    });
    for (const [topic, number] of show) {
      query.append('show', topic);
      query.append('have', number);
    }
    this.abort = new AbortController();
    const answer = await fetch(`/moment?${query}`, { signal: this.abort.signal });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const moment = unpack(await answer.arrayBuffer());
    await this.onMoment(moment);
    this.version = moment.version;
    if (moment.reports.length) this.number = moment.reports.at(-1).number;
  }
}
