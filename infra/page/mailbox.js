// Desk only: shows the mails that the local AWS kept instead of sending them. Leave it out of your page.

const PERIOD = 1_500; // milliseconds
const LINK = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?)]/g;

const section = document.querySelector("#mailbox");
const status = document.querySelector("#mailbox-status");
const mails = document.querySelector("#mails");

const { mailbox } = await (await fetch("config.json")).json();
if (mailbox) {
  section.hidden = false;
  await look();
  setInterval(() => document.visibilityState === "visible" && look(), PERIOD);
  document.addEventListener("visibilitychange", look);
}

async function look() {
  try {
    const response = await fetch(mailbox, { signal: AbortSignal.timeout(PERIOD * 4) });
    const { messages } = await response.json(); // a list for each account of the local AWS
    showMails(Object.values(messages).flat().sort((a, b) => a.Timestamp - b.Timestamp));
  } catch {
    tell("The local AWS does not answer.");
  }
}

/** The newest first. What is there already stays untouched: somebody may be reading it, or about to follow its link. */
function showMails(found) {
  const ids = new Set(found.map((mail) => mail.MessageId));
  const shown = new Map([...mails.children].map((article) => [article.dataset.id, article]));
  for (const [id, article] of shown) if (!ids.has(id)) article.remove();
  for (const mail of found) if (!shown.has(mail.MessageId)) mails.prepend(articleOf(mail));
  tell(found.length === 0 ? "No mail yet." : `${found.length} ${found.length === 1 ? "mail" : "mails, newest first"}.`);
}

function articleOf(mail) {
  const when = new Date(mail.Timestamp * 1000);
  const headers = element("dl", {}, ...[
    ["From", decoded(mail.Source)],
    ["To", (mail.To ?? []).join(", ")],
    ["At", element("time", { dateTime: when.toISOString() }, when.toLocaleTimeString())],
  ].flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const text = element("div", { className: "mail-text" }, ...withLinks((mail.BodyText ?? "").trim()));
  const article = element("article", { className: "mail" }, element("h3", {}, mail.Subject), headers, text);
  article.dataset.id = mail.MessageId;
  return article;
}

/** Cuts a text into strings and links. A mail is only ever text here: what looks like HTML in it stays text. */
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: href, index } of text.matchAll(LINK)) {
    if (!URL.canParse(href)) continue;
    parts.push(text.slice(end, index), element("a", { href, className: "mail-link", rel: "noreferrer" }, href));
    end = index + href.length;
  }
  return [...parts, text.slice(end)];
}

/** Undoes the encoded words that names in mail headers are sent as (RFC 2047; Rekey makes UTF-8 ones in Base64). */
function decoded(header) {
  const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return header
    .replace(/\?=\s+=\?/g, "?==?")
    .replace(/=\?utf-8\?b\?([a-z0-9+/=]*)\?=/gi, (_, base64) => new TextDecoder().decode(bytesOf(base64)));
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Only what is new: a live region reads out whatever is put into it. */
function tell(text) {
  if (status.textContent !== text) status.textContent = text;
}
