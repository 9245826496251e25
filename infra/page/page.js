// Five views of one page: request a link, check your inbox, set a new password, done, and a link that does not work.
//
// A link leads here with an email address and a token. Opening it sends nothing and does not use it up, because email
// scanners open links too. Only the button sends the token.

import { config } from "./config.js";
import { readLink } from "./link.js";
import { duration, language, soon, texts } from "./texts.js";

const TIMEOUT = 30_000; // milliseconds

const views = Object.fromEntries(["forgot", "sent", "reset", "done", "bad"].map((id) => [id, viewOf(id)]));
const toggle = document.querySelector("#reset-toggle");
const sendAgainButton = document.querySelector("#sent-again");
const wholeAddress = document.querySelector("#reset-email-whole");

// The email address and the token of the opened link. Keep them only in this variable: storage and cookies outlive the
// page. Extensions and saved copies of the page can read a hidden field.
let link = null;
let countdown = null;

applyTexts();
openPage();
// A link whose token is in the fragment does not reload a page that is already open.
// The Back button may restore the whole page, variables included. It must not lead to the token.
window.addEventListener("pageshow", (event) => event.persisted && link && showBadLink("reloaded", link.email));
window.addEventListener("hashchange", () => readLink(location.href).kind !== "none" && openPage({ moveFocus: true }));
onSubmit(views.forgot, requestLink, texts.noResponse);
onSubmit(views.reset, setPassword, texts.noResponseReset);
toggle.addEventListener("click", () => showPasswords(toggle.getAttribute("aria-pressed") !== "true"));
sendAgainButton.addEventListener("click", sendAgain);
window.addEventListener("resize", showWholeAddress);
document.querySelector("#sent-other").addEventListener("click", () => startOver(""));
document.querySelector("#bad-new").addEventListener("click", () => startOver(views.forgot.form.elements.email.value));

// ---- Opening the page ----------------------------------------------------------------------------

function openPage(options) {
  const opened = takeLink();
  if (opened.kind === "complete") {
    link = { email: opened.email, token: opened.token };
    views.reset.form.reset();
    showPasswords(false);
    views.reset.form.elements.email.value = link.email;
    wholeAddress.textContent = link.email;
    show(views.reset, options);
    showWholeAddress();
  } else if (opened.kind === "none") {
    show(views.forgot, options);
  } else {
    showBadLink(opened.kind, opened.email ?? "", options);
  }
}

/** Reads the link, and first removes it from the address bar and the tab's history. */
function takeLink() {
  const opened = readLink(location.href);
  if (opened.kind === "none") return history.state?.wasOpenedByLink ? { kind: "reloaded" } : opened;
  // Use replaceState, not pushState or a redirect: the Back button must not lead to the token. The next person at this
  // computer could read it, and a screenshot or a shared URL would reveal it. The page cannot remove the token from the
  // browser's list of visited pages, so tokens work once and expire soon. The state records only that there was a link,
  // so that a reload can ask the user to open it again.
  history.replaceState({ wasOpenedByLink: true }, "", opened.url);
  return opened;
}

// ---- Requesting a link ---------------------------------------------------------------------------

async function requestLink({ email }) {
  if (!email.value.includes("@")) return showErrors(views.forgot, { codes: { email: ["not_an_address"] } });
  const response = await post("/password/forgot", requestBody(email.value));
  if (!response.ok) return showErrors(views.forgot, response);
  // Show the same text for every address: the page must not reveal what the API hides.
  emphasize("#sent-intro", texts.sentIntro(duration(config.linkMinutes)), email.value.trim());
  show(views.sent, { moveFocus: true });
  startCountdown(response.cooldown);
}

async function sendAgain() {
  if (sendAgainButton.getAttribute("aria-disabled") === "true") return;
  const label = sendAgainButton.textContent;
  busy(sendAgainButton, texts.sending);
  let cooldown = 0;
  try {
    const response = await post("/password/forgot", requestBody(views.forgot.form.elements.email.value));
    if (response.ok) {
      showMessage(views.sent, "done", texts.sentAgain);
      cooldown = response.cooldown;
    } else {
      showMessage(views.sent, "failed", errorText(response));
    }
  } catch (error) {
    showFailure(views.sent, error, texts.noResponse);
  }
  idle(sendAgainButton, label);
  startCountdown(cooldown);
}

