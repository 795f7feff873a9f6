// The map before and after leaving images out, and the difference: three small maps on the same scales.

function buildLeft(root, state, glossary) {
  const left = {};
  const ask = (value) => {
    root.dataset.waits = 'yes';
    state.tell('leave', { of: state.walk.data.of, ...value });
  };
  left.count = make('input', { type: 'range', min: '1', max: '32', step: '1', value: '5', 'aria-label': 'How many of the most influential images',
    oninput: () => { left.many.textContent = left.count.value; } });
  left.many = make('output', { text: '5' });
  left.most = make('button', { type: 'button', class: 'do', text: 'Leave out the most influential', onclick: () => ask({ count: Number(left.count.value) }) });
  left.chosen = make('span', { class: 'chosen' });
  left.these = make('button', { type: 'button', class: 'do', text: 'Leave out the picked', onclick: () => ask({ images: [...state.picked] }) });
  left.maps = ['before', 'after', 'difference'].map((name) => {
    const made = make('figure', { 'data-map': name }, make('figcaption', { text: name }), make('canvas', { role: 'img', 'aria-label': `The map ${name}` }));
    made.onpointermove = (event) => hoverLeft(state, made, event);
    return made;
  });
  left.words = make('p', { class: 'words' });
  left.gone = make('div', { class: 'gone' });
  left.hover = make('p', { class: 'hovered' });
  root.replaceChildren(
    make('div', { class: 'bar' }, make('h2', {}, 'Do few images make the map? Leave some out')),
    make('div', { class: 'ask' }, make('label', {}, left.count, left.many), left.most, left.chosen, left.these),
    left.words, left.gone, make('div', { class: 'maps' }, ...left.maps), left.hover);
  return left;
}

// As many of the most influential as can go from any minibatch.
function limitLeft(state) {
  const { left, shown } = state, { spare } = shown.about;
  left.count.max = String(Math.max(1, spare));
  left.many.textContent = left.count.value;
  left.count.disabled = left.most.disabled = !spare;
  left.most.title = spare ? '' : 'CKA needs 4 images in a minibatch: none can be left out.';
}

function showPicked(state) {
  const { left, shown, picked } = state, list = [...picked];
  left.chosen.replaceChildren(...list.map((at) => pick(state, at, at < shown.about.m ? pictureOf(shown.about, at, 28)
    : make('span', { class: 'number', text: String(at), style: { width: '28px', height: '28px' } }), '', `image ${at}: put it back`)),
    ...(list.length ? [] : [make('small', { text: shown.about.spare ? 'or pick images in the strips above' : left.most.title })]));
  left.these.disabled = !list.length || list.length > 32 || !shown.about.spare;
  left.these.textContent = list.length ? `Leave out the ${list.length} picked` : 'Leave out the picked';
}

function showLeft(state) {
  const { left, walk } = state, root = left.words.parentElement, name = walk.data.left, now = name ? kept(name) : null;
  if (walk.data.runs !== state.runs) {
    state.runs = walk.data.runs;
    root.dataset.waits = 'no';
  }
  root.classList.toggle('asked', Boolean(now));
  left.gone.replaceChildren();
  left.words.textContent = walk.data.problem || (now ? now.about.words : '');
  if (!now) {
    state.leftShown = null;
    return;
  }
  left.gone.replaceChildren(...now.about.images.map((at, place) => pictureOf(state.shown.about, at, 32, now.about.sheet, place, now.about.images.length)));
  if (now === state.leftShown) return;
  state.leftShown = now;
  left.hover.textContent = '';
  const { palette, difference } = now.arrays, [rows, columns] = difference.shape;
  let most = 0.05;
  for (const value of difference) if (!Number.isNaN(value)) most = Math.max(most, Math.abs(value));
  const from = ground(root), none = palette.subarray(0, 3);
  for (const figure of left.maps) {
    const canvas = figure.querySelector('canvas'), values = now.arrays[figure.dataset.map];
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext('2d'), image = context.createImageData(columns, rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const value = values[row * columns + column], shade = 3 * (1 + Math.round(254 * Math.max(0, Math.min(1, value))));
        const colour = Number.isNaN(value) ? none : figure.dataset.map === 'difference' ? tinted(value, most, from) : palette.subarray(shade, shade + 3);
        image.data.set([...colour, 255], 4 * ((rows - 1 - row) * columns + column)); // the input at the bottom left
      }
    }
    context.putImageData(image, 0, 0);
    figure.querySelector('figcaption').textContent = figure.dataset.map === 'difference' ? `difference, −${say(most)} to ${say(most)}` : `${figure.dataset.map}, 0 to 1`;
  }
}

function hoverLeft(state, figure, event) {
  const now = state.leftShown;
  if (!now) return;
  const box = figure.querySelector('canvas').getBoundingClientRect(), [rows, columns] = now.arrays.difference.shape;
  const row = rows - 1 - Math.floor((rows * (event.clientY - box.top)) / box.height), column = Math.floor((columns * (event.clientX - box.left)) / box.width);
  if (row < 0 || row >= rows || column < 0 || column >= columns) return;
  const [before, after, change] = ['before', 'after', 'difference'].map((name) => now.arrays[name][row * columns + column]);
  const { layers } = state.shown.about;
  state.left.hover.textContent = `A ${layers[0][row][0]} · B ${layers[1][column][0]}: ${Number.isNaN(change) ? 'no CKA' : `before ${say(before, 3)}, after ${say(after, 3)}, difference ${say(change, 3)}`}`;
}
