// The map: ground, basins, the quadratic model, paths, stationary points and the start, in this order.
function drawMap() {
  plan.replaceChildren();
  plan.setAttribute("aria-label", "Map of the surface. Click or drag, or use the arrow keys, to move the start.");
  make(make(plan, "clipPath", { id: "inside" }), "rect", { width: 1000, height: 1000 });
  make(plan, "image", { id: "ground", width: 1000, height: 1000, preserveAspectRatio: "none" });
  for (const id of ["cells", "lens", "paths"]) make(plan, "g", { id, "clip-path": "url(#inside)", "pointer-events": "none" });
  const [xs, ys] = state.scene.ticks;
  for (const value of xs) make(plan, "text", { x: across(value), y: 1036, "text-anchor": "middle" }, written(value));
  for (const value of ys) make(plan, "text", { x: -12, y: down(value) + 10, "text-anchor": "end" }, written(value));
  let minima = 0;
  for (const { kind, point: [x, y], seen } of state.scene.stationary) {
    const number = kind === "minimum" ? { "data-number": minima++ } : {};
    if (!seen) continue;
    make(plan, "path", { d: SIGNS[kind === "minimum" ? "circle" : "cross"], class: "sign", "stroke-width": .3, transform: put(across(x), down(y), 14) });
    make(plan, "text", { class: "name", x: across(x), y: down(y) + (down(y) < 90 ? 62 : -36), ...number }, kind);
  }
  make(plan, "g", { id: "now", "clip-path": "url(#inside)", "pointer-events": "none" });
  const start = make(plan, "g", { id: "start" });
  make(start, "rect", { x: -17, y: -17, width: 34, height: 34, class: "sign", "stroke-width": 6 });
  make(start, "text", { class: "name", id: "startname" }, "start");
  paintGround();
}

function drawPaths() {
  const paths = byId("paths"), now = byId("now");
  paths.replaceChildren(); now.replaceChildren();
  if (byId("basins").checked && !byId("log").checked && !state.step) return;
  state.runs.forEach((run, i) => {
    if (hidden(i)) return;
    const method = data.methods[i], width = nested(i, 6, 20), last = Math.min(state.step, rows(run) - 1), dots = [];
    let d = "";
    for (let k = 0; k <= last; k++) {
      const p = at(run, k), bend = k ? run.bends[k - 1] : undefined;
      d += `${!k ? "M" : bend ? `Q${spot(...bend)} ` : "L"}${spot(p[X], p[Y])}`;
      dots.push(spot(p[X], p[Y]));
    }
    trace(paths, method, d, dots, width);
    const p = at(run, last), size = 13 + width / 2;
    sign(now, method, put(across(p[X]), down(p[Y]), size), { "stroke-width": 3 / size, "data-now": method.name });
  });
  const p = at(state.runs[state.chosen], state.step), g = Math.hypot(p[GX], p[GY]), [x0, x1, y0, y1] = sides();
  if (g > .01) {
    const long = 60 + 90 * Math.min(1, g), angle = Math.atan2(p[GY] * (x1 - x0) / (y1 - y0), -p[GX]) * 180 / Math.PI;
    const arrow = make(now, "g", { transform: `translate(${near(across(p[X]))} ${near(down(p[Y]))}) rotate(${angle})`, id: "downhill" });
    for (const [look, width] of [["halo", 14], ["ink", 6]])
      make(arrow, "path", { d: `M30 0H${long}m-18-14L${long + 2} 0l-20 14`, class: look, "stroke-width": width, "stroke-linecap": "round" });
  }
}

// The quadratic model at the chosen method's point, in a lens coloured as the ground is, and the eigenvectors.
const LENS = 230, CELLS = 460;
function drawLens() {
  const lens = byId("lens");
  lens.replaceChildren();
  if (!byId("model").checked) return;
  const p = at(state.runs[state.chosen], state.step), turn = p[ANGLE] * Math.PI / 180, [u, v] = [Math.cos(turn), Math.sin(turn)];
  const [x0, x1, y0, y1] = sides();
  const model = (dx, dy) => p[F] + p[GX] * dx + p[GY] * dy + (p[LOW] * (u * dx + v * dy) ** 2 + p[HIGH] * (u * dy - v * dx) ** 2) / 2;
  const cell = i => (i + .5 - CELLS / 2) * 2 * LENS / CELLS / 1000;
  const picture = bandsPicture(CELLS, (i, j) => model(cell(i) * (x1 - x0), -cell(j) * (y1 - y0)), 2);
  const [x, y] = [near(across(p[X])), near(down(p[Y]))], group = make(lens, "g", { transform: `translate(${x} ${y})` });
  make(make(group, "clipPath", { id: "round" }), "circle", { r: LENS });
  make(group, "image", { href: picture, x: -LENS, y: -LENS, width: 2 * LENS, height: 2 * LENS, "clip-path": "url(#round)" });
  make(group, "circle", { r: LENS, class: "ink", "stroke-width": 5 });
  [[u, v, p[LOW]], [-v, u, p[HIGH]]].forEach(([a, b, value]) => {
    const [dx, dy] = [a * 1000 / (x1 - x0), -b * 1000 / (y1 - y0)], long = LENS / Math.hypot(dx, dy);
    const inside = side => Math.abs(x + side * dx * long * .72 - 500) < 430 && Math.abs(y + side * dy * long * .72 - 500) < 450;
    const side = [dy > 1e-9 ? -1 : 1, dy > 1e-9 ? 1 : -1].find(inside) ?? 1;  // of the label: up, if that is on the map
    make(group, "path", { d: `M${-dx * long} ${-dy * long}L${dx * long} ${dy * long}`, class: "ink eigenvector", "stroke-width": 4,
      "stroke-dasharray": value < 0 ? "4 10" : "" });
    make(group, "text", { class: "name", x: side * dx * long * .72, y: side * dy * long * .72 + (Math.abs(dx) > Math.abs(dy) ? 44 : -14) }, `${written(value)} ${value < 0 ? "bends down" : value > 0 ? "bends up" : "flat"}`);
  });
}

function drawStart() {
  const [x, y] = state.start, start = byId("start");
  start.setAttribute("transform", `translate(${across(x)} ${down(y)})`);
  start.dataset.x = x; start.dataset.y = y;
  const taken = state.scene.stationary.some(({ point }) => Math.hypot(across(point[0]) - across(x), down(point[1]) - down(y)) < 70);
  byId("startname").setAttribute("y", taken || down(y) > 930 ? (down(y) > 930 ? -36 : 62) : down(y) < 90 ? 62 : -36);
  document.querySelectorAll("#special button").forEach((button, i) => button.setAttribute("aria-pressed", String(state.scene.named[i]) === String(state.start)));
}
