// Reads what cka_core.comparing.cell.pack packed, and holds it for the view of a cell. Where it does not change, Streamlit
// does not send it again.

const KINDS = { float32: Float32Array, int16: Int16Array, uint8: Uint8Array };
const MOST_KEPT = 4;

function unpack(bytes) {
  const buffer = bytes.slice().buffer; // from its beginning, so that every array stands at a multiple of its size
  const length = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const [name, [kind, shape, offset]] of Object.entries(about.arrays)) {
    arrays[name] = new KINDS[kind](buffer, 4 + length + offset, shape.reduce((one, other) => one * other, 1));
    arrays[name].shape = shape;
  }
  return { about, arrays };
}

function keep(bytes) {
  const kept = unpack(bytes);
  const all = (window.ckaKept ??= new Map()), before = all.get(kept.about.name);
  if (kept.about.only && before && !before.about.only) return; // all layers are here already
  all.delete(kept.about.name);
  all.set(kept.about.name, kept);
  while (all.size > MOST_KEPT) all.delete(all.keys().next().value);
  window.dispatchEvent(new CustomEvent('cka-kept'));
}

const kept = (name) => window.ckaKept?.get(name);
