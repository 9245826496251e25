// Five views of one page: ask for a link, check your inbox, set a new password, done, and a link that does not work.
//
// A link leads here with an address and a token. Opening it sends nothing and uses nothing up: mail scanners open
// links too. Only pressing the button does.

import { config } from "./config.js";
import { readLink } from "./link.js";
import { duration, language, soon, texts } from "./texts.js";

const PATIENCE = 30_000; // milliseconds

const views = Object.fromEntries(["forgot", "sent", "reset", "done", "bad"].map((id) => [id, viewOf(id)]));
const toggle = document.querySelector("#reset-toggle");
const again = document.querySelector("#sent-again");
const wholeAddress = document.querySelector("#reset-email-whole");

// The address and the token of the link that was opened. They live in this variable and nowhere else: storage and
// cookies outlive the page, and a hidden field is there for every extension and every saved copy of it to read.
let link = null;
let countdown = null;

speak();
openPage();
// A link whose token is in the fragment does not reload a page that is open already.
window.addEventListener("hashchange", () => readLink(location.href).kind !== "none" && openPage({ moveFocus: true }));
onSubmit(views.forgot, askForLink, texts.unanswered);
onSubmit(views.reset, setPassword, texts.unansweredReset);
toggle.addEventListener("click", () => showPasswords(toggle.getAttribute("aria-pressed") !== "true"));
again.addEventListener("click", sendAgain);
window.addEventListener("resize", showWholeAddress);
document.querySelector("#sent-other").addEventListener("click", () => startOver(""));
document.querySelector("#bad-new").addEventListener("click", () => startOver(views.forgot.form.elements.email.value));

// ---- Opening the page ----------------------------------------------------------------------------

function openPage(options) {
  const found = takeLink();
  if (found.kind === "complete") {
    link = { email: found.email, token: found.token };
    views.reset.form.reset();
    showPasswords(false);
    views.reset.form.elements.email.value = link.email;
    wholeAddress.textContent = link.email;
    show(views.reset, options);
    showWholeAddress();
  } else if (found.kind === "none") {
    show(views.forgot, options);
  } else {
    reject(found.kind, found.email ?? "", options);
  }
}

/** Reads the link, and takes it out of the address bar and of the tab's history before anything else happens. */
function takeLink() {
  const found = readLink(location.href);
  if (found.kind === "none") return history.state?.wasOpenedByLink ? { kind: "reloaded" } : found;
  // replaceState and not pushState or a redirect: the entry with the token must not stay behind the Back button, where
  // the next person at this computer, a screenshot or a "here is the page I am on" would give it away. What a page
  // cannot reach is the browser's list of visited pages: hence tokens that work once, and not for long. The state says
  // only that there was a link, so that a reload can say so too.
  history.replaceState({ wasOpenedByLink: true }, "", found.url);
  return found;
}

// ---- Asking for a link ---------------------------------------------------------------------------

async function askForLink({ email }) {
  if (!email.value.includes("@")) return refuse(views.forgot, { codes: { email: ["not_an_address"] } });
  const answer = await post("/password/forgot", wish(email.value));
  if (!answer.ok) return refuse(views.forgot, answer);
  // The same words whether there is such an account or not: the page must not tell what the API does not.
  emphasize("#sent-intro", texts.sentIntro(duration(config.linkMinutes)), email.value.trim());
  show(views.sent, { moveFocus: true });
  count(answer.cooldown);
}

async function sendAgain() {
  if (again.getAttribute("aria-disabled") === "true") return;
  const label = again.textContent;
  busy(again, texts.sending);
  let cooldown = 0;
  try {
    const answer = await post("/password/forgot", wish(views.forgot.form.elements.email.value));
    if (answer.ok) {
      say(views.sent, "done", texts.sentAgain);
      cooldown = answer.cooldown;
    } else {
      say(views.sent, "failed", excuse(answer));
    }
  } catch (error) {
    fail(views.sent, error, texts.unanswered);
  }
  idle(again, label);
  count(cooldown);
}

function wish(email) {
  return { email, reset_url: config.resetUrl, locale: language };
}

/** Offers to send another link when one can be sent: within the cooldown, the API answers alike and sends nothing. */
function count(seconds) {
  clearInterval(countdown);
  const end = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left > 0) return busy(again, texts.sendAgainIn(`${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`));
    clearInterval(countdown);
    idle(again, texts.sendAgain);
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
    return refuse(views.reset, { codes, parameters: { password: { min_length: config.minLength } } });
  }
  // Hidden again before it is sent, or a browser may remember it as it remembers any other text.
  showPasswords(false);
  const answer = await post("/password/reset", {
    ...link,
    password: password.value,
    password_confirmation: confirmation.value,
  });
  // The address is the link's too: nobody can mend it here.
  if (answer.ok) celebrate();
  else if (answer.codes.token || answer.codes.email) reject("bad_token", link.email, { moveFocus: true });
  else refuse(views.reset, answer);
}

