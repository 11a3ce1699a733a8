// Test vectors answered in JavaScript, without packages: nonlinearities, losses, saddle, CG, and the gradient, H v and
// G v of dense networks.   refhf vectors --adapter "node examples/adapters/node_adapter.js"
"use strict";

const logistic = (s) => 1 / (1 + Math.exp(-s));
const softplus = (s) => Math.max(s, 0) + Math.log1p(Math.exp(-Math.abs(s)));
const bump = (s) => logistic(s) * logistic(-s); // p (1 - p), without cancellation
const NONLINEARITIES = { // [f, f', f'']
  tanh: [Math.tanh, (s) => Math.cosh(s) ** -2, (s) => -2 * Math.tanh(s) * Math.cosh(s) ** -2],
  logistic: [logistic, bump, (s) => -bump(s) * Math.tanh(s / 2)],
  softplus: [softplus, logistic, bump],
  relu: [(s) => Math.max(s, 0), (s) => +(s > 0), () => 0],
  identity: [(s) => s, () => 1, () => 0],
};

// A matrix is an array of rows, as the lists are in C order.
const sum = (x) => x.reduce((total, t) => total + t, 0);
const dot = (x, y) => x.reduce((total, t, i) => total + t * y[i], 0);
const rows = (list, m) => Array.from({ length: m }, (_, i) => list.slice((i * list.length) / m, ((i + 1) * list.length) / m));
const zip = (f, A, ...rest) => A.map((row, i) => row.map((t, j) => f(t, ...rest.map((B) => B[i][j]))));
const add = (...matrices) => zip((...terms) => sum(terms), ...matrices);
const transposed = (A) => A[0].map((_, j) => A.map((row) => row[j]));
const product = (A, B) => { const columns = transposed(B); return A.map((row) => columns.map((c) => dot(row, c))); };
const with_bias = (A, b) => A.map((row) => row.map((t, j) => t + b[j]));
const column_sums = (A) => transposed(A).map(sum);

// Value, gradient with respect to z and H_L Rz of one case.
const LOSSES = {
  squared_error: (z, y, Rz) => {
    const Dz = z.map((t, j) => t - y[j]);
    return [dot(Dz, Dz) / 2, Dz, Rz];
  },
  logistic_cross_entropy: (z, y, Rz) => [
    sum(z.map((t, j) => softplus(t) - y[j] * t)),
    z.map((t, j) => (1 - y[j]) * logistic(t) - y[j] * logistic(-t)),
    z.map((t, j) => bump(t) * Rz[j]),
  ],
  softmax_cross_entropy: (z, y, Rz) => {
    const largest = Math.max(...z), total = sum(z.map((t) => Math.exp(t - largest)));
    const p = z.map((t) => Math.exp(t - largest) / total), mean = dot(p, Rz);
    return [
      -sum(z.map((t, j) => y[j] * (t - largest - Math.log(total)))),
      p.map((t, j) => t - y[j]),
      p.map((t, j) => t * (Rz[j] - mean)),
    ];
  },
};

// The mean over the cases.
function loss(name, z, y, Rz) {
  const cases = z.map((row, k) => LOSSES[name](row, y[k], Rz[k])), mean = (row) => row.map((t) => t / z.length);
  return [sum(cases.map((c) => c[0])) / z.length, cases.map((c) => mean(c[1])), cases.map((c) => mean(c[2]))];
}

