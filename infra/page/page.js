// Two views of one page: ask for a link, and set a new password with it.
//
// A link leads here with an address and a token. Opening it sends nothing and uses nothing up: mail scanners open
// links too. Only pressing the button does.

const PRODUCT = "Rekey";
const PATIENCE = 30_000; // milliseconds

const forgot = viewOf("forgot");
const reset = viewOf("reset");
const toggle = document.querySelector("#reset-toggle");
const askAgain = document.querySelector("#reset-ask-again");

// The address and the token of the link that was opened. They live in this variable and nowhere else: storage and
// cookies outlive the page, and a hidden field is there for every extension and every saved copy of it to read.
let link = null;

openPage();
// A link whose token is in the fragment does not reload a page that is open already.
window.addEventListener("hashchange", () => carriesToken(location) && openPage({ moveFocus: true }));
onSubmit(forgot, askForLink, "The server did not answer. Please check your connection and try again.");
onSubmit(reset, setPassword,
  "The server did not answer, so your password may be changed or not. Please check your connection and try again.");
toggle.addEventListener("click", () => showPasswords(toggle.ariaPressed !== "true"));
askAgain.addEventListener("click", startAgain);

// ---- Opening the page ----------------------------------------------------------------------------

function openPage(options) {
  const found = takeLink();
  link = found?.email && found.token ? found : null;
  if (link) {
    reset.form.reset();
    showPasswords(false);
    reset.form.elements.email.value = link.email;
    show(reset, options);
  } else {
    show(forgot, options);
    if (found) say(forgot, "failed", "This link is not complete. Please open it again, or ask for a new one.");
  }
}

/** Reads the link, and takes it out of the address bar and of the tab's history before anything else happens. */
function takeLink() {
  if (!carriesToken(location)) return null;
  const url = new URL(location.href);
  const fragment = fragmentOf(url);
  const inFragment = fragment.has("token");
  const found = {};
  for (const name of ["email", "token"]) {
    found[name] = url.searchParams.get(name) ?? fragment.get(name);
    url.searchParams.delete(name);
    fragment.delete(name);
  }
  if (inFragment) url.hash = fragment;
  // replaceState and not pushState or a redirect: the entry with the token must not stay behind the Back button, where
  // the next person at this computer, a screenshot or a "here is the page I am on" would give it away. What a page
  // cannot reach is the browser's list of visited pages: hence tokens that work once, and not for long.
  history.replaceState(null, "", url);
  return found;
}

function carriesToken(url) {
  return new URLSearchParams(url.search).has("token") || fragmentOf(url).has("token");
}

function fragmentOf(url) {
  return new URLSearchParams(url.hash.slice(1));
}

// ---- Asking for a link ---------------------------------------------------------------------------

async function askForLink({ email }) {
  const { resetUrl } = await settings();
  const answer = await post("/password/forgot", { email: email.value, reset_url: resetUrl });
  // The same words whether there is such an account or not: the page must not tell what the API does not.
  if (answer.ok) say(forgot, "done", answer.message);
  else refuse(forgot, answer);
}

// ---- Setting the password ------------------------------------------------------------------------

async function setPassword({ password, password_confirmation }) {
  // Hidden again before it is sent, or a browser may remember it as it remembers any other text.
  showPasswords(false);
  const answer = await post("/password/reset", {
    ...link,
    password: password.value,
    password_confirmation: password_confirmation.value,
  });
  // The address is the link's too: nobody can mend it here.
  const badLink = answer.errors.token ?? answer.errors.email;
  if (answer.ok) celebrate();
  else if (badLink) giveUpLink(badLink);
  else refuse(reset, answer);
}

function celebrate() {
  const { email } = link;
  forgetLink();
  reset.title.textContent = "Your password is changed";
  announceTitle(reset);
  reset.title.focus();
  // Nobody is signed in by this: whoever could read one mail does not get past a second factor with it.
  const next = "Sign in with your new password now.";
  say(reset, "done", `${next} All other links are dead, and a mail to ${email} confirms the change.`);
}

function giveUpLink(complaints) {
  const { email } = link;
  forgetLink();
  forgot.form.elements.email.value = email;
  say(reset, "failed", complaints.join(" "));
  askAgain.hidden = false;
  askAgain.focus();
}

