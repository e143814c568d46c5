"use strict";

const part = (id) => document.getElementById(id);
const fields = {
  choice: part("model-choice"), model: part("model"), file: part("file"), camera: part("camera"), drop: part("drop"),
  preview: part("preview"), invitation: part("invitation"), turn: part("turn"), upright: part("upright"),
  facts: part("file-facts"), error: part("error"), status: part("status"), classes: part("classes"),
  timing: part("timing"), card: part("card"), address: part("address"), answer: document.querySelector(".answer"),
};
const RUNTIMES = { onnx: "ONNX Runtime", savedmodel: "TensorFlow" };

let models = [];
let current = null; // the photograph that is shown: the file and the rotation that its camera noted
let asked = 0; // requests so far: the answer to an older one is not shown

const number = (value) => value.toLocaleString("en");
const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function pairs(list, entries) {
  list.replaceChildren(...entries.filter(([, value]) => value !== null && value !== undefined).map(([title, value]) => {
    const box = element("div");
    box.append(element("dt", title), element("dd", value));
    return box;
  }));
}

function chosen() {
  return models.find((model) => model.name === fields.model.value);
}

function showCard() {
  const model = chosen();
  const size = model.resolution;
  fields.address.textContent = `/v1/models/${encodeURIComponent(model.name)}:predict`;
  pairs(fields.card, [
    ["Name", `${model.name}, version ${model.version}`],
    ["Network", model.network],
    ["Runs on", RUNTIMES[model.backend] ?? model.backend],
    ["Classes", model.classes === null ? "none" : `${number(model.classes)}${model.has_names ? "" : ", without names"}`],
    ["Parameters", `${(model.parameters / 1e6).toFixed(1)} million`],
    ["Work for one image", `${(model.multiply_adds / 1e9).toFixed(2)} G multiply-adds`],
    ["Looks at", model.preprocessing],
    ["Trained with", `the recipe ${model.recipe}, ${size} x ${size} pixels`],
    ["Weights", model.source && `${model.source.split("/").pop()}${model.folded ? ", normalisation folded in" : ""}`],
    ["Digest of the weights", model.digest && `${model.digest.slice(0, 24)} …`],
  ]);
}

async function loadModels() {
  try {
    const answer = await fetch("models");
    if (!answer.ok) throw new Error(`the server answered with status ${answer.status}`);
    models = (await answer.json()).models.filter((model) => model.takes_photographs);
  } catch (problem) {
    showError(`The models cannot be listed: ${problem.message}.`);
    return;
  }
  if (!models.length) {
    showError("No model of this server takes photographs.");
    return;
  }
  fields.model.replaceChildren(...models.map((model) => new Option(model.name, model.name)));
  fields.choice.hidden = models.length < 2;
  showCard();
  if (current) look();
}

function showError(text) {
  fields.error.textContent = text;
  fields.error.hidden = false;
  fields.status.textContent = "";
  fields.classes.replaceChildren();
  fields.timing.hidden = true;
}

// The rotation that a camera notes in a JPEG file (EXIF tag 0x0112), 1 where there is none: https://www.cipa.jp, DC-008.
async function noted(file) {
  const view = new DataView(await file.slice(0, 262144).arrayBuffer());
  try {
    if (view.getUint16(0) !== 0xffd8) return 1;
    for (let at = 2; view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
      if (view.getUint16(at) !== 0xffe1 || view.getUint32(at + 4) !== 0x45786966) continue;
      const start = at + 10;
      const little = view.getUint16(start) === 0x4949;
      const table = start + view.getUint32(start + 4, little);
      for (let entry = 0; entry < view.getUint16(table, little); entry += 1) {
        const place = table + 2 + 12 * entry;
        if (view.getUint16(place, little) === 0x0112) return view.getUint16(place + 8, little);
      }
      return 1;
    }
  } catch (problem) {
    if (!(problem instanceof RangeError)) throw problem; // the file ends before its tags do
  }
  return 1;
}

