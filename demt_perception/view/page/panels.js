// The pictures: each panel shows one topic of the chosen camera.

const COUNTS = [1, 2, 4, 6];
const KEY = 'demt-view-panels';

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);   // strings become text nodes: names of topics are never HTML
  return element;
}

class Panel {
  constructor(index, panels) {
    this.title = panels.titles[index] ?? '';
    this.choice = make('select', { 'aria-label': `Topic of picture ${index + 1}` });
    this.age = make('span', { class: 'age' });
    this.enlarge = make('button', { type: 'button', class: 'enlarge', title: 'Enlarge (Enter)',
                                    'aria-label': 'Enlarge', 'aria-pressed': 'false' }, '⤢');
    this.canvas = make('canvas');
    this.note = make('p', {}, 'waiting for the first picture');
    this.cross = make('div', { class: 'cross', hidden: '' });
    this.screen = make('div', { class: 'screen', tabindex: 0, role: 'application' }, this.canvas,
                       this.note, this.cross);
    this.element = make('figure', { class: 'panel' },
                        make('figcaption', {}, this.choice, this.age, this.enlarge), this.screen);
    this.choice.addEventListener('change', () => panels.choose(this, this.choice.value));
    this.enlarge.addEventListener('click', () => panels.enlarge(this));
    this.number = 0;
  }

  async draw(picture) {
    if (picture.error) {
      this.tell(picture.error);
    } else {
      const bitmap = await createImageBitmap(new Blob([picture.data], { type: 'image/jpeg' }));
      if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
        this.canvas.width = bitmap.width;
        this.canvas.height = bitmap.height;
        this.screen.style.setProperty('--aspect', `${picture.width} / ${picture.height}`);
      }
      this.canvas.getContext('2d').drawImage(bitmap, 0, 0);
      bitmap.close();
      this.note.hidden = true;
    }
    this.number = picture.number;
    this.age.textContent = `${picture.width ?? '?'}×${picture.height ?? '?'} · ${aged(picture.age_ms)}`;
  }

  tell(text) {
    this.note.textContent = text;
    this.note.hidden = false;
  }

  forget(text) {
    this.number = 0;
    this.age.textContent = '';
    this.canvas.getContext('2d').clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.tell(text);
  }
}

// A replayed bag has stamps of long ago: that is no latency.
const aged = (ms) => (Math.abs(ms) < 100000 ? `${Math.round(ms)} ms old` : 'recorded');

export class Panels {
  constructor(element, count, onChange) {
    Object.assign(this, { element, count, onChange, topics: [], camera: '', list: [] });
    this.titles = [];
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? '{}');
      if (Array.isArray(kept.titles)) this.titles = kept.titles.map(String);
      this.wanted = COUNTS.includes(kept.count) ? kept.count : 4;
    } catch {
      this.wanted = 4;
    }
    for (const number of COUNTS) {
      const button = make('button', { type: 'button', 'aria-label': `${number} pictures` },
                          String(number));
      button.addEventListener('click', () => this.resize(number));
      count.append(button);
    }
    this.resize(this.wanted);
  }

  resize(number) {
    this.wanted = number;
    while (this.list.length > number) this.list.pop().element.remove();
    while (this.list.length < number) {
      this.list.push(new Panel(this.list.length, this));
      this.element.append(this.list.at(-1).element);
    }
    for (const [index, button] of [...this.count.children].entries()) {
      button.setAttribute('aria-pressed', COUNTS[index] === number);
    }
    this.element.style.setProperty('--columns', { 1: 1, 2: 1, 4: 2, 6: 3 }[number]);
    this.enlarge(null);
    this.offer();
  }

  // Takes the topics of the node over.
  set(topics, camera) {
    this.topics = topics.filter((topic) => topic.shown && topic.camera === camera);
    this.camera = camera;
    this.offer();
  }

  offer() {
    const titles = this.topics.map((topic) => topic.title);
    const first = this.topics.filter((topic) => topic.default)
      .sort((one, other) => one.default - other.default).map((topic) => topic.title);
    const rest = [...first, ...titles.filter((title) => !first.includes(title))];
    for (const [index, panel] of this.list.entries()) {
      if (titles.length && !titles.includes(panel.title)) {
        const used = this.list.map((other) => other.title);
        panel.title = rest.find((title) => !used.includes(title)) ?? rest[index % rest.length];
      }
      panel.choice.replaceChildren(...titles.map((title) => new Option(title, title)));
      panel.choice.value = panel.title;
      const topic = this.topics.find((one) => one.title === panel.title)?.name ?? '';
      if (topic !== panel.topic) {
        panel.topic = topic;
        panel.forget(topic ? 'waiting for the first picture' : 'no topic');
      }
      panel.choice.title = topic;
      panel.screen.setAttribute('aria-label', `${panel.title}: arrow keys move the place whose `
        + 'values are shown, Enter enlarges');
    }
    this.onChange();
  }

  choose(panel, title) {
    panel.title = title;
    this.titles = this.list.map((one) => one.title);
    this.keep();
    this.offer();
  }

  keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify({ titles: this.titles, count: this.wanted }));
    } catch { /* private browsing: not kept */ }
  }

  // One picture over the whole space, or all of them again.
  enlarge(panel) {
    const big = panel && !panel.element.classList.contains('big');
    for (const one of this.list) {
      one.element.classList.toggle('big', big && one === panel);
      one.enlarge.setAttribute('aria-pressed', big && one === panel);
    }
    this.element.classList.toggle('one', Boolean(big));
    this.element.style.setProperty('--columns',
                                   big ? 1 : { 1: 1, 2: 1, 4: 2, 6: 3 }[this.wanted]);
    this.onChange();
  }

  get visible() {
    return this.list.filter((panel) => panel.topic && panel.element.offsetParent);
  }

  get show() {
    return new Map(this.visible.map((panel) => [panel.topic, panel.number]));
  }

  get width() {
    const widths = this.visible.map((panel) => panel.screen.clientWidth);
    return Math.max(1, ...widths) * Math.min(2, devicePixelRatio);
  }

  async draw(pictures) {
    const byTopic = new Map(pictures.map((picture) => [picture.topic, picture]));
    await Promise.all(this.list.filter((panel) => byTopic.has(panel.topic))
      .map((panel) => panel.draw(byTopic.get(panel.topic))));
  }

  cross(place) {
    for (const panel of this.list) {
      panel.cross.hidden = !place;
      if (place) {
        panel.cross.style.left = `${place.u * 100}%`;
        panel.cross.style.top = `${place.v * 100}%`;
      }
    }
  }
}
