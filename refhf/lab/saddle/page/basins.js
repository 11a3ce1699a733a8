// Where the chosen method's runs from a grid of starts end: a letter for each minimum, a sign for the rest.
const BASINS = 17, SOFT = .35;  // cells an axis with an engine; their opacity
const ENDS = {  // group: sign, colour, words
  saddle: ["\u2715", "#767676", "the saddle"], plateau: ["=", "#767676", "a plateau"], unbounded: ["\u2197", "#F0E442", "leaves the scene"],
  maximum: ["\u2191", "#767676", "a maximum"], minimum: ["\u2193", "#56B4E9", "another minimum"], outside: ["\u2193", "#56B4E9", "a minimum off the map"], other: ["\u2022", "#FFFFFF", "still moving"],
};
const MINIMA = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#882255", "#56B4E9"];
const letterOf = number => String.fromCharCode(65 + number);
function endLook(end) {
  const number = end.startsWith("minimum ") ? Number(end.slice(8)) : -1;
  if (number < 0) return ENDS[end];
  const minima = state.scene.stationary.filter(({ kind }) => kind === "minimum"), { point, seen } = minima[number];
  return [letterOf(number), MINIMA[number % MINIMA.length], `minimum ${pair(...point.map(x => Number(x.toPrecision(3))))}${seen ? "" : ", off the map"}`];
}
const endOf = run => run.end >= 0 ? `minimum ${run.end}` : run.ending;

// The cells that the page has runs for: {x, y, wide, high, end}, x and y of the middle.
function packedCells() {
  const store = state.scene.store, method = data.methods[state.chosen], one = store && variant(store, method);
  if (!one) return null;
  const starts = one.starts.map((start, i) => ({ start, i })).filter(({ start }) => start < store.grid);
  const gap = c => { const all = [...new Set(starts.map(({ start }) => store.starts[start][c]))].sort((a, b) => a - b); return all.length > 1 ? all[1] - all[0] : 1; };
  const wide = gap(0), high = gap(1);
  return starts.map(({ start, i }) => ({ x: store.starts[start][0], y: store.starts[start][1], wide, high, end: endOf(store.texts[store.says[one.at + i]]) }));
}
const basinKey = () => JSON.stringify([state.spec, data.methods[state.chosen].name, data.methods[state.chosen].settings.map(name => state.settings[name])]);

async function askCells(key) {  // a row at a time, until something else is asked for
  const [x0, x1, y0, y1] = sides(), wide = (x1 - x0) / BASINS, high = (y1 - y0) / BASINS, cells = [];
  state.cells = { key, cells };
  for (let j = BASINS - 1; j >= 0; j--) {
    const starts = Array.from({ length: BASINS }, (_, i) => [x0 + (i + .5) * wide, y0 + (j + .5) * high].map(x => Number(x.toPrecision(12))));
    try {
      const { ends } = await ask({ ask: "ends", method: data.methods[state.chosen].name, starts, settings: state.settings, seed: data.seed, steps: data.steps });
      if (state.cells?.key !== key || !byId("basins").checked) { if (state.cells?.key === key) state.cells = null; return; }
      ends.forEach((end, i) => cells.push({ x: starts[i][0], y: starts[i][1], wide, high, end }));
    } catch (error) { state.said = error.message; drawHeadline(); return; }
    paintCells(cells);
  }
}
function drawBasins() {
  byId("cells").replaceChildren(); byId("legend").textContent = "";
  document.querySelectorAll("[data-number]").forEach(label => label.textContent = "minimum");
  if (!byId("basins").checked || byId("log").checked) return;
  const key = basinKey();
  if (state.cells?.key === key) return paintCells(state.cells.cells);
  const cells = packedCells();
  if (cells) { state.cells = { key, cells }; paintCells(cells); } else if (engine()) askCells(key);
}
function paintCells(cells) {
  document.querySelectorAll("[data-number]").forEach(label => label.textContent = `minimum ${letterOf(Number(label.dataset.number))}`);
  const group = byId("cells"), legend = byId("legend");
  group.replaceChildren(); legend.replaceChildren(`Where ${data.methods[state.chosen].name} ends: `);
  for (const { x, y, wide, high, end } of cells) {
    const [letter, fill] = endLook(end), [left, top, right, bottom] = [across(x - wide / 2), down(y + high / 2), across(x + wide / 2), down(y - high / 2)];
    make(group, "rect", { x: left + 1, y: top + 1, width: right - left - 2, height: bottom - top - 2, fill, "fill-opacity": SOFT, "data-end": end });
    make(group, "text", { x: (left + right) / 2, y: (top + bottom) / 2 + 10, "text-anchor": "middle" }, letter);
  }
  for (const end of [...new Set(cells.map(({ end }) => end))].sort()) {
    const [letter, , words] = endLook(end), item = document.createElement("span");
    item.innerHTML = "<b></b> ";
    item.firstChild.textContent = letter; item.append(words);
    legend.append(item);
  }
}
