// Where runs come from: the page's own, or an engine: an object with ask(text) -> Promise<text>, refhf's page_requests.
if (data.served) window.refhfEngine = { ask: text => fetch("answer", { method: "POST", body: text }).then(answer => answer.text()) };
const engine = () => window.refhfEngine;
let answered = data.served;  // its Python runs
async function ask(request, spec = state.spec) {
  const found = JSON.parse(await engine().ask(JSON.stringify({ ...request, ...spec })));
  answered = true;
  if (found.error) throw new Error(found.error);
  return found;
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// The packed runs of the scene that is shown: for each variant, where its runs begin.
function indexed(store) {
  let row = 0, run = 0;
  store.first = store.rows.map(n => (row += n) - n);
  for (const variant of store.variants) { variant.at = run; run += variant.starts.length; }
  return store;
}
function packedRun(store, i) {
  const from = store.first[i], numbers = [];
  for (let k = from; k < from + store.rows[i]; k++) for (let c = 0; c < COLUMNS; c++) numbers.push(store.numbers[c][k]);
  return { ...store.texts[store.says[i]], numbers, bends: store.bends[i] ?? {} };
}
const moved = () => SETTINGS.filter(name => state.settings[name] !== data.settings[name].default);
// The variant of a method for the settings, or undefined.
function variant(store, method) {
  const own = moved().filter(name => method.settings.includes(name));
  const fits = one => own.length ? own.length === 1 && one.changed[own[0]] === state.settings[own[0]] : !Object.keys(one.changed).length;
  return store.variants.find(one => one.method === method.name && fits(one));
}
function packedRuns() {  // or null
  const store = state.scene.store, start = store?.starts.findLastIndex(([x, y]) => x === state.start[0] && y === state.start[1]);
  if (!(start >= 0)) return null;
  const found = data.methods.map(method => {
    const one = variant(store, method), place = one ? one.starts.indexOf(start) : -1;
    return place < 0 ? null : packedRun(store, one.at + place);
  });
  return found.includes(null) ? null : found;
}
// The numbers of the starts that have runs for these settings.
function availableStarts() {
  const store = state.scene.store, found = data.methods.map(method => variant(store, method)?.starts ?? []);
  return found.reduce((a, b) => a.length < b.length ? a : b);
}

// Runs from the start that is shown; of several requests only the last is drawn.
let asked = 0;
async function load() {
  const own = packedRuns(), number = ++asked;
  state.said = ""; state.computing = !own;
  if (own) Object.assign(state, { runs: own, reasons: state.scene.store.reasons });
  else {
    draw();
    try {
      const found = await ask({ ask: "runs", start: state.start, methods: data.methods.map(({ name }) => name), settings: state.settings, seed: data.seed, steps: data.steps });
      if (number !== asked) return;
      Object.assign(state, found);
    } catch (error) {
      if (number !== asked) return;
      Object.assign(state, { runs: [], said: error.message });
    }
  }
  state.computing = false;
  if (state.atEnd && state.runs.length) state.step = steps();
  draw();
}
const turns = { busy: false, again: false };  // a drag asks again when the answer is there
async function loadInTurn() {
  if (packedRuns()) return load();
  if (turns.busy) { turns.again = state.computing = true; return draw(); }
  turns.busy = true;
  do { turns.again = false; await load(); } while (turns.again);
  turns.busy = false;
}

// Show a surface: {surface: name}, or {function, window}.
async function openScene(spec) {
  const text = spec.surface && data.packed[spec.surface];
  let found;
  try {
    if (!text && !engine()) throw new Error("your own function needs Python: refhf classroom");
    if (!text) { state.opening = true; state.said = ""; draw(); }
    found = text ? await unpacked(text) : await ask({ ask: "scene" }, spec);
  } catch (error) {
    state.opening = false; state.said = error.message;
    draw();
    return false;
  }
  if (found.store) indexed(found.store);
  asked++;  // runs of the scene before are not drawn in this one
  Object.assign(state, { spec, scene: found, start: found.named[0], runs: [], said: "", opening: false, computing: false });
  drawScene();
  return true;
}
