// Two layers on the same images: Gram matrices, first components, neighbours, spectra. Nothing is computed here but
// places on the screen; every number comes from cka_core.comparing.cell.

const FULL = 3; // entries of this many times the usual one have the full colour
const TINTS = { light: [[138, 42, 126], [15, 143, 130]], dark: [[232, 130, 198], [86, 214, 198]] }; // above zero, below
const CLASSES = ['#4269d0', '#e2961d', '#d8453f', '#2f9c8f', '#8c5a2b', '#3ca951', '#d05fa8', '#7d4fd6', '#7b8794', '#38b6e0'];
const PICTURE = 32;

const rgb = (text) => {
  const hex = text.trim().replace('#', '');
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
};

function ground(root) {
  const told = getComputedStyle(root).getPropertyValue('--st-secondary-background-color');
  return /^\s*#[0-9a-f]{6}/i.test(told) ? rgb(told) : [240, 240, 240];
}

const tintsOn = (from) => (from[0] + from[1] + from[2] > 384 ? TINTS.light : TINTS.dark);

function tinted(value, most, from) {
  const share = Math.max(-1, Math.min(1, value / most)), to = tintsOn(from)[share >= 0 ? 0 : 1];
  return from.map((channel, i) => channel + (to[i] - channel) * Math.abs(share));
}

// One network's layers in what was kept; B's are A's where a network is compared with itself. Of a first look, which has
// one layer of each, the place of that layer is 0.
function sideOf({ about, arrays }, side) {
  const place = (layer) => (about.only ? 0 : layer);
  const name = side === 1 && (about.only || !about.self) ? 'b' : 'a', get = (what) => arrays[`${name}.${what}`];
  const { m } = about, pairs = (m * (m - 1)) / 2, few = get('shares').shape[1], k = get('neighbours').shape[2];
  const entries = get('entries'), units = get('units');
  return {
    entry(layer, i, j) {
      const low = Math.min(i, j), high = Math.max(i, j);
      return entries[place(layer) * pairs + (low * (2 * m - low - 1)) / 2 + high - low - 1] * units[place(layer)];
    },
    says: (layer) => !Number.isNaN(units[place(layer)]),
    scores: (layer) => get('scores').subarray(place(layer) * 2 * m, (place(layer) + 1) * 2 * m),
    shares: (layer) => get('shares').subarray(place(layer) * few, (place(layer) + 1) * few),
    dimension: (layer) => get('dimensions')[place(layer)],
    neighbours: (layer, i) => Array.from(get('neighbours').subarray((place(layer) * m + i) * k, (place(layer) * m + i + 1) * k)),
  };
}

// The picture of an image of a sheet; its number where there are no pictures.
function pictureOf(about, at, size, sheet = about.sheet, place = at, columns = about.columns) {
  if (!sheet) return make('span', { class: 'number', text: String(at), style: { width: `${size}px`, height: `${size}px` } });
  return make('span', {
    class: 'picture', role: 'img', 'aria-label': nameOf(about, at),
    style: {
      width: `${size}px`, height: `${size}px`, 'background-image': `url(${sheet})`,
      'background-size': `${columns * size}px auto`,
      'background-position': `-${(place % columns) * size}px -${Math.floor(place / columns) * size}px`,
    },
  });
}

const classOf = (name) => (/^\d+$/.test(name) ? `class ${name}` : name); // a number alone may be anything

const nameOf = (about, at) => {
  const label = about.labels[at] === undefined ? '' : `, ${classOf(about.classes[about.labels[at]])}`;
  return `image ${at}${label}`;
};

// The order of the rows and columns of both Gram matrices.
function orderOf(about, sides, cell, by) {
  const all = Array.from({ length: about.m }, (_, i) => i);
  const along = (side) => sides[side].scores(cell[side]);
  const values = by === 'class' && about.labels.length ? about.labels : by === 'b' ? along(1) : along(0);
  return all.sort((one, other) => values[one] - values[other] || one - other);
}

function paintGram(canvas, side, layer, order, from) {
  const m = order.length;
  canvas.width = canvas.height = m;
  const context = canvas.getContext('2d'), image = context.createImageData(m, m);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < m; column++) {
      const colour = row === column ? from : tinted(side.entry(layer, order[row], order[column]), FULL, from);
      image.data.set([...colour, row === column ? 0 : 255], 4 * (row * m + column));
    }
  }
  context.putImageData(image, 0, 0);
}

// The points of a layer in its first components. They stay and move, so that one can follow an image from layer to layer.
function placePoints(svg, side, layer, about, predicted) {
  const scores = side.scores(layer), m = about.m;
  let most = 1;
  for (const value of scores) most = Math.max(most, Math.abs(value));
  for (let i = 0; i < m; i++) {
    const dot = svg.dots[i];
    dot.style.transform = `translate(${(92 * scores[i]) / most}px, ${(-92 * scores[m + i]) / most}px)`;
    const colour = about.labels.length ? CLASSES[about.labels[i] % CLASSES.length] : 'var(--st-primary-color)';
    const wrong = predicted && about.labels.length && predicted[i] !== about.labels[i];
    dot.style.setProperty('--dot', colour);
    dot.classList.toggle('wrong', Boolean(wrong));
  }
}

function drawSpectra(svg, shares, words) {
  const width = 300, height = 130, few = shares[0].length, known = shares.flatMap((one) => Array.from(one)).filter((share) => share > 0);
  if (!known.length) return svg.replaceChildren();
  const high = Math.max(...known), low = Math.min(high / 2, Math.max(1e-5, Math.min(...known)));
  const x = (i) => 4 + ((width - 8) * i) / Math.max(1, few - 1);
  const y = (share) => 14 + ((height - 18) * Math.log(high / Math.max(share, low))) / Math.log(high / low);
  const at = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001, 0.0001].filter((share) => share < high && share > low);
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.replaceChildren(draw('title', { text: words }), ...at.flatMap((share) => [
    draw('line', { x1: 0, x2: width, y1: y(share), y2: y(share), class: 'rule' }),
    draw('text', { x: width, y: y(share) - 2, class: 'at', text: `${Number((100 * share).toPrecision(1))} %` })]));
  shares.forEach((values, side) => {
    if (Number.isNaN(values[0])) return;
    const points = Array.from(values).map((share, i) => `${x(i)},${y(share)}`);
    svg.append(draw('polyline', { points: points.join(' '), class: `line side${side}` }));
  });
}