function forgetLink() {
  link = null;
  reset.form.reset();
  reset.form.hidden = true;
}

function startAgain() {
  show(forgot, { moveFocus: true });
}

function showPasswords(shown) {
  toggle.ariaPressed = String(shown);
  for (const name of ["password", "password_confirmation"]) {
    reset.form.elements[name].type = shown ? "text" : "password";
  }
}

// ---- Talking to the API --------------------------------------------------------------------------

/** Where the API is, and which allowed reset URL is this page's. A page of your own may have them as constants. */
async function settings() {
  const response = await fetch("config.json");
  return response.json();
}

/** Sends fields to the API and gives back its answer with all that the views ask of it. */
async function post(path, fields) {
  const { api } = await settings();
  const response = await fetch(api + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal: AbortSignal.timeout(PATIENCE),
  });
  const body = await response.json().catch(() => ({})); // a 204 has none, and a gateway's own errors need not be JSON
  return {
    ok: response.ok,
    status: response.status,
    message: body.message,
    errors: body.errors ?? {},
    retryAfter: Number(response.headers.get("Retry-After")),
  };
}

// ---- Forms ---------------------------------------------------------------------------------------

/** Runs `send` when the form is submitted, once at a time, whatever happens to it. */
function onSubmit(view, send, unanswered) {
  view.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (view.button.ariaDisabled === "true") return;
    const label = view.button.textContent;
    clear(view);
    // Not `disabled`, which would throw the keyboard's focus back to the top of the page.
    view.button.ariaDisabled = "true";
    view.button.textContent = view.button.dataset.busy;
    try {
      await send(view.form.elements);
    } catch {
      say(view, "failed", unanswered);
    } finally {
      view.button.ariaDisabled = "false";
      view.button.textContent = label;
    }
  });
}

/** Shows what is wrong: beside its field where there is one, below the form otherwise. */
function refuse(view, { status, errors, retryAfter }) {
  const homeless = [];
  for (const [name, complaints] of Object.entries(errors)) {
    const field = view.form.elements[name];
    if (field) markWrong(field, complaints);
    else homeless.push(`${name} ${complaints.join(" ")}`);
  }
  const wrong = view.form.querySelector("[aria-invalid]");
  if (homeless.length) say(view, "failed", `${homeless.join("; ")}.`);
  else if (!wrong) say(view, "failed", excuse(status, retryAfter));
  wrong?.focus();
}

function markWrong(field, complaints) {
  field.ariaInvalid = "true";
  document.getElementById(`${field.id}-error`).textContent = sentence(`this ${complaints.join(", and ")}`);
}

function excuse(status, retryAfter) {
  if (status === 429) return `That was too often. Please try again ${soon(retryAfter)}.`;
  if (status === 503) return `That is not possible just now. Please try again ${soon(retryAfter)}.`;
  return "Something went wrong on our side. Please try again later.";
}

function soon(seconds) {
  if (!(seconds > 0)) return "in a moment";
  const format = new Intl.RelativeTimeFormat("en");
  return seconds < 120 ? format.format(seconds, "second") : format.format(Math.ceil(seconds / 60), "minute");
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

// ---- Views ---------------------------------------------------------------------------------------

function viewOf(id) {
  const section = document.getElementById(id);
  const title = section.querySelector("h1");
  const form = section.querySelector("form");
  return { section, title, form, button: form.querySelector("[type=submit]"), heading: title.textContent };
}

function show(view, { moveFocus = false } = {}) {
  for (const each of [forgot, reset]) each.section.hidden = each !== view;
  clear(view);
  view.form.hidden = false;
  view.title.textContent = view.heading;
  announceTitle(view);
  // To the heading, so that a screen reader starts where the new view does. Not on load, when it reads the page anyway.
  if (moveFocus) view.title.focus();
}

function announceTitle(view) {
  document.title = `${view.title.textContent} · ${PRODUCT}`;
}

function say(view, outcome, text) {
  view.section.querySelector(`.${outcome}`).textContent = text;
}

function clear(view) {
  askAgain.hidden = true;
  for (const text of view.section.querySelectorAll(".error, .done, .failed")) text.textContent = "";
  for (const field of view.form.querySelectorAll("[aria-invalid]")) field.ariaInvalid = null;
}
