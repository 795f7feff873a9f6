// The lesson's equations: Gram matrices, centring, HSIC, CKA, Procrustes, and what chance gives, in float64.
// Plain functions of arrays of rows; tested in a browser against cka_core.measures.kernels to 1e-9.
//
// Kornblith et al. 2019, arXiv 1905.00414. Nguyen, Raghu & Kornblith 2021, arXiv 2010.15327.
// Song et al. 2012, JMLR 13. Székely & Rizzo 2014, arXiv 1310.2926.

const APP = { images: 768, minibatches: 3, minibatch: 256 }; // what the app compares unless it is told otherwise

const sum = (values) => values.reduce((all, value) => all + value, 0);
const mapped = (matrix, change) => matrix.map((row, i) => row.map((value, j) => change(value, i, j)));

// K = X X' of a representation X: one row an image, one column a feature.
function gram(x) {
  return x.map((row) => x.map((other) => row.reduce((all, value, f) => all + value * other[f], 0)));
}

// The same, for a representation with one feature more: K + x x', in place, for the numbers x of that feature.
function addFeature(k, x) {
  for (let i = 0; i < x.length; i++) for (let j = 0; j < x.length; j++) k[i][j] += x[i] * x[j];
}

// H K H: every row and column of the result sums to zero.
function centre(k) {
  const rows = k.map((row) => sum(row) / k.length);
  const all = sum(rows) / k.length;
  return mapped(k, (value, i, j) => value - rows[i] - rows[j] + all);
}

// The way to U(K~), one change at a time: as it is, diagonal out, row means out, column means out, grand mean back in.
// The sums are those of K~, whose diagonal is zero. Székely & Rizzo 2014, definition 2.
function uCentreSteps(k) {
  const { sums, total } = offDiagonal(k);
  return { sums, total, matrices: [k, ...[0, 1, 2, 3].map((changes) => uCentred(k, changes))] };
}

// Row sums and the sum of K~, whose diagonal is zero: left out, not taken off again, for an image far out has a square
// beside which its products with the others are lost.
function offDiagonal(k) {
  const sums = k.map((row, i) => row.reduce((all, value, j) => (i === j ? all : all + value), 0));
  return { sums, total: sum(sums) };
}

function uCentred(k, changes) {
  const n = k.length, { sums, total } = offDiagonal(k);
  const rows = changes > 0 ? 1 / (n - 2) : 0, columns = changes > 1 ? 1 / (n - 2) : 0;
  const all = changes > 2 ? total / ((n - 1) * (n - 2)) : 0;
  return mapped(k, (value, i, j) => (i === j ? 0 : value - rows * sums[i] - columns * sums[j] + all));
}

// U(K~): zero diagonal, and every row and column sums to zero.
function uCentre(k) {
  return uCentred(k, 3);
}

// The sum of all products of two matrices, entry by entry.
function inner(k, l) {
  let all = 0;
  for (let i = 0; i < k.length; i++) for (let j = 0; j < k.length; j++) all += k[i][j] * l[i][j];
  return all;
}

// HSIC1 = <U(K~), U(L~)> / (n (n - 3)). Nguyen et al. 2021, equation 2; Song et al. 2012, equation 5.
function hsicUnbiased(k, l) {
  return inner(uCentre(k), uCentre(l)) / (k.length * (k.length - 3));
}

// tr(K H L H) / (n - 1)². Kornblith et al. 2019, equation 3.
function hsicBiased(k, l) {
  return inner(centre(k), centre(l)) / (k.length - 1) ** 2;
}

// HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of two Gram matrices. Kornblith et al. 2019, equation 4.
function cka(k, l, unbiased = true) {
  const [one, other] = [k, l].map(unbiased ? uCentre : centre);
  return inner(one, other) / Math.sqrt(inner(one, one) * inner(other, other));
}

function withoutMeans(x) {
  const means = x[0].map((_, f) => sum(x.map((row) => row[f])) / x.length);
  return mapped(x, (value, i, f) => value - means[f]);
}

// Singular values of a matrix, by rotating pairs of columns until all are orthogonal (one-sided Jacobi).
function singularValues(matrix) {
  const wide = matrix[0].length > matrix.length;
  const columns = wide ? matrix.map((row) => [...row]) : matrix[0].map((_, j) => matrix.map((row) => row[j]));
  const dot = (a, b) => a.reduce((all, value, i) => all + value * b[i], 0);
  for (let round = 0, turned = true; turned && round < 60; round++) {
    turned = false;
    for (let p = 0; p < columns.length; p++) {
      for (let q = p + 1; q < columns.length; q++) {
        const a = columns[p], b = columns[q];
        const aa = dot(a, a), bb = dot(b, b), ab = dot(a, b);
        if (Math.abs(ab) <= 1e-15 * Math.sqrt(aa * bb)) continue;
        turned = true;
        const zeta = (bb - aa) / (2 * ab);
        const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const c = 1 / Math.sqrt(1 + t * t), s = c * t;
        columns[p] = a.map((value, i) => c * value - s * b[i]);
        columns[q] = a.map((value, i) => s * value + c * b[i]);
      }
    }
  }
  return columns.map((column) => Math.sqrt(dot(column, column)));
}

// How well X is laid over Y by a rotation and a scale: |X'Y|* / (|X| |Y|) of representations without their means,
// which is the normalised Bures similarity of their Gram matrices, sum sqrt eig(K^½ L K^½) / sqrt(tr K tr L).
function procrustes(x, y) {
  const a = withoutMeans(x), b = withoutMeans(y);
  const cross = a[0].map((_, f) => b[0].map((__, g) => a.reduce((all, row, i) => all + row[f] * b[i][g], 0)));
  const norm = (z) => Math.sqrt(sum(z.map((row) => sum(row.map((value) => value * value)))));
  return sum(singularValues(cross)) / (norm(a) * norm(b));
}

// Standard deviation of unbiased CKA when the images of one layer are shuffled: sqrt(2 / (n (n - 3))), for any pair;
// over so many minibatches of n images each, shuffled within each, sqrt(2 / (minibatches n (n - 3))).
function chance(n, minibatches = 1) {
  return Math.sqrt(2 / (minibatches * n * (n - 3)));
}

const chanceInTheApp = () => chance(APP.minibatch, APP.minibatches);

// About what biased CKA of independent noise comes to, of p and q features and n images: sqrt(p q / ((n + p) (n + q))),
// the ratio of the means, which the mean of the ratio nears as n and p grow.
function noiseBiased(n, p, q = p) {
  return Math.sqrt((p * q) / ((n + p) * (n + q)));
}