function celebrate() {
  emphasize("#done-intro", texts.doneIntro, link.email);
  forgetLink();
  history.replaceState(null, "");
  // Nobody is signed in by this: whoever could read one mail does not get past a second factor with it.
  show(views.done, { moveFocus: true });
}

/** The link cannot be used. Its address is kept for asking for another one. */
function reject(reason, email, options) {
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

/** An input cannot wrap its text: below it, an address that is longer than the field is shown whole. */
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

// ---- Talking to the API --------------------------------------------------------------------------

/** The server could not be reached, or did not answer in time. */
class Unanswered extends Error {}

/** Sends fields to the API and gives back its answer with all that the views ask of it. */
async function post(path, fields) {
  // Not AbortSignal.timeout: Safari has it since version 16 only.
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE);
  const answer = fetch(config.api + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal: patience.signal,
  });
  const response = await answer.catch((error) => { throw new Unanswered(error.message); });
  const body = await response.json().catch(() => ({})); // a 204 has none, and a gateway's own errors need not be JSON
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

/** Runs `send` when the form is submitted, once at a time, whatever happens to it. */
function onSubmit(view, send, unanswered) {
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
      fail(view, error, unanswered);
    } finally {
      idle(view.button, label);
    }
  });
}

/** Not `disabled`, which would throw the keyboard's focus back to the top of the page. */
function busy(button, text) {
  button.setAttribute("aria-disabled", "true");
  button.textContent = text;
}

function idle(button, text) {
  button.setAttribute("aria-disabled", "false");
  button.textContent = text;
}

/** Says what failed. A mistake of this page is not the network's. */
function fail(view, error, unanswered) {
  if (!(error instanceof Unanswered)) console.error(error);
  say(view, "failed", error instanceof Unanswered ? unanswered : texts.pageFault);
}

/** Shows every mistake at once: beside its field where there is one, below the form otherwise. */
function refuse(view, answer) {
  const { codes, errors = {}, parameters = {} } = answer;
  for (const [name, [code]] of Object.entries(codes)) {
    const field = view.form.elements[name];
    const text = texts.errors[code] ?? errors[name]?.[0] ?? texts.ourFault;
    const words = typeof text === "function" ? text(parameters[name] ?? {}) : text;
    if (field) markWrong(field, words);
    else say(view, "failed", words);
  }
  if (Object.keys(codes).length === 0) say(view, "failed", excuse(answer));
  view.form.querySelector("[aria-invalid]")?.focus();
}

function markWrong(field, words) {
  field.setAttribute("aria-invalid", "true");
  document.getElementById(`${field.id}-error`).textContent = words;
}

function clearField(view, field) {
  if (!field.hasAttribute("aria-invalid")) return;
  field.removeAttribute("aria-invalid");
  document.getElementById(`${field.id}-error`).textContent = "";
}

function excuse({ status, retryAfter }) {
  if (status === 429) return texts.tooMany(soon(retryAfter));
  if (status === 503) return texts.unavailable(soon(retryAfter));
  return texts.ourFault;
}

// ---- Views ---------------------------------------------------------------------------------------

function viewOf(id) {
  const section = document.getElementById(id);
  const form = section.querySelector("form");
  return { section, form, title: section.querySelector("h1"), button: form?.querySelector("[type=submit]"),
    heading: texts.title[id] };
}

/** Puts the texts of the language into the page, and the product's name, logo, and sign-in page. */
function speak() {
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
  // To the heading, so that a screen reader starts where the new view does. Not on load, when it reads the page anyway.
  if (moveFocus) view.title.focus();
}

/** Writes a text in which the address stands out. */
function emphasize(selector, text, email) {
  const [before, after] = text.split("{email}");
  const strong = Object.assign(document.createElement("strong"), { textContent: email });
  document.querySelector(selector).replaceChildren(before, strong, after);
}

function say(view, outcome, text) {
  for (const each of ["done", "failed"]) {
    view.section.querySelector(`.${each}`).textContent = each === outcome ? text : "";
  }
}

function clear(view) {
  for (const text of view.section.querySelectorAll(".error, .done, .failed")) text.textContent = "";
  for (const field of view.section.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}
