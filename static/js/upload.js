// Choosing, checking and sending photos: one row a file, one POST a file, so that one bad file never
// fails the others. Without this script the form sends all the same.
import { keep } from "./pictures.js";

const form = document.querySelector("[data-upload]");
const say = form.dataset;
const list = form.querySelector("[data-files]");
const template = document.querySelector("[data-file-template]");
const sendButton = form.querySelector("[data-send]");
// Both stand in the button; the style sheet shows the one that fits the choice about the photo.
const sendWords = form.querySelector("[data-send-words]");
const sendHuman = form.querySelector("[data-send-human]");
const dropzone = form.querySelector("[data-dropzone]");
const status = form.querySelector("[data-status]");
const inputs = form.querySelectorAll('input[type="file"]');

/** Rows in the order of choosing: {file, key, state, element, url}. */
let rows = [];
let sending = false;

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function sizeInWords(bytes) {
  const small = bytes < 1e6;
  return (bytes / (small ? 1e3 : 1e6)).toLocaleString(document.documentElement.lang, {
    style: "unit",
    unit: small ? "kilobyte" : "megabyte",
    maximumFractionDigits: small ? 0 : 1,
  });
}

function button(label, css, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = css;
  element.textContent = label;
  element.addEventListener("click", act);
  return element;
}

function show(row, state, words) {
  row.state = state;
  row.element.dataset.state = state;
  row.element.querySelector(".file__state").textContent = words;
  const actions = row.element.querySelector(".file__actions");
  actions.replaceChildren();
  if (state === "accepted") {
    const link = document.createElement("a");
    link.href = row.url;
    link.textContent = say.sayOpen;
    link.setAttribute("aria-label", `${say.sayOpen}: ${row.file.name}`);
    actions.append(link);
  } else if (state !== "sending") {
    const remove = button(say.sayRemove, "link-button", () => drop(row));
    remove.setAttribute("aria-label", `${say.sayRemove}: ${row.file.name}`);
    actions.append(remove);
  }
  refresh();
}

function refresh() {
  const open = rows.filter((row) => row.state === "ready" || row.state === "offline");
  list.hidden = rows.length === 0;
  list.classList.toggle("files--one", rows.length === 1);
  dropzone.classList.toggle("dropzone--filled", rows.length > 0);
  form.querySelector("[data-check]").hidden = open.length === 0;
  sendWords.textContent = open.length > 1 ? say.saySendMany : say.saySendOne;
  sendHuman.textContent = open.length > 1 ? say.sayHumanMany : say.sayHumanOne;
  sendButton.setAttribute("aria-disabled", String(sending));
}

function drop(row) {
  rows = rows.filter((other) => other !== row);
  row.element.remove();
  refresh();
  inputs[0].focus();
}

function picture(row) {
  const place = row.element.querySelector(".file__picture");
  const image = document.createElement("img");
  const url = URL.createObjectURL(row.file);
  image.alt = "";
  image.onload = () => URL.revokeObjectURL(url);
  image.onerror = () => {
    URL.revokeObjectURL(url);
    const words = document.createElement("p");
    words.className = "fine";
    words.textContent = say.sayNoPreview;
    place.replaceChildren(words);
  };
  image.src = url;
  place.append(image);
}

function add(files) {
  for (const file of files) {
    const element = template.content.firstElementChild.cloneNode(true);
    const row = { file, key: newKey(), state: "ready", element, url: "" };
    element.querySelector(".file__name").textContent = file.name;
    rows.push(row);
    list.append(element);
    picture(row);
    if (file.size > Number(say.maxBytes)) show(row, "refused", say.sayTooLarge);
    else show(row, "ready", `${say.sayReady} · ${sizeInWords(file.size)}`);
  }
  status.textContent = Array.from(files, (file) => file.name).join(", ");
}

async function send(row) {
  show(row, "sending", say.saySending);
  const data = new FormData(form);
  data.delete("image");
  data.delete("camera");
  data.set("image", row.file, row.file.name);
  data.set("idempotency_key", row.key);
  let answer;
  try {
    answer = await fetch(form.action, {
      method: "POST",
      body: data,
      headers: { Accept: "application/json" },
    });
  } catch {
    show(row, "offline", say.sayOffline);
    return;
  }
  if (answer.redirected || !answer.headers.get("Content-Type")?.startsWith("application/json")) {
    // Signed out meanwhile, or a fault: the page says it better than a row can.
    show(row, "offline", say.sayOffline);
    return;
  }
  const told = await answer.json();
  if (answer.ok) {
    row.url = told.url;
    await keep(told.id, row.file);
    show(row, "accepted", say.sayAccepted);
  } else {
    show(row, "refused", `${say.sayRefused}. ${told.message}`);
  }
}

for (const input of inputs) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
}

for (const kind of ["dragenter", "dragover"]) {
  dropzone.addEventListener(kind, (event) => {
    event.preventDefault();
    dropzone.classList.add("dropzone--over");
  });
}
dropzone.addEventListener("dragleave", () => dropzone.classList.remove("dropzone--over"));
dropzone.addEventListener("drop", (event) => {
  event.preventDefault();
  dropzone.classList.remove("dropzone--over");
  add(event.dataTransfer.files);
});

const lesion = form.querySelector("#id_lesion");
const newLesion = form.querySelector("[data-new-lesion]");
const nameIfNew = () => {
  newLesion.hidden = lesion.value !== "new";
};
lesion.addEventListener("change", nameIfNew);
nameIfNew();

form.addEventListener("submit", async (event) => {
  const open = rows.filter((row) => row.state === "ready" || row.state === "offline");
  const nameless = lesion.value === "new" && !form.elements.new_lesion.value.trim();
  if (open.length === 0 || nameless) {
    // Nothing to send: the server's answer says what is missing. A second click only waits.
    if (sending || (rows.length > 0 && !nameless)) event.preventDefault();
    else if (nameless && rows.length > 0) {
      event.preventDefault();
      form.elements.new_lesion.focus();
      form.elements.new_lesion.setAttribute("aria-invalid", "true");
    }
    return;
  }
  event.preventDefault();
  if (sending) return;
  sending = true;
  refresh();
  for (const row of open) {
    await send(row);
    status.textContent = `${row.file.name}: ${row.element.querySelector(".file__state").textContent}`;
  }
  sending = false;
  refresh();
  if (rows.length === 1 && rows[0].state === "accepted") window.location.assign(rows[0].url);
});

window.addEventListener("pageshow", (event) => {
  // Back from the result: a page out of the cache must not show rows that were sent.
  if (event.persisted) window.location.reload();
});