function requestBody(email) {
  return { email, reset_url: config.resetUrl, locale: language };
}

/** Offers another link after the cooldown. Within it, the API returns the same response and sends nothing. */
function startCountdown(seconds) {
  clearInterval(countdown);
  const end = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left > 0) {
      const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      return busy(sendAgainButton, texts.sendAgainIn(time));
    }
    clearInterval(countdown);
    idle(sendAgainButton, texts.sendAgain);
  };
  countdown = setInterval(tick, 1000);
  tick();
}

function startOver(email) {
  history.replaceState(null, "");
  show(views.forgot, { moveFocus: true });
  views.forgot.form.elements.email.value = email;
}

// ---- Setting the password ------------------------------------------------------------------------

async function setPassword({ password, password_confirmation: confirmation }) {
  const codes = {};
  if ([...password.value].length < config.minLength) codes.password = ["too_short"];
  if (confirmation.value !== password.value) codes.password_confirmation = ["not_the_same"];
  if (Object.keys(codes).length > 0) {
    return showErrors(views.reset, { codes, parameters: { password: { min_length: config.minLength } } });
  }
  // Hide the password before sending it: browsers may store a visible one, like any other text.
  showPasswords(false);
  const response = await post("/password/reset", {
    ...link,
    password: password.value,
    password_confirmation: confirmation.value,
  });
  // The address comes from the link, too, so the user cannot correct it here.
  if (response.ok) showDone();
  else if (response.codes.token || response.codes.email) showBadLink("bad_token", link.email, { moveFocus: true });
  // A 503 means that the outcome is unknown.
  else if (response.status === 503) {
    showMessage(views.reset, "failed", texts.unavailableReset(soon(response.retryAfter)));
  } else showErrors(views.reset, response);
}

function showDone() {
  emphasize("#done-intro", texts.doneIntro, link.email);
  forgetLink();
  history.replaceState(null, "");
  // Do not sign the user in: an attacker who can read one email must not get past a second factor.
  show(views.done, { moveFocus: true });
}

/** Shows why the link does not work, and keeps its address for the next request. */
function showBadLink(reason, email, options) {
  forgetLink();
  document.querySelector("#bad-intro").textContent = texts.bad[reason];
  views.bad.heading = texts.badTitle[reason] ?? texts.title.bad;
  show(views.bad, options);
  views.forgot.form.elements.email.value = email;
}

function forgetLink() {
  link = null;
  views.reset.form.reset();
}

/** Repeats an address that is longer than its field below it, because an input cannot wrap text. */
function showWholeAddress() {
  const { email } = views.reset.form.elements;
  wholeAddress.hidden = email.scrollWidth <= email.clientWidth;
}

function showPasswords(shown) {
  toggle.setAttribute("aria-pressed", String(shown));
  for (const name of ["password", "password_confirmation"]) {
    views.reset.form.elements[name].type = shown ? "text" : "password";
  }
}

// ---- Calling the API -----------------------------------------------------------------------------

/** The page could not reach the server, or the response timed out. */
class NoResponse extends Error {}

/** Sends fields to the API, and returns the parts of the response that the views need. */
async function post(path, fields) {
  // Not AbortSignal.timeout: Safari lacks it before version 16.
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), TIMEOUT);
  const pending = fetch(config.api + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal: controller.signal,
  });
  const response = await pending.catch((error) => { throw new NoResponse(error.message); });
  const body = await response.json().catch(() => ({})); // a 204 has no body, and a gateway's errors may not be JSON
  clearTimeout(timer);
  return {
    ok: response.ok,
    status: response.status,
    cooldown: body.cooldown_seconds ?? 0,
    errors: body.errors ?? {},
    codes: body.codes ?? {},
    parameters: body.parameters ?? {},
    retryAfter: Number(response.headers.get("Retry-After")),
  };
}

// ---- Forms ---------------------------------------------------------------------------------------

/** Runs `send` when the form is submitted, one run at a time. The button works again even if `send` fails. */
function onSubmit(view, send, noResponse) {
  for (const field of view.form.querySelectorAll("input")) field.addEventListener("input", () => clearField(view, field));
  view.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (view.button.getAttribute("aria-disabled") === "true") return;
    const label = view.button.textContent;
    clear(view);
    busy(view.button, view.button.dataset.busy);
    try {
      await send(view.form.elements);
    } catch (error) {
      showFailure(view, error, noResponse);
    } finally {
      idle(view.button, label);
    }
  });
}

