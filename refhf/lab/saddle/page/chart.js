// The distance from the stable line by step, on a logarithmic scale.
function drawChart() {
  chart.replaceChildren();
  const seen = state.runs.map((run, i) => hidden(i) ? [] : Array.from({ length: Math.min(state.step, rows(run) - 1) + 1 }, (_, k) => at(run, k)[OFF]));
  const positive = state.runs.flatMap((run, i) => hidden(i) ? [] : Array.from({ length: rows(run) }, (_, k) => at(run, k)[OFF])).filter(off => off > 0);
  const low = Math.floor(Math.log10(Math.max(1e-18, Math.min(.1, ...positive)))), high = Math.ceil(Math.log10(Math.max(1, ...positive)));
  const right = k => 60 + k / Math.max(1, steps()) * 920, up = off => 60 + (high - Math.log10(off)) / (high - low) * 820;
  const by = Math.ceil((high - low) / 7), every = [1, 2, 5, 10, 20, 50, 100, 200].find(n => steps() / n <= 10);
  chart.setAttribute("aria-label", `${state.scene.off}, by step, on a logarithmic scale`);
  make(chart, "text", { x: -50, y: 26, style: "font-weight: bold" }, `${state.scene.off}, by step (log scale)`);
  for (let power = low; power <= high; power += by) {
    make(chart, "path", { d: `M60 ${up(10 ** power)}H980`, stroke: css("--line"), "stroke-width": 2 });
    make(chart, "text", { x: 48, y: up(10 ** power) + 10, "text-anchor": "end" }, power ? `10${[...String(power)].map(c => RAISED[c]).join("")}` : "1");
  }
  for (let k = 0; k <= steps(); k += every) make(chart, "text", { x: right(k), y: 922, "text-anchor": "middle" }, k);
  const zero = [];
  seen.forEach((offs, i) => {
    const method = data.methods[i], width = nested(i, 5, 7);
    const spots = offs.map((off, k) => off > 0 ? `${right(k).toFixed(1)} ${Math.min(900, up(off)).toFixed(1)}` : null);
    if (offs.length && !offs.some(off => off > 0)) zero.push(method);
    const shown = spots.filter(Boolean);
    if (!shown.length) return;
    trace(chart, method, spots.map((p, k) => !p ? "" : `${k && spots[k - 1] ? "L" : "M"}${p}`).join(""), shown, width);
    const [x, y] = shown.at(-1).split(" ").map(Number);
    sign(chart, method, put(x, y, 12 + width / 2));
  });
  if (zero.length) make(chart, "text", { x: -50, y: 976 }, "exactly 0:");
  zero.forEach((method, i) => sign(chart, method, put(130 + 44 * i, 966, 15), { "data-zero": method.name }));
  make(chart, "text", { x: -50, y: 1030 }, "A straight line: each step is the same factor.");
}
