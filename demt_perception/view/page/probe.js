// The place whose values are shown: under the pointer, held by a click, or moved by arrow keys.

import { make } from './panels.js';
import { viewer } from './stream.js';

const STEP = 0.01;
const WAITING = 'waiting for the values';
const GONE = 'the values are gone: resume for new ones';
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const within = (value) => Math.min(1, Math.max(0, value));

export class Probe {
  constructor(panels, list, onChange) {
    Object.assign(this, { panels, list, onChange, place: null, held: false });
    this.missing = WAITING;
    const area = panels.element;
    area.addEventListener('pointermove', (event) => {
      if (!this.held && event.target.closest('.screen')) this.move(this.at(event));
    });
    area.addEventListener('pointerleave', () => { if (!this.held) this.move(null); });
    area.addEventListener('click', (event) => {
      if (!event.target.closest('.screen')) return;
      this.held = !this.held;
      this.move(this.at(event));
    });
    area.addEventListener('keydown', (event) => {
      const panel = panels.list.find((one) => one.screen === event.target);
      if (!panel) return;
      if (event.key in ARROWS) {
        const [x, y] = ARROWS[event.key];
        const step = STEP * (event.shiftKey ? 5 : 1);
        const { u, v } = this.place ?? { u: 0.5, v: 0.5 };
        this.held = true;
        this.move({ u: within(u + x * step), v: within(v + y * step) });
        event.preventDefault();
      } else if (event.key === 'Enter') {
        panels.enlarge(panel);
        panel.screen.focus();
      }
    });
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') {
        this.held = false;
        this.move(null);
      }
    });
  }

  at(event) {
    const box = event.target.closest('.screen').getBoundingClientRect();
    return { u: within((event.clientX - box.left) / box.width),
             v: within((event.clientY - box.top) / box.height) };
  }

  move(place) {
    const before = this.place;
    this.place = place;
    this.panels.cross(place);
    if (Boolean(before) !== Boolean(place)) this.onChange();
    this.ask();
  }

  // A frozen picture gets no new values.
  freeze(frozen) {
    this.missing = frozen ? GONE : WAITING;
    this.ask();
  }

  // One request at a time; the last place wins.
  async ask() {
    if (!this.place) {
      this.list.replaceChildren();
      this.onClass?.(null);
    }
    if (this.asking || !this.place) return;
    this.asking = true;
    const place = this.place;
    try {
      const query = new URLSearchParams({ viewer, camera: this.panels.camera, ...place });
      const answer = await fetch(`/values?${query}`);
      if (answer.ok && this.place) this.write(await answer.json());
    } catch { /* the stream says so */ }
    this.asking = false;
    if (this.place && this.place !== place) setTimeout(() => this.ask(), 30);
  }

  write(values) {
    const rows = [];
    let hit = null;
    for (const value of values) {
      const text = make('dd', {}, value.text);
      if (value.more) text.append(make('small', {}, value.more));
      rows.push(make('dt', {}, value.title), text);
      hit ??= value.id ?? null;
    }
    if (!rows.length) rows.push(make('dt', {}, this.missing), make('dd'));
    this.list.replaceChildren(...rows);
    this.onClass?.(hit);
  }
}