/** Does not set `disabled`, which would move the keyboard's focus to the top of the page. */
function busy(button, text) {
  button.setAttribute("aria-disabled", "true");
  button.textContent = text;
}

function idle(button, text) {
  button.setAttribute("aria-disabled", "false");
  button.textContent = text;
}

/** Shows what failed, and distinguishes an error in this page from a network error. */
function showFailure(view, error, noResponse) {
  if (!(error instanceof NoResponse)) console.error(error);
  showMessage(view, "failed", error instanceof NoResponse ? noResponse : texts.pageError);
}

/** Shows all errors at once: beside the field if the form has it, otherwise below the form. */
function showErrors(view, response) {
  const { codes, errors = {}, parameters = {} } = response;
  for (const [name, [code]] of Object.entries(codes)) {
    const field = view.form.elements[name];
    // An error in a field that the form lacks is for this page's developer, in the server's words.
    const text = (field && texts.errors[code]) ?? errors[name]?.[0] ?? texts.serverError;
    const message = typeof text === "function" ? text(parameters[name] ?? {}) : text;
    if (field) markInvalid(field, message);
    else showMessage(view, "failed", message);
  }
  if (Object.keys(codes).length === 0) showMessage(view, "failed", errorText(response));
  view.form.querySelector("[aria-invalid]")?.focus();
}

function markInvalid(field, message) {
  field.setAttribute("aria-invalid", "true");
  document.getElementById(`${field.id}-error`).textContent = message;
}

function clearField(view, field) {
  if (!field.hasAttribute("aria-invalid")) return;
  field.removeAttribute("aria-invalid");
  document.getElementById(`${field.id}-error`).textContent = "";
}

function errorText({ status, retryAfter }) {
  if (status === 429) return texts.tooMany(soon(retryAfter));
  if (status === 503) return texts.unavailable(soon(retryAfter));
  return texts.serverError;
}

// ---- Views ---------------------------------------------------------------------------------------

function viewOf(id) {
  const section = document.getElementById(id);
  const form = section.querySelector("form");
  return { section, form, title: section.querySelector("h1"), button: form?.querySelector("[type=submit]"),
    heading: texts.title[id] };
}

/** Fills in the texts in the user's language, and the product's name, logo, and sign-in page. */
function applyTexts() {
  document.documentElement.lang = language;
  document.documentElement.dir = texts.dir;
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = texts[each.dataset.text];
  toggle.setAttribute("aria-label", texts.showPassword);
  views.forgot.button.dataset.busy = texts.sending;
  views.reset.button.dataset.busy = texts.saving;
  document.querySelector("#reset-password-hint").textContent = texts.passwordHint(config.minLength);
  document.querySelector("#brand").textContent = config.product;
  for (const each of document.querySelectorAll("[data-sign-in]")) each.href = config.signIn;
  if (config.logo) {
    const image = Object.assign(document.createElement("img"), { src: config.logo, alt: "" });
    document.querySelector(".brand svg").replaceWith(image);
  }
}

function show(view, { moveFocus = false } = {}) {
  for (const each of Object.values(views)) each.section.hidden = each !== view;
  clear(view);
  view.title.textContent = view.heading;
  document.title = `${view.heading} · ${config.product}`;
  // Focus the heading, so that a screen reader starts at the new view. On load, it reads the page anyway.
  if (moveFocus) view.title.focus();
}

/** Writes a text with the email address emphasized. */
function emphasize(selector, text, email) {
  const [before, after] = text.split("{email}");
  const strong = Object.assign(document.createElement("strong"), { textContent: email });
  document.querySelector(selector).replaceChildren(before, strong, after);
}

function showMessage(view, outcome, text) {
  for (const each of ["done", "failed"]) {
    view.section.querySelector(`.${each}`).textContent = each === outcome ? text : "";
  }
}

function clear(view) {
  for (const text of view.section.querySelectorAll(".error, .done, .failed")) text.textContent = "";
  for (const field of view.section.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}
