// Every state of the page, and the steps that lead to it.

import { TOKEN } from "./server.mjs";

const EMAIL = "ada.lovelace@example.com";
const LINK = `?email=${encodeURIComponent(EMAIL)}&token=`;
const VALID_LINK = `${LINK}${TOKEN}`;
export const LONG_EMAIL = `${"a-very-long-local-part-".repeat(2)}@${"department.".repeat(8)}example.com`;

export const states = {
  "forgot": (page, url) => open(page, url),
  "forgot-invalid": (page, url) => requestLink(page, url, "not an address"),
  "forgot-too-many": (page, url) => requestLink(page, url, "too-many@example.com"),
  "forgot-unavailable": (page, url) => requestLink(page, url, "unavailable@example.com"),
  "forgot-no-response": (page, url) => requestLink(page, url, "silence@example.com"),
  "sent": (page, url) => requestLink(page, url, EMAIL),
  "sent-long": (page, url) => requestLink(page, url, LONG_EMAIL),
  "sent-again": async (page, url) => {
    await requestLink(page, url, "impatient@example.com");
    await page.waitForSelector("#sent-again[aria-disabled=false]");
    await page.click("#sent-again");
    await page.waitForSelector("#sent-status .done:not(:empty)");
  },
  "reset": (page, url) => open(page, url + VALID_LINK),
  "reset-long": (page, url) => open(page, `${url}?email=${encodeURIComponent(LONG_EMAIL)}&token=${TOKEN}`),
  "reset-invalid": (page, url) => setPassword(page, url + VALID_LINK, "short", "different"),
  "reset-leaked": (page, url) => setPassword(page, url + VALID_LINK, "a leaked password"),
  "reset-too-many": (page, url) => setPassword(page, url + VALID_LINK, "a busy password"),
  "reset-shown": async (page, url) => {
    await open(page, url + VALID_LINK);
    await page.type("#reset-password", "correct horse battery staple");
    await page.click("#reset-toggle");
  },
  "done": (page, url) => setPassword(page, url + VALID_LINK, "correct horse battery staple"),
  "bad-token": (page, url) => setPassword(page, `${url}${LINK}${"f".repeat(64)}`, "correct horse battery staple"),
  "bad-incomplete": (page, url) => open(page, `${url}?email=${encodeURIComponent(EMAIL)}`),
  "bad-damaged": (page, url) => open(page, `${url}${LINK}${TOKEN.slice(0, 40)}`),
  "bad-reloaded": async (page, url) => {
    await open(page, url + VALID_LINK);
    await page.reload();
  },
};

/** Loads the page. Without `about:blank`, a URL that differs only in its fragment would not reload it. */
export async function open(page, url) {
  await page.goto("about:blank");
  await page.goto(url);
  await page.waitForSelector("section.card:not([hidden])");
}

export async function requestLink(page, url, email) {
  await open(page, url);
  await page.type("#forgot-email", email);
  await page.keyboard.press("Enter");
  await waitForResult(page, "#forgot");
}

export async function setPassword(page, url, password, confirmation = password) {
  await open(page, url);
  await page.type("#reset-password", password);
  await page.type("#reset-confirmation", confirmation);
  await page.keyboard.press("Enter");
  await waitForResult(page, "#reset");
}

/** Waits for the result of a submitted form: another view, a message, or an invalid field. */
async function waitForResult(page, view) {
  await page.waitForFunction((view) => {
    const section = document.querySelector(view);
    const button = section.querySelector("[type=submit]");
    const message = section.querySelector(".done:not(:empty), .failed:not(:empty), [aria-invalid]");
    return section.hidden || (message && button.getAttribute("aria-disabled") === "false");
  }, {}, view);
}
