// Asks the browser for the passkey, and sends its answer as the form's field.
const form = document.getElementById("passkey-form");
const problem = document.getElementById("passkey-problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  try {
    const options = JSON.parse(form.dataset.options);
    const credential = await navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
    });
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    problem.textContent = `The passkey was not used: ${error.message}`;
  }
});