// The four sweeps: value, gradient, and H v, or G v if without the residual's part.
function sweeps(q) {
  const v = q.v ?? q.theta.map(() => 0), layers = [], g = [], Hv = [];
  let a = rows(q.X, q.cases), Ra = zip(() => 0, a), at = 0;
  q.sizes.slice(1).forEach((n, l) => {
    const m = q.sizes[l], last = l === q.sizes.length - 2;
    const [f, d, dd] = NONLINEARITIES[last ? "identity" : q.nonlinearity];
    const [W, V] = [q.theta, v].map((t) => rows(t.slice(at, at + m * n), m));
    const [b, c] = [q.theta, v].map((t) => t.slice(at + m * n, at + m * n + n));
    const s = with_bias(product(a, W), b), Rs = with_bias(add(product(a, V), product(Ra, W)), c);
    layers.push({ a, Ra, W, V, Rs, d: zip(d, s), dd: zip(dd, s) });
    a = zip(f, s);
    Ra = zip((t, r) => d(t) * r, s, Rs);
    at += (m + 1) * n;
  });
  let [value, Da, RDa] = loss(q.loss, a, rows(q.y, q.cases), Ra);
  if (q.operation === "gauss_newton_product") Da = zip(() => 0, Da);
  for (const { a, Ra, W, V, Rs, d, dd } of layers.reverse()) {
    const Ds = zip((t, u) => t * u, d, Da);
    const RDs = zip((t, u, r, w, e) => t * u + r * w * e, d, RDa, dd, Rs, Da);
    g.unshift(...product(transposed(a), Ds).flat(), ...column_sums(Ds));
    Hv.unshift(...add(product(transposed(a), RDs), product(transposed(Ra), Ds)).flat(), ...column_sums(RDs));
    Da = product(Ds, transposed(W));
    RDa = add(product(RDs, transposed(W)), product(Ds, transposed(V)));
  }
  const decayed = (x, t) => x.map((u, i) => u + q.l2 * t[i]);
  return [value + (q.l2 / 2) * dot(q.theta, q.theta), decayed(g, q.theta), decayed(Hv, v)];
}

function cg(q) {
  const A = rows(q.A, q.b.length), M = q.M && rows(q.M, q.b.length), times = (B, x) => B.map((row) => dot(row, x));
  const moved = (x, alpha, y) => x.map((t, i) => t + alpha * y[i]), inverse = (r) => (M ? times(M, r) : r);
  let x = q.x0, r = moved(q.b, -1, times(A, x)), z = inverse(r), p = z;
  const trace = [...x];
  for (let k = 0; k < q.iterations; k++) {
    const rz = dot(r, z), Ap = times(A, p), curvature = dot(p, Ap);
    if (r.every((t) => t === 0)) return { x: trace, stop: "exact" };
    if (rz <= 0) return { x: trace, stop: "indefinite preconditioner" };
    if (curvature <= 0) return { x: trace, stop: "negative curvature" };
    x = moved(x, rz / curvature, p);
    r = moved(r, -rz / curvature, Ap);
    z = inverse(r);
    p = moved(z, dot(r, z) / rz, p);
    trace.push(...x);
  }
  return { x: trace, stop: "iteration limit" };
}

const OPERATIONS = {
  nonlinearity: (q) => {
    const [f, d, dd] = NONLINEARITIES[q.nonlinearity].map((function_) => q.s.map(function_));
    return { f, d, dd };
  },
  loss: (q) => {
    const [value, Dz, HRz] = loss(q.loss, ...[q.z, q.y, q.Rz].map((list) => rows(list, q.cases)));
    return { value, gradient: Dz.flat(), hessian_product: HRz.flat() };
  },
  gradient: (q) => { const [value, gradient] = sweeps(q); return { value, gradient }; },
  hessian_product: (q) => ({ product: sweeps(q)[2] }),
  gauss_newton_product: (q) => ({ product: sweeps(q)[2] }),
  cg,
  saddle: ({ theta: [x, y] }) => ({
    value: x ** 2 / 2 + y ** 4 / 4 - y ** 2 / 2, gradient: [x, y ** 3 - y], hessian: [1, 0, 0, 3 * y ** 2 - 1],
  }),
};

function answer(q) {
  const network = q.operation.endsWith("_product") || q.operation === "gradient";
  const known = q.operation in OPERATIONS && (!network || q.sizes) && (q.nonlinearity ?? "tanh") in NONLINEARITIES;
  return known ? OPERATIONS[q.operation](q) : { unsupported: true };
}

require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const q = JSON.parse(line);
  console.log(JSON.stringify({ id: q.id, ...answer(q) }));
});
