// Chapter 5, read the paper's figures: each kind drawn small from the Atlas, one question, its answer folded, its caveat.

const FRAME_TIME = 900; // milliseconds an epoch is shown while it plays

function buildFigures(stage, context) {
  const { steps, palette: packed } = context.figures, palette = unpacked(packed);
  const figure = make('div', { class: 'paper-figure' }), ask = make('div', { class: 'side-panel' });
  let timer = null;
  stage.append(figure, ask);

  const stop = () => { clearInterval(timer); timer = null; };

  function readable(map, value = 'CKA') {
    const made = largeMap(palette);
    made.show(map, { told: map.name, label: `${map.name}: ${map.titles[0]} up the side, ${map.titles[1]} along the bottom.`, value });
    return made.root;
  }

  const figures = {
    grid(step) {
      const grid = make('div', { class: 'paper-grid', style: { '--columns': step.columns.length, '--rows': step.rows.length } });
      grid.append(make('span', {}), ...step.columns.map((text) => make('span', { class: 'head', text })));
      step.rows.forEach((text, row) => {
        grid.append(make('span', { class: 'head', text }));
        step.columns.forEach((_, column) => {
          const cell = step.cells.find((one) => one.row === row && one.column === column);
          grid.append(cell ? smallMap(cell, palette, cell.size, cell.blocks) : make('span', { class: 'none', text: 'not trained' }));
        });
      });
      return [grid];
    },
    frames(step) {
      const map = largeMap(palette);
      const output = make('output', {});
      const slider = make('input', { type: 'range', min: 0, max: step.frames.length - 1, step: 1, 'aria-label': 'Epoch', oninput: () => { stop(); words(); at(Number(slider.value)); } });
      const play = make('button', { type: 'button', class: 'quiet play', onclick: () => { if (timer) { stop(); words(); } else run(); } });
      play.hidden = calm();
      const words = () => { play.textContent = timer ? 'Pause' : 'Play'; };
      const strip = make('div', { class: 'film' }, ...step.frames.map((frame, i) => {
        const canvas = make('canvas', { 'aria-hidden': 'true' });
        paintMap(canvas, frame, palette);
        return make('button', { type: 'button', class: 'thumb', 'aria-label': `epoch ${frame.epoch}`, onclick: () => { stop(); words(); at(i); } }, canvas, make('span', { text: String(frame.epoch) }));
      }));
      const at = (i) => {
        const frame = step.frames[i];
        slider.value = i;
        slider.setAttribute('aria-valuetext', `epoch ${frame.epoch}`);
        output.textContent = frame.epoch;
        map.show(frame, { told: `after epoch ${frame.epoch}: test ${frame.test}, ${frame.blocks}`, label: `${frame.titles[0]} after epoch ${frame.epoch}: ${frame.blocks}.` });
        [...strip.children].forEach((button, each) => button.toggleAttribute('aria-current', each === i));
      };
      const run = () => {
        if (Number(slider.value) === step.frames.length - 1) at(0);
        timer = setInterval(() => {
          at(Number(slider.value) + 1);
          if (Number(slider.value) === step.frames.length - 1) { stop(); words(); }
        }, FRAME_TIME);
        words();
      };
      words();
      at(step.frames.length - 1);
      return [map.root, make('div', { class: 'film-side' }, strip, make('div', { class: 'controls' }, play,
        make('label', { class: 'amount' }, make('span', { text: 'Epoch' }), slider, output)))];
    },
    component(step) {
      return [make('div', { class: 'two-maps' }, readable(step.maps[0]), readable(step.maps[1], '|cos|')), layerCurve(step.curves[0], step.span, window.innerWidth < 900 ? {} : { width: 640, height: 150 }).root];
    },
    probes(step) {
      const values = step.lines.flatMap((line) => line.points.map(([, value]) => value));
      const [low, high] = [Math.floor(Math.min(...values) * 10) / 10, Math.ceil(Math.max(...values) * 10) / 10];
      const ticks = Array.from({ length: Math.round((high - low) * 10) + 1 }, (_, i) => low + i / 10).filter((_, i, all) => all.length < 6 || i % 2 === 0);
      const narrow = window.innerWidth < 900;
      return [curvesChart({
        lines: step.lines.map((line) => ({ ...line, dots: true })), span: step.span, width: narrow ? 430 : 600, height: narrow ? 300 : 370,
        x: { from: 0, to: 1, label: 'the way through the network', ticks: [[0, 'input'], [0.5, 'half'], [1, 'output']] },
        y: { from: low, to: high, label: 'accuracy of a linear probe', ticks, say: (value) => `${Math.round(100 * value)} %` },
        label: `Accuracy of linear probes along ${step.lines.map((line) => line.name).join(' and ')}.`,
      }).root];
    },
    pairs(step) {
      return [make('div', { class: 'two-maps' }, ...step.maps.map((map) => readable(map)))];
    },
    classes(step) {
      const row = (bar) => make('div', { class: 'class-row' }, make('span', { text: bar.class }), make('div', { class: 'class-track' },
        ...bar.sides.map(([middle, low, high], i) => make('div', { class: `reach ${i ? 'unlike' : ''}` },
          make('i', { class: 'reach-line', style: { left: `${100 * low}%`, width: `${100 * (high - low)}%` } }),
          make('i', { class: 'reach-dot', style: { left: `${100 * middle}%` } })))),
        make('span', { class: 'both-values', text: bar.sides.map(([middle]) => `${Math.round(100 * middle)} %`).join(' · ') }));
      return [make('div', { class: 'by-class' }, make('div', { class: 'legend' }, ...step.titles.map((title, i) => make('span', { class: `key ${i ? 'unlike' : ''}`, text: title }))),
        ...step.bars.map(row), make('p', { class: 'note', text: 'Dots: test images of the class that are right; lines: how far that is known.' }))];
    },
    list(step) {
      return [make('ol', { class: 'questions' }, ...step.questions.map(([question, to, link]) => make('li', {}, make('b', { text: `${question} ` }), wayOut(to, link))))];
    },
  };

  return {
    show(at) {
      const step = steps[at];
      stop();
      stage.dataset.kind = step.kind;
      figure.replaceChildren(...figures[step.kind](step));
      ask.replaceChildren(...(!step.question ? [] : [
        make('p', { class: 'question', text: step.question }),
        make('details', {}, make('summary', { text: 'What is seen here' }), make('p', {}, ...context.sentence(step.answer))),
        make('p', { class: 'note caveat' }, make('b', { text: 'Caveat. ' }), ...context.sentence(step.caveat)),
        make('p', {}, wayOut(step.to, step.link)),
      ]));
    },
    end: stop,
  };
}

export default function(component) {
  return tell(component, { steps: component.data.figures.steps, build: buildFigures });
}
