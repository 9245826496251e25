// Tests the sample page in Chromium and Firefox against a fake API: `node --test tests/page/`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { AXE, launch } from "./browsers.mjs";
import { TOKEN, serve } from "./server.mjs";
import { LONG_EMAIL, open, requestLink, setPassword, states } from "./states.mjs";

const EMAIL = "ada.lovelace@example.com";
const PASSWORD = "correct horse battery staple";
const axe = await readFile(AXE, "utf8");

let server;
before(async () => { server = await serve(); });
after(() => server.close());

for (const name of ["chrome", "firefox"]) describe(name, () => {
  let browser;
  before(async () => { browser = await launch(name); });
  after(() => browser.close());

  /** Runs a test in a new tab. `prepare` runs in the tab before the scripts of every page. */
  async function inTab(run, prepare) {
    const page = await browser.newPage();
    try {
      if (prepare) await page.evaluateOnNewDocument(prepare);
      await run(page);
    } finally {
      await page.close();
    }
  }

  for (const [state, reach] of Object.entries(states)) {
    test(`the state ${state} is accessible at every width and hides the token`, () =>
      inTab(async (page) => {
        for (const [width, scheme] of [[320, "light"], [390, "dark"], [1280, "light"]]) {
          await page.setViewport({ width, height: 800 });
          if (name === "chrome") await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
          await reach(page, server.url);
          assert.equal(await page.evaluate(() => location.href), server.url);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(overflow <= 0, `the page is ${overflow} px wider than the viewport of ${width} px`);
          assert.equal(await page.evaluate(() => document.querySelectorAll("section.card:not([hidden])").length), 1);
          const headings = await page.$$eval("section.card:not([hidden]) h1", (all) => all.map((one) => one.textContent));
          assert.equal(await page.title(), `${headings} · Example App`);
          await page.evaluate(axe);
          const { violations } = await page.evaluate(() => globalThis.axe.run());
          assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
          const contrast = await page.evaluate(borderContrast);
          assert.ok(contrast === null || contrast >= 3, `expected a border contrast of at least 3, got ${contrast}`);
        }
      }));
  }

  // Reported cases: links as email programs, gateways, and users change them.
  const encoded = encodeURIComponent(EMAIL);
  const whole = `email=${encoded}&token=${TOKEN}`;
  for (const [variant, parts, email = EMAIL] of [
    ["unchanged", `?${whole}`],
    ["parts in the fragment", `#${whole}`],
    ["parts after a path in the fragment", `#/reset?${whole}`],
    ["parts after the page's own query", `?view=reset&${whole}`],
    ["&amp; (yii2-app-advanced#302)", `?email=${encoded}&amp;token=${TOKEN}`],
    ["&amp;amp;", `?email=${encoded}&amp;amp;token=${TOKEN}`],
    ["&#38;", `?email=${encoded}&#38;token=${TOKEN}`],
    ["whole query encoded once", `?${encodeURIComponent(whole)}`],
    ["whole query encoded twice", `?${encodeURIComponent(encodeURIComponent(whole))}`],
    ["%40 encoded twice (appsmith#30195)", `?email=${encodeURIComponent(encoded)}&token=${TOKEN}`],
    ["%2B decoded in transit (CE-Phoenix#864)", `?email=ada+new%40example.com&token=${TOKEN}`, "ada+new@example.com"],
    ["%2B replaced by a space", `?email=ada%20new%40example.com&token=${TOKEN}`, "ada+new@example.com"],
    ["%2B encoded twice", `?email=ada%252Bnew%2540example.com&token=${TOKEN}`, "ada+new@example.com"],
    ["token in upper case", `?email=${encoded}&token=${TOKEN.toUpperCase()}`],
    ["trailing period", `?${whole}.`],
  ]) {
    test(`the page reads a link: ${variant}`, () => inTab(async (page) => {
      await open(page, server.url + parts);
      assert.equal(await page.$eval("#reset-email", (field) => field.value), email);
      const address = await page.evaluate(() => location.href);
      assert.doesNotMatch(address, /token|[0-9a-f]{64}|email=/i);
      assert.equal(address.includes("view=reset"), parts.includes("view=reset"));
      assert.equal(address.includes("#/reset"), parts.includes("#/reset"));
      assert.ok(!(await page.content()).includes(TOKEN.slice(0, 16)));
      const before = server.requests.length;
      await page.type("#reset-password", PASSWORD);
      await page.type("#reset-confirmation", PASSWORD);
      await page.keyboard.press("Enter");
      await page.waitForSelector("#done:not([hidden])");
      const [sent] = server.requests.slice(before).filter((request) => request.email === email);
      assert.equal(sent.token.toLowerCase(), TOKEN);
    }));
  }

  for (const [variant, parts, title] of [
    ["cut at & (OnePoint-Global-Account-Toolkit#403)", `?email=${encoded}`, "This link is incomplete"],
    ["no email address", `?token=${TOKEN}`, "This link is incomplete"],
    ["half a token", `?email=${encoded}&token=${TOKEN.slice(0, 30)}`, "This link is damaged"],
    ["invalid token", `?email=${encoded}&token=${"x".repeat(64)}`, "This link is damaged"],
    ["unreadable parts", `?${encoded}%26to%ken${TOKEN}token`, "This link is damaged"],
  ]) {
    test(`the page rejects a link: ${variant}`, () => inTab(async (page) => {
      await open(page, server.url + parts);
      assert.equal(await page.$eval("#bad-title", (title) => title.textContent), title);
      assert.doesNotMatch(await page.evaluate(() => location.href), /token|[0-9a-f]{30}/i);
      await page.click("#bad-new");
      await page.waitForSelector("#forgot:not([hidden])");
    }));
  }

  test("a reload asks the user to open the link again (identity-idp#8207)", () => inTab(async (page) => {
    await states["bad-reloaded"](page, server.url);
    assert.equal(await page.$eval("#bad-title", (title) => title.textContent), "Open the link again");
    await page.click("#bad-new");
    await page.reload();
    await page.waitForSelector("#forgot:not([hidden])");
  }));

  test("a page that the Back button restores has forgotten the link", () => inTab(async (page) => {
    await states.reset(page, server.url);
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
    await page.waitForSelector("#bad:not([hidden])");
    assert.equal(await page.$eval("#bad-title", (title) => title.textContent), "Open the link again");
  }));

  test("the flow works by keyboard, and focus follows each view", () => inTab(async (page) => {
    await open(page, server.url);
    await page.keyboard.press("Tab");
    await page.keyboard.type("impatient@example.com");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#sent:not([hidden])");
    assert.equal(await focused(page), "sent-title");
    await page.waitForSelector("#sent-again[aria-disabled=false]");
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "sent-again");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#sent-status .done:not(:empty)");

    await open(page, `${server.url}?${whole}`);
    for (const [stop, typed] of [["reset-email"], ["reset-password", "short"], ["reset-toggle"], ["reset-confirmation", "other"]]) {
      await page.keyboard.press("Tab");
      assert.equal(await focused(page), stop);
      if (typed) await page.keyboard.type(typed);
    }
    await page.keyboard.press("Enter");
    await page.waitForSelector("#reset-password[aria-invalid]");
    assert.equal(await focused(page), "reset-password", "focus is not on the first invalid field");
    assert.notEqual(await page.$eval("#reset-confirmation-error", (error) => error.textContent), "", "no second error");
    await page.keyboard.type(" no longer");
    assert.equal(await page.$eval("#reset-password", (field) => field.getAttribute("aria-invalid")), null);
    assert.equal(await page.$eval("#reset-password-error", (error) => error.textContent), "");
  }));

  test("\"Send again\" repeats the request after the cooldown", () => inTab(async (page) => {
    const before = server.requests.length;
    await requestLink(page, server.url, EMAIL);
    assert.match(await page.$eval("#sent-again", (button) => button.textContent), /^Send again in (1:00|0:59)$/);
    await page.click("#sent-again");
    assert.equal(server.requests.length, before + 1, "the page sent a request within the cooldown");
    await states["sent-again"](page, server.url);
    const requests = server.requests.slice(before + 1);
    assert.deepEqual(requests.map(({ email }) => email), ["impatient@example.com", "impatient@example.com"]);
    assert.deepEqual(requests[0].locale, "en");
  }));

  test("an address with special characters appears as typed", () => inTab(async (page) => {
    const email = "{ada}<b>&email;@example.com";
    await requestLink(page, server.url, email);
    assert.equal(await page.$eval("#sent-intro strong", (strong) => strong.textContent), email);
    assert.match(await page.$eval("#sent-intro", (intro) => intro.textContent), /The link works for 1 hour\.$/);
  }));

  test("an address too long for its field appears in full below", () => inTab(async (page) => {
    const whole = () => page.$eval("#reset-email-whole", (hint) => (hint.hidden ? null : hint.textContent));
    await page.setViewport({ width: 1280, height: 800 });
    await states.reset(page, server.url);
    assert.equal(await whole(), null);
    await page.setViewport({ width: 320, height: 800 });
    await page.waitForSelector("#reset-email-whole:not([hidden])");
    assert.equal(await whole(), EMAIL);
    await states["reset-long"](page, server.url);
    assert.equal(await whole(), LONG_EMAIL);
  }));

  test("the page shows the errors of the API", () => inTab(async (page) => {
    const text = (selector) => page.$eval(selector, (element) => element.textContent);
    for (const [email, message] of [
      ["too-many@example.com", "Too many attempts. Try again in 2 minutes."],
      ["unavailable@example.com", "We can't do this right now. Try again in 2 seconds."],
      ["server-error@example.com", "Something went wrong on our end. Try again later."],
      ["silence@example.com", "The server did not respond. Check your connection and try again."],
    ]) {
      await requestLink(page, server.url, email);
      assert.equal(await text("#forgot-status .failed"), message);
    }
    await requestLink(page, server.url, "malformed@example.com");
    assert.equal(await text("#forgot-email-error"), "Enter an email address, like ada@example.com.");
    // For this page's developer, in the server's words.
    await requestLink(page, server.url, "misconfigured@example.com");
    assert.equal(await text("#forgot-status .failed"), "must be one of the allowed reset URLs");
    for (const [password, message] of [
      ["a long password", "Use at most 256 characters."],
      ["a password of 73 bytes", "Use at most 72 characters. Letters with accents and emoji count for more."],
      ["a directory's short password", "This password is too short. Choose a longer password."],
      ["a directory's long password", "This password is too long. Choose a shorter password."],
      ["a former password", "You used this password before. Choose a different password."],
      ["a password with NUL", "This password has a character that cannot be stored. Choose a different password."],
    ]) {
      await setPassword(page, `${server.url}?${whole}`, password);
      assert.equal(await text("#reset-password-error"), message);
    }
    await setPassword(page, `${server.url}?${whole}`, "a silent password");
    assert.match(await text("#reset-status .failed"), /We don't know whether your password was changed/);
    await setPassword(page, `${server.url}?${whole}`, "an unlucky password");
    assert.match(await text("#reset-status .failed"), /^We don't know whether your password was changed\. Try again in 2 seconds\./);
  }));

  test("after the change, \"Sign in\" works and the page stores nothing", () => inTab(async (page) => {
    await states.done(page, server.url);
    const stored = () => localStorage.length + sessionStorage.length + document.cookie.length;
    assert.equal(await page.evaluate(stored), 0);
    assert.equal(await page.$eval("#done a.primary", (link) => link.textContent), "Sign in");
    await Promise.all([page.waitForNavigation(), page.click("#done a.primary")]);
    assert.equal(new URL(page.url()).pathname, "/sign-in");
  }));

  test("every language has every text", () => inTab(async (page) => {
    await open(page, server.url);
    const keys = await page.evaluate(async () => {
      const { byLanguage } = await import("./texts.js");
      const paths = (texts) => Object.entries(texts).flatMap(([key, text]) =>
        typeof text === "object" ? paths(text).map((inner) => `${key}.${inner}`) : [key]);
      return Object.values(byLanguage).map((texts) => paths(texts).sort());
    });
    for (const other of keys) assert.deepEqual(other, keys[0]);
  }));

  test("a German browser shows German texts and requests German emails", () => inTab(async (page) => {
    const before = server.requests.length;
    await requestLink(page, server.url, EMAIL);
    assert.equal(await page.$eval("html", (html) => html.lang), "de");
    assert.equal(await page.$eval("#sent-title", (title) => title.textContent), "Prüfen Sie Ihren Posteingang");
    assert.match(await page.$eval("#sent-intro", (intro) => intro.textContent), /Der Link ist 1 Stunde gültig\./);
    assert.equal(server.requests[before].locale, "de");
    await states["reset-invalid"](page, server.url);
    assert.equal(await page.$eval("#reset-password-error", (error) => error.textContent), "Verwenden Sie mindestens 8 Zeichen.");
  }, () => Object.defineProperty(navigator, "languages", { value: ["tlh", "de-AT", "en"] })));

  test("the page works without AbortSignal.timeout (carbon-app#1415)", () => inTab(async (page) => {
    await states.done(page, server.url);
    assert.ok(await page.$("#done:not([hidden])"));
    await states.sent(page, server.url);
    assert.ok(await page.$("#sent:not([hidden])"));
  }, () => { delete AbortSignal.timeout; }));

  test("the page works without ARIA reflection (origami#662)", () => inTab(async (page) => {
    await states["reset-invalid"](page, server.url);
    assert.equal(await page.$eval("#reset-password", (field) => field.getAttribute("aria-invalid")), "true");
    await states["reset-shown"](page, server.url);
    assert.equal(await page.$eval("#reset-toggle", (toggle) => toggle.getAttribute("aria-pressed")), "true");
    await states["sent-again"](page, server.url);
    await states.done(page, server.url);
    assert.ok(await page.$("#done:not([hidden])"));
  }, () => {
    for (const name of Object.getOwnPropertyNames(Element.prototype)) {
      if (name.startsWith("aria")) delete Element.prototype[name];
    }
  }));

  test("an error in the page is not reported as a network error", () => inTab(async (page) => {
    await requestLink(page, server.url, EMAIL);
    assert.match(await page.$eval("#forgot-status .failed", (text) => text.textContent), /went wrong on this page/);
  }, () => { JSON.stringify = () => { throw new TypeError("an error in the page"); }; }));

  // WebDriver cannot disable JavaScript in Firefox.
  if (name === "chrome") test("without JavaScript, the page asks for it", () => inTab(async (page) => {
    await page.setJavaScriptEnabled(false);
    await page.goto(server.url);
    const visible = await page.$$eval("main .card", (all) => all.filter((one) => !one.hidden).map((one) => one.textContent.trim()));
    assert.deepEqual(visible, ["This page needs JavaScript to set a new password. Turn it on, and reload the page."]);
  }));
});

/** Returns the contrast of a read-only field's border with its background (WCAG 2.2, 1.4.11). axe checks only text. */
function borderContrast() {
  const field = document.querySelector("section:not([hidden]) input[readonly]");
  if (!field) return null;
  const luminance = (color) => {
    const [red, green, blue] = color.match(/[\d.]+/g).slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const border = luminance(getComputedStyle(field).borderTopColor);
  const ground = luminance(getComputedStyle(field.closest(".card")).backgroundColor);
  return (Math.max(border, ground) + 0.05) / (Math.min(border, ground) + 0.05);
}

function focused(page) {
  return page.evaluate(() => document.activeElement.id);
}
