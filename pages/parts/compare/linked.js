// Maps that point at the same two layers: what is pointed at in one is framed in the others, and read out for each.
export default function({ data, parentElement }) {
  const line = parentElement.querySelector('.readout');
  const charts = () => data.charts.map((key) => document.querySelector(`.st-key-${key} .js-plotly-plot`));

  const frame = (chart) => {
    let found = chart.querySelector(':scope > .linked-cell');
    if (!found) {
      found = document.createElement('div');
      found.className = 'linked-cell';
      Object.assign(found.style, {
        position: 'absolute', pointerEvents: 'none', display: 'none', boxSizing: 'border-box', zIndex: 5,
        border: '2px solid #ffffff', outline: '2px solid #000000',
      });
      chart.style.position = 'relative';
      chart.appendChild(found);
    }
    return found;
  };

  // Layers are known by their names: what else a label says, as the shape, differs from network to network.
  const place = (which, names) => {
    const [row, column] = data.layers[which].map((own, side) => own.indexOf(names[side]));
    return row < 0 || column < 0 ? null : { row, column };
  };

  const value = (chart, at) => {
    const z = chart.calcdata && chart.calcdata[0] && chart.calcdata[0][0].z;
    const found = z && z[at.row] ? z[at.row][at.column] : undefined;
    const none = found === undefined || found === null || Number.isNaN(Number(found));
    return none ? '–' : Number(found).toFixed(3).replace(/^-(?=0\.000$)/, ''); // nothing has no sign
  };

  const pointed = (event, from) => {
    const point = event.points.find((one) => Array.isArray(one.pointNumber));
    const here = data.layers[charts().indexOf(from)];
    if (!point || !here) return;
    const told = [], names = here.map((own, side) => own[point.pointNumber[side]]);
    charts().forEach((chart, which) => {
      if (!chart || !chart._fullLayout) return;
      const at = place(which, names), square = frame(chart);
      if (!at) { square.style.display = 'none'; told.push(`${data.names[which]}  –`); return; }
      const { xaxis, yaxis } = chart._fullLayout;
      const wide = Math.abs(xaxis.c2p(1) - xaxis.c2p(0)), high = Math.abs(yaxis.c2p(1) - yaxis.c2p(0));
      const size = { width: Math.max(9, wide + 2), height: Math.max(9, high + 2) };
      Object.assign(square.style, {
        display: chart === from ? 'none' : 'block', width: `${size.width}px`, height: `${size.height}px`,
        left: `${xaxis._offset + xaxis.c2p(at.column) - size.width / 2}px`,
        top: `${yaxis._offset + yaxis.c2p(at.row) - size.height / 2}px`,
      });
      told.push(`${data.names[which]}  ${value(chart, at)}`);
    });
    line.textContent = `A ${names[0]} × B ${names[1]}:  ${told.join('   ')}`;
  };
  const left = () => charts().forEach((chart) => { if (chart) frame(chart).style.display = 'none'; });

  // Charts may be drawn after this, or anew: look again and again, listen once.
  window.ckaLinked = { pointed, left };
  const look = () => charts().forEach((chart) => {
    if (!chart || !chart._ev) return;
    if (chart._ev.listeners('plotly_hover').some((listener) => listener.ofLinked)) return;
    const heard = (event) => window.ckaLinked.pointed(event, chart);
    heard.ofLinked = true;
    chart.on('plotly_hover', heard);
    chart.on('plotly_unhover', () => window.ckaLinked.left());
  });
  look();
  const timer = setInterval(look, 200);
  return () => { clearInterval(timer); left(); };
}
