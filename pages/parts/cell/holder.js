
let last = null;
export default function({ data }) {
  if (!data || data === last) return;
  last = data;
  keep(data);
}
