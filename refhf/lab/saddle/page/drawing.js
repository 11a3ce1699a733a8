// Drawing: places, colours and signs.
const dark = matchMedia("(prefers-color-scheme: dark)");
function make(parent, name, attributes = {}, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}
const sides = () => state.scene.window;
const across = x => { const [x0, x1] = sides(); return (x - x0) / (x1 - x0) * 1000; };
const down = y => { const [, , y0, y1] = sides(); return (y1 - y) / (y1 - y0) * 1000; };
const near = value => Math.max(-3000, Math.min(4000, value));
const spot = (x, y) => `${near(across(x)).toFixed(1)} ${near(down(y)).toFixed(1)}`;
const put = (x, y, size) => `translate(${near(x).toFixed(1)} ${near(y).toFixed(1)}) scale(${size})`;
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const channels = colour => [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16));
const mix = (a, b, part) => channels(a).map((c, i) => Math.round(c + part * (channels(b)[i] - c)));
const luminance = colours => colours.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + .05) / (Math.min(luminance(a), luminance(b)) + .05);
// A method's colour, moved towards the ink until it stands out 3 to 1 from the lowest and the highest ground.
function tone(colour) {
  const grounds = [css("--low"), css("--high")].map(channels), ink = css("--ink");
  for (let part = dark.matches ? .3 : 0; part < 1; part += .05) {
    const found = mix(colour, ink, colour === "#000000" && dark.matches ? 1 : part);
    if (grounds.every(ground => contrast(found, ground) >= 3)) return `rgb(${found})`;
  }
  return ink;
}
const nested = (i, least, more) => least + more * (1 - i / Math.max(1, data.methods.length - 1));  // widths, the last on top

// Signs of the methods, around (0, 0) with radius 1.
const SIGNS = {
  circle: "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1 -1 0Z", square: "M-.9-.9H.9V.9H-.9Z", triangle: "M0-1.1L1.05.8H-1.05Z",
  diamond: "M0-1.2L1 0 0 1.2-1 0Z", down: "M0 1.1L1.05-.8H-1.05Z",
  plus: "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
  cross: "M-1-.5L-.5-1 0-.5.5-1 1-.5.5 0 1 .5.5 1 0 .5-.5 1-1 .5-.5 0Z",
  star: "M0-1.3L.36-.42 1.3-.35.58.25.82 1.15 0 .65-.82 1.15-.58.25-1.3-.35-.36-.42Z",
  left: "M-1.1 0L.8-1.05V1.05Z", right: "M1.1 0L-.8-1.05V1.05Z",
  pentagon: "M0-1.1L1.05-.34.65.9H-.65L-1.05-.34Z", hexagon: "M-1.1 0L-.55-.95H.55L1.1 0 .55.95H-.55Z",
};
const sign = (parent, method, place, attributes = {}) => make(parent, "path", { d: SIGNS[method.sign],
  fill: tone(method.colour), stroke: css("--paper"), "stroke-width": .2, transform: place, ...attributes });
const stroke = (method, width, scale = 1) => ({ fill: "none", stroke: tone(method.colour), "stroke-width": width,
  "stroke-linejoin": "round", "stroke-dasharray": method.dash.map(x => x * scale).join(" ") });
// A line dashed as its method's, a dot for each step.
function trace(parent, method, d, dots, width) {
  make(parent, "path", { d, "data-method": method.name, ...stroke(method, width, 3) });
  make(parent, "path", { d: dots.map(p => `M${p}h0`).join(""), "data-dots": method.name, fill: "none",
    stroke: tone(method.colour), "stroke-width": width + 9, "stroke-linecap": "round" });
}
