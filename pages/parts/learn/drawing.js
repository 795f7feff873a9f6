// What the chapters draw with: elements, numbers in words, equations whose terms light up.

// An element: attributes whose name begins with "on" are listeners, `text` is its text, `html` is our own markup only.
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  dress(made, attributes);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function draw(tag, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  dress(made, attributes);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function dress(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'text') made.textContent = value;
    else if (name === 'html') made.innerHTML = value;
    else if (name === 'style') for (const [key, worth] of Object.entries(value)) made.style.setProperty(key, worth);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
}

const calm = () => window.matchMedia('(prefers-reduced-motion: reduce)').matches;

// A number as it is read: a true minus, no "-0.00".
function say(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? '−' : '') + text;
}

// A number whose size is not known beforehand, with about three digits.
function sayShort(value) {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.0001) return say(value, 6);
  return say(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : size >= 0.01 ? 3 : 4);
}

// A number with three digits that say something, for what is computed further with.
const sayDigits = (value) => say(value, value === 0 ? 2 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));

const thousands = (value) => value.toLocaleString('en-US');

// How a value is coloured: `--v` from −1 to 1, as a share of the hue for what is above or below zero (learn.css).
function tint(cell, value, most) {
  const share = most > 0 ? Math.max(-1, Math.min(1, value / most)) : 0;
  cell.style.setProperty('--up', `${(Math.max(share, 0) * 100).toFixed(1)}%`);
  cell.style.setProperty('--down', `${(Math.max(-share, 0) * 100).toFixed(1)}%`);
}

// Black or white on a tinted cell, whichever is read better; to be called when the cell stands on the page.
function inkOn(cell) {
  const parts = getComputedStyle(cell).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [1, 1, 1];
  const whole = getComputedStyle(cell).backgroundColor.startsWith('rgb') ? 255 : 1;
  const [r, g, b] = parts.map((part) => part / whole).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  cell.style.color = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000' : '#fff';
}

// Equations, as markup. A letter with a second sign is centred (K̃). `term` makes a part that lights up, and lights up what it stands for.
const maths = {
  term: (name, inside) => `<span class="part" data-term="${name}">${inside}</span>`,
  name: (letter, index = '') => `<span class="name"><i${letter.length > 1 ? ' class="tilde"' : ''}>${letter[0]}</i>${index ? `<sub>${index}</sub>` : ''}</span>`,
  over: (top, bottom) => `<span class="over"><span>${top}</span><span>${bottom}</span></span>`,
  root: (inside) => `<span class="root"><span>${inside}</span></span>`,
  sum: (below) => `<span class="sum"><span>∑</span><small>${below}</small></span>`,
};

// One equation: `label` is how it is read aloud.
function equation(label, markup) {
  return make('div', { class: 'equation', role: 'math', 'aria-label': label, html: markup });
}

// Lights up every part of `root` that carries one of the terms, and nothing else.
function lightTerms(root, names) {
  for (const part of root.querySelectorAll('[data-term]')) part.classList.toggle('lit', names.includes(part.dataset.term));
}

// A row of choices of which one is taken, as radio buttons that look like one bar.
function choices(label, options, chosen, choose) {
  const bar = make('div', { class: 'choices', role: 'radiogroup', 'aria-label': label });
  const pick = (at, focus) => {
    [...bar.children].forEach((button, i) => {
      button.setAttribute('aria-checked', i === at);
      button.tabIndex = i === at ? 0 : -1;
    });
    if (focus) bar.children[at].focus();
  };
  options.forEach((text, i) => bar.append(make('button', {
    type: 'button', role: 'radio', text, onclick: () => { pick(i); choose(i); },
    onkeydown: (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      const to = (i + by + options.length) % options.length;
      pick(to, true);
      choose(to);
    },
  })));
  pick(chosen);
  bar.pick = (at) => pick(at);
  return bar;
}

// Normal numbers that are the same on every visit: mulberry32 and Box and Muller.
function normals(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
