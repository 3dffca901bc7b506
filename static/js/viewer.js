// The outline and the heat map over the person's own copy of the photo, in this browser only.
import { forget, keep, recall, sha256 } from "./pictures.js";

const viewer = document.querySelector("[data-viewer]");
if (viewer) start();

function start() {
  const { analysis, preview } = viewer.dataset;
  const part = (name) => viewer.querySelector(`[data-${name}]`);
  const image = part("image");
  const status = part("status");
  let shown = "";

  function draw(source, isBlob) {
    return new Promise((resolve) => {
      image.onload = () => resolve(true);
      image.onerror = () => resolve(false);
      if (shown) URL.revokeObjectURL(shown);
      shown = isBlob ? URL.createObjectURL(source) : "";
      image.src = isBlob ? shown : source;
    });
  }

  function reveal(drawn) {
    part("photo").hidden = !drawn;
    part("glyph").hidden = drawn;
    for (const name of ["controls", "kept"]) if (part(name)) part(name).hidden = !drawn;
    for (const name of ["bring", "glyph-caption"]) if (part(name)) part(name).hidden = drawn;
  }

  async function lay(file) {
    const drawn = await draw(file, true);
    reveal(drawn);
    status.textContent = drawn ? viewer.dataset.sayShown : viewer.dataset.sayUndrawable;
    return drawn;
  }

  async function bring(file) {
    const digest = await sha256(file);
    if (digest !== null && digest !== viewer.dataset.sha256) {
      status.textContent = viewer.dataset.sayOther;
      return;
    }
    await keep(analysis, file);
    await lay(file);
  }

  part("own-copy")?.addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) bring(file);
  });
  if (part("bring")) {
    viewer.addEventListener("dragover", (event) => event.preventDefault());
    viewer.addEventListener("drop", (event) => {
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (file) bring(file);
    });
  }
  part("forget")?.addEventListener("click", async () => {
    await forget(analysis);
    if (shown) URL.revokeObjectURL(shown);
    shown = "";
    image.removeAttribute("src");
    reveal(false);
    status.textContent = "";
    part("own-copy")?.focus();
  });
  part("outline-switch")?.addEventListener("change", (event) => {
    part("outline").toggleAttribute("hidden", !event.target.checked);
  });
  part("heat-strength")?.addEventListener("input", (event) => {
    part("heat").setAttribute("opacity", String(event.target.value / 100));
  });

  recall(analysis).then(async (file) => {
    if (file && (await lay(file))) return;
    if (preview && (await draw(preview, false))) reveal(true);
  });
}
