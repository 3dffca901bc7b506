// Passkeys: the browser asks the device, and what it answers is sent with the form.

const form = document.querySelector("[data-passkey]");
const options = JSON.parse(document.getElementById("passkey-options").textContent);
const say = form.querySelector("[data-say]");
const making = form.dataset.passkey === "create";

async function ask() {
  const { publicKey } = making ? options.creation_options : options.request_options;
  return making
    ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) })
    : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
}

if (window.PublicKeyCredential?.parseCreationOptionsFromJSON) {
  form.querySelector("button").disabled = false;
  say.textContent = "";
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  say.textContent = "";
  try {
    const credential = await ask();
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch {
    // The device says no more than that: cancelled, timed out, or not known here.
    say.textContent = say.dataset.say;
  }
});