async function turned(file) {
  const image = await createImageBitmap(file, { imageOrientation: "from-image" });
  const canvas = element("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").drawImage(image, 0, 0);
  image.close();
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.95); });
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("the file cannot be read"));
    reader.readAsDataURL(blob);
  });
}

async function take(file) {
  if (!file) return;
  current = { file, rotation: await noted(file) };
  if (fields.preview.src) URL.revokeObjectURL(fields.preview.src);
  fields.preview.src = URL.createObjectURL(file);
  fields.preview.alt = `The photograph ${file.name}`;
  fields.preview.hidden = false;
  fields.invitation.hidden = true;
  fields.drop.classList.add("filled");
  fields.turn.hidden = current.rotation === 1;
  fields.facts.textContent = `${file.name}, ${number(Math.max(1, Math.round(file.size / 1000)))} kB`;
  await look();
}

async function look() {
  const model = chosen();
  if (!model || !current) return;
  const own = ++asked;
  const turn = current.rotation !== 1 && fields.upright.checked;
  fields.preview.classList.toggle("stored", !turn);
  fields.error.hidden = true;
  fields.status.textContent = "Looking …";
  fields.status.classList.remove("unseen");
  fields.answer.setAttribute("aria-busy", "true");
  try {
    const photo = turn ? await turned(current.file) : current.file;
    const content = JSON.stringify({ signature_name: "classify_bytes", instances: [{ b64: await base64(photo) }] });
    const started = performance.now();
    const answer = await fetch(fields.address.textContent.slice(1), {
      method: "POST", headers: { "Content-Type": "application/json" }, body: content,
    });
    const document = await answer.json();
    const took = performance.now() - started;
    if (own !== asked) return;
    if (!answer.ok) showError(document.error ?? `The server answered with status ${answer.status}.`);
    else show(document.predictions[0], answer.headers.get("Server-Timing") ?? "", took);
  } catch (problem) {
    if (own === asked) showError(`The photograph could not be looked at: ${problem.message}.`);
  } finally {
    if (own === asked) fields.answer.removeAttribute("aria-busy");
  }
}

function show(prediction, timing, took) {
  const rows = prediction.classes.map((name, index) => {
    const share = prediction.probabilities[index];
    const [first, ...others] = name.split(", ");
    const item = element("li");
    const label = element("span", first, "name");
    if (others.length) label.append(element("span", others.join(", "), "others"));
    const track = element("div", undefined, "track");
    const bar = element("div", undefined, "bar");
    track.setAttribute("aria-hidden", "true");
    track.append(bar);
    item.append(label, element("span", `${(100 * share).toFixed(1)} %`, "share"), track);
    requestAnimationFrame(() => requestAnimationFrame(() => { bar.style.width = `${100 * share}%`; }));
    return item;
  });
  fields.classes.replaceChildren(...rows);
  // For those who hear the page; the list says the same.
  fields.status.textContent = `Most probable: ${prediction.classes[0].split(", ")[0]}.`;
  fields.status.classList.add("unseen");
  const parts = new Map([...timing.matchAll(/([a-z]+);dur=([0-9.]+)/g)].map(([, name, value]) => [name, Number(value)]));
  const known = (name) => (parts.has(name) ? milliseconds(parts.get(name)) : null);
  pairs(fields.timing, [
    ["Preparing", known("prepare")], ["Waiting", known("wait")], ["Network", known("run")], ["In all", milliseconds(took)],
  ]);
  fields.timing.hidden = false;
}

for (const input of [fields.file, fields.camera]) {
  input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
}
fields.model.addEventListener("change", () => { showCard(); look(); });
fields.preview.addEventListener("error", () => { // no image for this browser; the server has its own opinion
  fields.preview.hidden = true;
  fields.invitation.hidden = false;
  fields.drop.classList.remove("filled");
});
fields.upright.addEventListener("change", look);
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); fields.drop.classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); fields.drop.classList.remove("over"); });
}
document.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
document.addEventListener("paste", (event) => take([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
loadModels();
