// The ground of the map: bands between the levels, from the heights on a grid; between them Catmull and Rom's cubics.
const GROUND = 1000;  // cells an axis
// Rows of n numbers, interpolated to rows of `cells`: the value in the middle of each cell.
function refined(row, n, cells) {
  const found = new Float64Array(cells);
  for (let cell = 0; cell < cells; cell++) {
    const t = (cell + .5) / cells * (n - 1), i = Math.min(n - 2, Math.floor(t)), u = t - i;
    const b = row[i], c = row[i + 1], a = i > 0 ? row[i - 1] : 3 * b - 3 * c + (row[i + 2] ?? c), d = i + 2 < n ? row[i + 2] : 3 * c - 3 * b + a;
    found[cell] = b + u / 2 * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)));
  }
  return found;
}
function levelOf(value, levels) {  // the last level at most the value
  let low = 0, high = levels.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; if (levels[middle] <= value) low = middle; else high = middle - 1; }
  return low;
}
// A picture of cells x cells bands with lines between them; value(i, j) is the height at column i and row j.
function bandsPicture(cells, value, wide) {
  const canvas = document.createElement("canvas"), levels = state.scene.levels, bands = new Int16Array(cells * cells);
  canvas.width = canvas.height = cells;
  const paint = canvas.getContext("2d"), image = paint.createImageData(cells, cells);
  const pixels = new Uint32Array(image.data.buffer), packed = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  const paper = packed(channels(css("--paper")));
  const shades = levels.map((_, band) => packed(mix(css("--low"), css("--high"), Math.min(1, band / Math.max(1, levels.length - 2)))));
  for (let j = 0; j < cells; j++) for (let i = 0; i < cells; i++) {
    const height = value(i, j);
    bands[j * cells + i] = Number.isFinite(height) ? Math.min(levelOf(height, levels), Math.max(0, levels.length - 2)) : -1;
  }
  for (let j = 0; j < cells; j++) for (let i = 0; i < cells; i++) {
    const k = j * cells + i, band = bands[k];
    let edge = band < 0;
    for (let by = 1; by <= wide && !edge; by++) edge = i + by < cells && bands[k + by] !== band || j + by < cells && bands[k + by * cells] !== band;
    pixels[k] = edge ? paper : shades[band];
  }
  paint.putImageData(image, 0, 0);
  return canvas.toDataURL();
}
function groundHeights() {  // by column from the left and row from below, in the middle of each cell
  const { heights } = state.scene, n = Math.round(Math.sqrt(heights.length)), number = h => h === null ? NaN : h;
  const fine = Array.from({ length: n }, (_, j) => refined(heights.slice(j * n, (j + 1) * n).map(number), n, GROUND));
  return Array.from({ length: GROUND }, (_, i) => refined(fine.map(row => row[i]), n, GROUND));
}
function groundPicture() {
  const columns = groundHeights();
  return bandsPicture(GROUND, (i, j) => columns[i][GROUND - 1 - j], 2);
}
const paintGround = () => byId("ground").setAttribute("href", groundPicture());
