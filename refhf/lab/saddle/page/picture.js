// The shown map or chart, its headline and the methods' signs, as a picture.
function picture() {
  const copy = (byId("log").checked ? chart : plan).cloneNode(true), style = document.querySelector("style").cloneNode(true);
  const size = { x: -80, y: -100, width: 1720, height: 1180 };
  for (const [key, value] of Object.entries({ xmlns: SVG, viewBox: Object.values(size).join(" "), width: size.width, height: size.height })) copy.setAttribute(key, value);
  for (const name of ["--paper", "--ink", "--low", "--high", "--line"]) copy.style.setProperty(name, css(name));
  const ground = document.createElementNS(SVG, "rect");
  for (const [key, value] of Object.entries({ ...size, fill: css("--paper") })) ground.setAttribute(key, value);
  copy.prepend(style, ground);
  make(copy, "text", { x: -62, y: -45, style: "font-weight: bold" }, byId("headline").textContent);
  data.methods.forEach((method, i) => {
    if (hidden(i)) return;
    make(copy, "path", { d: `M1040 ${40 + 60 * i}h90`, ...stroke(method, 8, 2) });
    sign(copy, method, put(1085, 40 + 60 * i, 16));
    make(copy, "text", { x: 1150, y: 50 + 60 * i }, method.name);
  });
  [...byId("legend").childNodes].forEach((item, i) => make(copy, "text", { x: 1040, y: 80 + 60 * data.methods.length + 45 * i }, item.textContent));
  return { ...size, address: "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy)) };
}
async function png() {
  const { width, height, address } = picture(), image = new Image(), canvas = document.createElement("canvas");
  image.src = address;
  await image.decode();
  canvas.width = width; canvas.height = height;
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/png");
}
async function save() {
  const link = document.createElement("a");
  link.download = `${state.scene.name}.png`; link.href = await png();
  link.click();
}
