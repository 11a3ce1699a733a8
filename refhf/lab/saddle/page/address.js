// The address holds what is shown.
const BOXES = ["only", "model", "log", "basins"];
function address() {
  const parts = new URLSearchParams(state.spec);
  parts.set("start", state.start.join(",")); parts.set("step", state.step); parts.set("method", data.methods[state.chosen].name);
  for (const name of moved()) parts.set(name, state.settings[name]);
  for (const box of BOXES) if (byId(box).checked) parts.set(box, 1);
  return "#" + parts;
}
function share() { if (state.scene && !state.timer && location.hash !== address()) history.replaceState(null, "", address()); }
const first = () => ({ surface: Object.keys(data.surfaces)[0] });
async function follow() {
  const parts = new URLSearchParams(location.hash.slice(1)), method = data.methods.findIndex(({ name }) => name === parts.get("method"));
  const own = parts.has("function") && { function: parts.get("function"), window: parts.get("window") ?? "-2,2,-2,2" };
  const spec = own || (parts.get("surface") in data.surfaces ? { surface: parts.get("surface") } : first());
  pause();
  if (own) { byId("function").value = own.function; byId("window").value = own.window.replaceAll(",", ", "); }
  const same = new URLSearchParams(spec).toString() === new URLSearchParams(state.spec ?? {}).toString();
  let said = "";
  if (!same && !await openScene(own ? { function: own.function, window: own.window.split(",").map(Number) } : spec)) {
    said = state.said;
    if (!own || !await openScene(first())) return;
  }
  state.settings = defaults();
  for (const name of SETTINGS) if (Number(parts.get(name)) && (engine() || !moved().length)) state.settings[name] = held(name, Number(parts.get(name)));
  const start = (parts.get("start") ?? "").split(",").map(Number);
  if (start.length === 2 && start.every(Number.isFinite)) state.start = nearest(...start, true);
  if (method >= 0) state.chosen = method;
  state.step = Math.max(0, Math.trunc(Number(parts.get("step"))) || 0);
  for (const box of BOXES) byId(box).checked = parts.has(box) && !byId(box).disabled;
  state.atEnd = false;
  await load();
  if (said) { state.said = said; draw(); }
}
async function copyLink() {
  share();
  let said = "Copied";
  try { await navigator.clipboard.writeText(location.href); } catch { said = "Copy it from the address bar"; }
  byId("share").textContent = said;
  setTimeout(() => { byId("share").textContent = "Copy link"; }, 2000);
}
