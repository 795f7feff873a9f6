// Draws nothing itself: beside the pointer, the picture of the point of a scatter that it is over.
// `data`: `chart` (key of the chart), `sheet` (a data URL), its `columns`, and `side`, pixels of one picture in it.

const SIZE = 96;

export default function({ data }) {
  const picture = document.createElement('div');
  picture.className = 'atlas-picture';
  Object.assign(picture.style, {
    position: 'fixed', width: `${SIZE}px`, height: `${SIZE}px`, display: 'none', pointerEvents: 'none', zIndex: 1000,
    backgroundImage: `url(${data.sheet})`, backgroundSize: `${data.columns * SIZE}px auto`, imageRendering: 'pixelated',
    border: '2px solid white', borderRadius: '4px', boxShadow: '0 1px 6px rgba(0, 0, 0, 0.5)',
  });
  document.body.append(picture);
  const show = (event) => {
    const at = event.points[0].customdata?.[0];
    if (at === undefined || !event.event) return;
    picture.dataset.image = at;
    picture.style.backgroundPosition = `-${(at % data.columns) * SIZE}px -${Math.floor(at / data.columns) * SIZE}px`;
    const { clientX, clientY } = event.event;
    picture.style.left = `${Math.max(4, clientX - SIZE - 16)}px`;
    picture.style.top = `${Math.max(4, clientY - SIZE - 16)}px`;
    picture.style.display = 'block';
  };
  const hide = () => { picture.style.display = 'none'; };
  let listened = null;
  // The chart may be drawn after this, or anew: look again and again, listen once.
  const look = () => {
    const chart = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
    if (!chart || !chart.on || chart === listened) return;
    listened = chart;
    chart.on('plotly_hover', show);
    chart.on('plotly_unhover', hide);
  };
  look();
  const timer = setInterval(look, 150);
  return () => {
    clearInterval(timer);
    picture.remove();
    if (listened && listened.removeListener) {
      listened.removeListener('plotly_hover', show);
      listened.removeListener('plotly_unhover', hide);
    }
  };
}
